"""What a node has missed, or has under way, when something happens to its connection to Redis or to a client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.node import ClusterNode
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.commits import Commits
from neuron_meet.signaling.presence.entries import Entry
from neuron_meet.signaling.presence.interface import Step
from tests.wire.clients import DEADLINE, Client
from tests.wire.meeting import OK, Meet, Place, joining

pytestmark = pytest.mark.three_nodes

MESSAGES = 20


async def test_channels_that_are_cut_lose_and_repeat_nothing(meet: Meet) -> None:
    """Everybody writes, shows a hand, while the nodes' channels are cut again and again: each change is told once."""
    place = await meet.place()
    people = [await meet.join(place, name=f"P{number}") for number in range(6)]
    for one in people:
        await one.unread()
    node = meet.server.node
    assert node is not None

    async def write(one: Client) -> None:
        for number in range(MESSAGES):
            said = {"roomId": place.id, "content": f"{one.sid} {number}"}
            assert (await one.ask("chat-message", said))["success"] is True
            raised = {"roomId": place.id, "raised": number % 2 == 0}
            assert (await one.ask("toggle-hand-raise", raised))["success"] is True

    async def cut(busy: asyncio.Future[Any]) -> int:
        cuts = 0
        while not busy.done():
            cuts += await node.link.do("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.wait([busy], timeout=0.15)
        return cuts

    busy = asyncio.gather(*(write(one) for one in people))
    cuts = await cut(busy)
    await busy
    assert cuts >= 3
    for server in meet.servers:
        assert server.node is not None
        await listens_again(server.node)
        await server.node.presence.come_back()  # to all its channels, and knows what was said meanwhile
    stored = [row["content"] for row in await messages(meet, place)]
    for one in people:
        told = await one.unread()
        heard = [payload["content"] for name, payload in told if name == "chat-message"]
        assert heard == stored
        for other in people:
            hands = [name for name, payload in told if payload.get("socketId") == other.sid]
            shown = [name for name in hands if name.startswith("user-hand")]
            assert shown == (
                [] if other is one else ["user-hand-raised", "user-hand-lowered"] * (MESSAGES // 2)
            )


async def listens_again(node: ClusterNode) -> None:
    """Return when a node hears what is said after its channels were cut: it may not have noticed yet that they were."""
    heard, channel = asyncio.Event(), node.link.keys.node_channel(node.presence.node)
    node.inbox[b"L"] = lambda _data: heard.set()
    async with asyncio.timeout(DEADLINE):
        while not heard.is_set():
            await node.link.publish([(channel, b"L")])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.05)


async def messages(meet: Meet, place: Place) -> list[dict[str, Any]]:
    """The room's messages in the stored order."""
    return await meet.sql(
        'SELECT content FROM "Message" WHERE "roomId" = $1 ORDER BY "createdAt", id', place.id
    )


@asynccontextmanager
async def slow_commits(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Semaphore]:
    """Until the block ends no step gets through to Redis; the semaphore counts those that wait."""
    waiting, go_on = asyncio.Semaphore(0), asyncio.Event()
    write = Commits.write

    async def slow_write(self: Commits, code: str, expected: int, entry: Entry) -> int | None:
        waiting.release()
        await go_on.wait()
        return await write(self, code, expected, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Commits, "write", slow_write)
        try:
            yield waiting
        finally:
            go_on.set()


@asynccontextmanager
async def slow_steps(monkeypatch: pytest.MonkeyPatch, name: str) -> AsyncIterator[asyncio.Event]:
    """Until the block ends no step of that name is begun; the event says that one is about to be."""
    about_to, go_on = asyncio.Event(), asyncio.Event()
    act = ClusterPresence.act

    async def slow_act(self: ClusterPresence, code: str, step: Step, *, urgent: bool = False) -> Outcome:
        if step.__name__ == name:
            about_to.set()
            await go_on.wait()
        return await act(self, code, step, urgent=urgent)

    with monkeypatch.context() as patch:
        patch.setattr(ClusterPresence, "act", slow_act)
        try:
            yield about_to
        finally:
            go_on.set()


async def vanish(meet: Meet, client: Client) -> None:
    """The client's network dies, and its node has noticed."""
    client.kill()
    async with asyncio.timeout(DEADLINE):
        while any(server.sockets.connected(client.sid) for server in meet.servers):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("waiting_room", [False, True], ids=["a join", "a knock"])
async def test_one_who_goes_while_a_step_of_theirs_is_under_way(
    meet: Meet, monkeypatch: pytest.MonkeyPatch, waiting_room: bool
) -> None:
    """They are not in the room, and do not wait for it, when the step has come through."""
    place = await meet.place(waitingRoom=waiting_room)
    host = await meet.join(place, place.host)
    client = await meet.connect()
    async with slow_commits(monkeypatch) as waiting:
        client.emit("join-room", joining(place, "Gus"))
        async with asyncio.timeout(DEADLINE):
            await waiting.acquire()
        await vanish(meet, client)
    async with asyncio.timeout(DEADLINE):
        while any(
            live.holds or live.reserved or live.waiting or len(live.members) > 1 for live in meet.lives(place)
        ):
            await asyncio.sleep(0.001)
    await meet.background_done()
    assert await meet.known(place) == [{host.sid}] * 3
    assert meet.waiting(place) == []
    told = [name for name, _ in await host.unread()]
    assert told in ([], ["user-joined", "user-left"], ["waiting-participant", "waiting-participant-left"])
    assert await meet.open_rows(place) == 1


async def test_a_door_that_opens_while_somebody_is_about_to_knock(
    meet: Meet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were told to wait, and come in: nobody would let them in any more."""
    place = await meet.place(waitingRoom=True)
    client = await meet.connect()
    async with slow_steps(monkeypatch, "knock") as about_to_knock:
        answer = client.request("join-room", joining(place, "Gus"))
        async with asyncio.timeout(DEADLINE):
            await about_to_knock.wait()
        await meet.patch(place, waitingRoom=False)
    assert (await answer)[0]["success"] is True
    assert await meet.known(place) == [{client.sid}] * 3
    assert meet.waiting(place) == []


async def test_one_who_is_let_in_while_they_leave_the_queue(
    meet: Meet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have left, as they are told, and are not in the room."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    client = await meet.connect()
    client.emit("join-room", joining(place, "Gus"))
    await host.next("waiting-participant")
    async with slow_steps(monkeypatch, "leave") as about_to_leave:
        answer = client.request("leave-room", {"roomId": place.id})
        async with asyncio.timeout(DEADLINE):
            await about_to_leave.wait()
        assert await host.ask("admit-participant", {"roomId": place.id, "targetId": client.sid}) == OK
    assert (await answer)[0] == OK
    assert await meet.known(place) == [{host.sid}] * 3
    assert [name for name, _ in await host.unread()] == ["user-joined", "user-left"]
