"""Sockets that move between nodes: whose they are at each moment, who tells them, and what if they do not come."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from neuron_meet.cluster.link import Link
from neuron_meet.cluster.nodes import Nodes
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Enter, Leave, Outcome, ToRoom, ToSocket, settled
from neuron_meet.signaling.events import UserLeft
from neuron_meet.signaling.presence import moves
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.luggage import ANSWER, ASK, Luggage
from neuron_meet.signaling.presence.moves import Moves
from neuron_meet.signaling.presence.reach import LARGEST_BATCH, Reach
from neuron_meet.signaling.presence.room import LiveRoom
from tests.cluster.told import CODE, Told, come, payload_of
from tests.presence.meetings import only, participant
from tests.wire.clients import DEADLINE


async def test_a_rejoin_while_the_socket_moves_is_told_by_its_node_alone(
    presences: list[ClusterPresence], told: Told
) -> None:
    """Two nodes have it then. Else the one that it goes to delivers already, and all it tells is told twice."""
    await come(presences[0], "mover0")
    async with presences[1].hold(CODE):

        def rejoin(room: LiveRoom) -> Outcome:
            room.leave("mover0")
            room.admit(participant("mover0", CODE, None, presences[0].node))
            left = UserLeft(socket_id="mover0", user_id=None)
            return Outcome(
                [Leave("mover0", CODE), ToRoom(CODE, left), Enter("mover0", CODE), ToSocket("mover0", left)]
            )

        await settled(presences[0].act(CODE, rejoin))
        stored = await presences[1].hosting.load(CODE)
        await presences[1].hosting.catch_up(CODE, stored.version)
        assert told.kinds(0) == [Leave, ToRoom, Enter, ToSocket]
        assert told.kinds(1) == [Leave, ToRoom]


async def nothing(_about: object = None) -> None:
    """What nodes are given that none of these tests is about."""


async def test_a_node_whose_lease_has_ended_is_not_asked_for_a_socket(
    presences: list[ClusterPresence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes back from it starts anew at once, and does not wait for an answer that nobody gives."""
    monkeypatch.setattr(moves, "ANSWER_SECONDS", 10 * DEADLINE)
    link, leases = presences[0].hosting.link, []
    for presence in presences[:2]:
        lease = Nodes(
            presence.hosting.link,
            presence.node,
            beaten=nothing,
            lost=lambda: None,
            died=nothing,
            bury=nothing,
        )
        await lease.start()
        leases.append(lease)
    coming = Moves(
        presences[0],
        Reach(presences[0].hosting, lambda _: None),
        depart=lambda _: only(lambda _: None),
        row_moved=lambda _: None,
    )
    coming.lives = leases[0].lives
    await leases[1].stop()  # as if its process had been killed
    assert await leases[0].lives(presences[1].node)
    await link.do("ZADD", link.keys.nodes, 1, presences[1].node)
    await link.do("ZADD", link.keys.nodes, "+inf", f"{presences[2].node}.1")  # it was taken for dead once
    assert await leases[0].lives(presences[2].node)
    async with asyncio.timeout(DEADLINE):
        assert await coming.fetch(f"secret.{presences[1].node}", "", None, lambda _: None) is None
    await leases[0].stop()


async def test_what_redis_does_not_carry_any_more_still_gets_to_one_who_has_come_to_this_node(
    presences: list[ClusterPresence], told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way when Redis went may have got there and is not told again; the rest was waiting."""
    hosting = presences[0].hosting
    await come(presences[0], "sender0")
    await come(presences[1], "mover1")
    await hosting.catch_up(CODE, (await hosting.load(CODE)).version)
    reach = Reach(hosting, lambda effects: told.hear(0, effects))
    relayed = [
        ToSocket("mover1", UserLeft(socket_id=str(number), user_id=None))
        for number in range(LARGEST_BATCH + 5)
    ]
    reach.deliver(relayed)
    hosting.connected = lambda _sid: True  # it is on its way here, and expected

    async def away(_link: Link, work: Coroutine[object, object, object]) -> None:
        work.close()
        raise PresenceUnavailable

    monkeypatch.setattr(Link, "within", away)
    await reach.flushed()
    heard = [effect for effect in told.effects[0] if isinstance(effect, ToSocket)]
    assert [payload_of(effect)["socketId"] for effect in heard] == [
        str(number) for number in range(LARGEST_BATCH, LARGEST_BATCH + 5)
    ]
    assert reach.lost_messages == LARGEST_BATCH
    assert not hosting.up
    monkeypatch.undo()


class OneSocket:
    """A node's sockets (:class:`neuron_meet.signaling.presence.luggage.MovingSockets`): one, that cannot be let go."""

    def seek(self, _pid: str, _user_id: str | None) -> Luggage:
        return Luggage("mover1", CODE, None, "Mo", [], [], 0)

    async def quiet(self, _sid: str) -> None: ...

    def hand_over(self, _pid: str, _offset: str, _onward: object) -> list[bytes] | None:
        raise PresenceUnavailable

    def put_down(self, _pid: str) -> None: ...

    def follow(self, _sid: str, _frame: bytes) -> bool:
        return False

    def give_up(self, _pid: str) -> None: ...


async def test_a_socket_that_has_moved_and_does_not_come_leaves(presences: list[ClusterPresence]) -> None:
    """Its former node has given it away, the answer is lost: no ghost is left behind."""
    made: list[Moves] = []
    for presence in presences[:2]:
        hosting = presence.hosting
        reach = Reach(hosting, lambda _: None)
        moving = Moves(presence, reach, depart=lambda _: only(lambda _: None), row_moved=lambda _: None)
        taken = {ASK: moving.asked, ANSWER: moving.answered}
        inbox = hosting.keys.node_channel(presence.node)
        await hosting.channels.subscribe(inbox, lambda data, taken=taken: taken[data[:1]](data))
        made.append(moving)
    made[1].sockets = OneSocket()
    await come(presences[1], "mover1")
    seen_out: list[str] = []
    presences[0].hosting.walk_out = seen_out.append
    presences[0].hosting.connected = lambda _sid: True  # as it is while it is expected
    expected: list[Luggage] = []
    assert await made[0].fetch(f"secret.{presences[1].node}", "", None, expected.append) is None
    assert [luggage.sid for luggage in expected] == seen_out == ["mover1"]
