"""Whoever drops, in whatever way, comes back as the same socket to the same room, and nobody else notices."""

from __future__ import annotations

import asyncio

import pytest

from tests.recovery.away import go_away, names, until
from tests.recovery.conftest import PONG_SECONDS
from tests.recovery.proxy import proxied
from tests.wire.clients import DEADLINE, Client, Driver
from tests.wire.meeting import Meet, enter, meeting_on

SELF_RETURNING = {
    "reconnection": True,
    "reconnectionDelay": 10,
    "reconnectionDelayMax": 20,
    "randomizationFactor": 0,
}
"""socket.io-client's own reconnection, without its usual second of patience."""


async def said(client: Client, content: str, place_id: str) -> None:
    """Somebody says something."""
    answer = await client.ask("chat-message", {"roomId": place_id, "content": content})
    assert answer["success"] is True, answer


@pytest.mark.parametrize(
    ("transport", "how"),
    [("websocket", Client.drop), ("websocket", Client.kill), ("polling", Client.drop)],
    ids=["websocket, engine.close()", "websocket, connection cut", "polling, engine.close()"],
)
async def test_dropped_by_the_client(meet: Meet, transport: str, how: object) -> None:
    assert callable(how)
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, transports=[transport])
    former, rows = guest.sid, await meet.rows(place)
    await host.unread()
    for turn in range(3):
        await go_away(meet, guest, how=how)
        await said(host, f"missed {turn}", place.id)
        assert await guest.reconnect() is True
        assert guest.sid == former
        await said(host, f"live {turn}", place.id)
        events = await guest.unread()
        assert [payload["content"] for name, payload in events if name == "chat-message"] == [
            f"missed {turn}",
            f"live {turn}",
        ]
        assert names(events) == ["chat-message"] * 2
    assert names(await host.unread()) == ["chat-message"] * 6
    assert await meet.rows(place) == rows
    await said(guest, "still in the room", place.id)
    assert (await host.next("chat-message"))["senderId"] == former


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join)
async def test_the_network_cuts_every_connection(meet: Meet, js: Driver, transports: list[str]) -> None:
    """The front end's own reconnection, through a network that resets."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with proxied(meet.server.url) as (proxy, url):
        guest = await js.connect(url, transports=transports, auth={}, **SELF_RETURNING)
        await enter(guest, place)
        await guest.unread()
        await host.unread()
        former = guest.sid
        for turn in range(3):
            proxy.accepting = False
            proxy.cut()
            await guest.next("$disconnected")
            await said(host, f"missed {turn}", place.id)
            proxy.accepting = True
            assert await comes_back(guest) is True
            assert guest.sid == former
            assert (await guest.next("chat-message"))["content"] == f"missed {turn}"
        events = [name for name in names(await guest.unread()) if not name.startswith("$")]
        assert events == []
        assert names(await host.unread()) == ["chat-message"] * 3
        guest.disconnect()
        await host.next("user-left")


async def comes_back(client: Client) -> bool:
    """Wait for the client's own reconnection, which may be refused a few times while the network is away."""
    said = await client.next("$connected")
    client.opening = said
    return bool(said.get("recovered"))  # clients before 4.6 know no such thing


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03], ids="{:g} s each way".format)
async def test_while_upgrading(meet: Meet, js: Driver, delay: float) -> None:
    """A drop between polling and websocket, wherever the probe is at that moment, loses and doubles nothing."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with proxied(meet.server.url) as (proxy, url):
        proxy.delay = delay
        guest = await js.connect(url, transports=["polling", "websocket"], auth={}, **SELF_RETURNING)
        former = guest.sid
        guest.emit("join-room", {"roomCode": place.code, "displayName": "Gus"})
        await host.next("user-joined")
        proxy.accepting = False
        proxy.cut()
        await said(host, "missed", place.id)
        proxy.accepting = True
        assert await comes_back(guest) is True
        assert guest.sid == former
        events = [name for name in names(await guest.unread()) if not name.startswith("$")]
        assert events == ["room-joined", "chat-message"]
        guest.disconnect()
        await host.next("user-left")
    assert names(await host.unread()) == ["chat-message"]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_silent_network(shared_database: str, js: Driver, transport: str) -> None:
    """Connections stay and carry nothing: both sides notice by their pings, and the client comes back."""
    async with (
        meeting_on(
            shared_database,
            js,
            recovery_grace_seconds=60,
            ping_interval_seconds=0.3,
            ping_timeout_seconds=PONG_SECONDS,
        ) as meet,
        proxied(meet.server.url) as (proxy, url),
    ):
        place = await meet.place()
        host = await meet.join(place, place.host)
        guest = await js.connect(url, transports=[transport], auth={}, **SELF_RETURNING)
        await enter(guest, place)
        await guest.unread()
        await host.unread()
        former = guest.sid
        proxy.passing.clear()
        await said(host, "missed", place.id)
        recovery = meet.server.sockets.recovery
        await until(lambda: recovery.held == 1)
        assert await guest.next("$disconnected") in ("ping timeout", "transport error", "transport close")
        proxy.passing.set()
        proxy.cut()
        assert await comes_back(guest) is True
        assert guest.sid == former
        assert (await guest.next("chat-message"))["content"] == "missed"
        assert [name for name in names(await guest.unread()) if not name.startswith("$")] == []
        assert names(await host.unread()) == ["chat-message"]
        assert await meet.open_rows(place) == 2
        guest.disconnect()
        async with asyncio.timeout(DEADLINE):
            await host.next("user-left")


async def test_ten_at_once(meet: Meet) -> None:
    """A network that fails fails for many: all come back, all get the same."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guests = [await meet.join(place, name=f"Guest {n}") for n in range(10)]
    former = [guest.sid for guest in guests]
    await host.unread()
    for guest in guests:
        await guest.unread()
    await go_away(meet, *guests, how=Client.kill)
    await said(host, "anybody?", place.id)
    assert await asyncio.gather(*(guest.reconnect() for guest in guests)) == [True] * 10
    assert [guest.sid for guest in guests] == former
    for guest in guests:
        assert names(await guest.unread()) == ["chat-message"]
    assert names(await host.unread()) == ["chat-message"]
    assert await meet.open_rows(place) == 11
