"""Single steps of nodes on one room, with a real Redis between them: who is told what, in which order."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.msgpack import encode

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Drop, Outcome, ToRoom, ToSocket, settled
from neuron_meet.signaling.events import EncodedPayload, UserLeft
from neuron_meet.signaling.presence import commits
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.commits import Commits, StepsInTheWay
from neuron_meet.signaling.presence.entries import Entry
from neuron_meet.signaling.presence.entries import told as told_as
from neuron_meet.signaling.presence.reach import DIRECT, Direct, Reach
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.signaling.presence.waiter import Waiter
from tests.cluster.test_presence import stop, three_nodes
from tests.cluster.told import CODE, Told, come
from tests.presence.meetings import CODES, only, participant
from tests.redis_server import RedisServer


async def test_what_came_early_for_a_room_that_is_let_go_is_not_kept(
    presences: list[ClusterPresence], told: Told
) -> None:
    """It is for one who has gone: nobody would ever fetch it."""
    hosting = presences[0].hosting
    reach = Reach(hosting, lambda effects: told.hear(0, effects))
    hosting.advanced = reach.advanced
    await come(presences[0], "one0")
    room = presences[0].room(CODE)
    assert room is not None
    left = told_as([ToSocket("one0", UserLeft(socket_id="other1", user_id=None))])[0]
    reach.direct(DIRECT + encode(Direct(CODE, room.version + 10**9, left)))
    assert reach.early == 1
    await settled(presences[0].act(CODE, only(lambda room: room.leave("one0"))))
    assert presences[0].room(CODE) is None
    assert reach.early == 0
    assert told.effects[0] == []


@pytest.mark.parametrize("urgent", [False, True], ids=["one that may fail", "one that must not"])
async def test_steps_of_others_that_come_first_are_not_taken_for_a_redis_that_is_away(
    presences: list[ClusterPresence], monkeypatch: pytest.MonkeyPatch, urgent: bool
) -> None:
    monkeypatch.setattr(commits, "STEP_SECONDS", 0.0)
    await come(presences[0], "one0")
    write, others = Commits.write, iter(["two1", "three1"])

    async def slow_write(self: Commits, code: str, expected: int, entry: Entry) -> int | None:
        if entry.origin == presences[0].node and (sid := next(others, None)):
            await come(presences[1], sid)
        return await write(self, code, expected, entry)

    monkeypatch.setattr(Commits, "write", slow_write)
    leaving = settled(presences[0].act(CODE, only(lambda room: room.leave("one0")), urgent=urgent))
    if urgent:
        await leaving
    else:
        with pytest.raises(StepsInTheWay):
            await leaving
    assert presences[0].up
    expected = {"two1", "three1"} if urgent else {"one0", "two1"}
    assert set((await presences[2].hosting.load(CODE)).members) == expected


async def test_a_node_that_loads_a_room_has_its_members_in_the_order_in_which_they_came_in(
    presences: list[ClusterPresence],
) -> None:
    """Not in that in which they asked: a join that began first may end last."""
    began_first = participant("slow0", CODE, None, presences[0].node)
    await come(presences[0], "fast0")
    await settled(presences[0].act(CODE, only(lambda room: room.admit(began_first))))
    await come(presences[0], "last0")
    async with presences[1].hold(CODE) as room:
        assert list(room.members) == ["fast0", "slow0", "last0"]

        def rejoin(room: LiveRoom) -> None:
            room.leave("fast0")
            room.admit(participant("fast0", CODE, None, presences[0].node))

        await settled(presences[0].act(CODE, only(rejoin)))
        stored = await presences[2].hosting.load(CODE)
        await presences[1].hosting.catch_up(CODE, stored.version)
        assert list(stored.members) == list(room.members) == ["slow0", "last0", "fast0"]


async def test_a_room_that_was_let_go_while_redis_was_asked_about_it(
    presences: list[ClusterPresence], told: Told
) -> None:
    """What happens in it happens once: in the replica that is in use now."""
    hosting = presences[1].hosting
    async with presences[1].hold(CODE):
        former = hosting.replicas[CODE]
    assert not hosting.hosts(former)
    async with presences[1].hold(CODE):
        joined = ToRoom(CODE, UserLeft(socket_id="somebody", user_id=None))
        await settled(presences[0].act(CODE, lambda _: Outcome([joined])))
        await hosting.catch_up(CODE, (await hosting.load(CODE)).version)
        await presences[1].resync.fetch(former)
        assert told.kinds(1) == [ToRoom]


async def test_one_who_was_let_in_while_their_node_heard_nothing(
    presences: list[ClusterPresence], told: Told
) -> None:
    """Nothing has told them, and nothing will: they connect anew."""
    hosting = presences[1].hosting
    waiter = Waiter("waiter1", None, "", "Gus", presences[1].node)
    await settled(presences[1].act(CODE, only(lambda room: room.knock(waiter))))
    hosting.channels.forget(hosting.keys.room_channel(CODE))

    def let_in(room: LiveRoom) -> None:
        room.forget_knock("waiter1")
        room.admit(participant("waiter1", CODE, None, presences[1].node))

    await settled(presences[0].act(CODE, only(let_in)))
    await hosting.link.do("DEL", hosting.keys.room_log(CODE))
    await presences[1].resync.fetch(hosting.replicas[CODE])
    assert told.effects[1][-1] == Drop("waiter1", "out of the room")


async def test_while_redis_is_asked_whether_it_forgot_anything_nobody_decides_in_another_room(
    presences: list[ClusterPresence], monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = presences[0]
    heard_again, asked, answer = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def missed() -> None:
        heard_again.set()

    async def forgot() -> bool:
        if not asked.is_set():
            asked.set()
            await answer.wait()
        return False

    async def enter(code: str) -> None:
        newcomer = participant("one0", code, None, presence.node)
        await settled(presence.act(code, only(lambda room: room.admit(newcomer))))

    monkeypatch.setattr(presence.resync, "missed", missed)
    presence.same_redis = forgot
    await presence.hosting.channels.reset()
    await heard_again.wait()
    first = asyncio.create_task(enter(CODES[0]))
    await asked.wait()
    try:
        with pytest.raises(PresenceUnavailable):
            await enter(CODES[1])
    finally:
        answer.set()
    with pytest.raises(PresenceUnavailable):
        await first
    for code in CODES:
        assert not (await presences[1].hosting.load(code)).members


async def test_deployments_with_databases_of_their_own_on_one_redis_hear_nothing_of_each_other(
    redis_server: RedisServer, presences: list[ClusterPresence], told: Told
) -> None:
    """Not even of the same room: channels of Redis know no databases."""
    elsewhere = Told()
    others = await three_nodes(redis_server.new_url(), lambda _: 0, elsewhere.hear)

    async def say(nodes: list[ClusterPresence], code: str, word: str) -> None:
        said = Outcome([ToRoom(code, EncodedPayload("said", False, word.encode()))])
        await settled(nodes[0].act(code, lambda _: said))
        await nodes[1].hosting.catch_up(code, (await nodes[1].hosting.load(code)).version)

    def heard(by: Told) -> list[bytes]:
        payloads = [effect.payload for effect in by.effects[1] if isinstance(effect, ToRoom)]
        return [payload.body for payload in payloads if isinstance(payload, EncodedPayload)]

    # In a room that is new to both each would take the other's first step for its own.
    for code, first, second in ((CODES[0], presences, others), (CODES[1], others, presences)):
        async with first[1].hold(code), second[1].hold(code):
            await say(first, code, "one")
            await say(second, code, "two")
    assert heard(told) == [b"one", b"two"]
    assert heard(elsewhere) == [b"two", b"one"]
    await stop(others)
