"""A held place is a place: it counts, it is seen, it ends once; and what is not held ends at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from tests.recovery.away import claim, go_away, join_raw, names, until
from tests.recovery.conftest import BRIEF_SECONDS, PONG_SECONDS
from tests.wire.clients import Client, Driver
from tests.wire.meeting import Meet, Place, enter, failure, gone, meeting_on
from tests.wire.raw import raw_connection


async def listed(meet: Meet, place: Place) -> list[str]:
    """Names of those whom REST gives as in the room."""
    status, people = await meet.rest("GET", f"/api/rooms/code/{place.code}/participants")
    assert status == 200
    return [person["displayName"] for person in people]


async def test_a_held_place_counts_and_is_seen(meet: Meet) -> None:
    place = await meet.place(maxParticipants=3)
    host = await meet.join(place, place.host)
    guest = await meet.join(place, name="Gus")
    assert await guest.ask("toggle-hand-raise", {"roomId": place.id, "raised": True}) == {"success": True}
    await go_away(meet, guest)
    newcomer = await meet.connect()
    joined = await enter(newcomer, place, "New")
    assert [(one["socketId"], one["isHandRaised"]) for one in joined["participants"]] == [
        (host.sid, False),
        (guest.sid, True),
    ]
    assert await enter(await meet.connect(), place) == failure("Room is full")
    assert await listed(meet, place) == ["Host", "Gus", "New"]
    assert await meet.open_rows(place) == 3
    found = await meet.server.reconciliation.compare()
    assert (found.ghosts, found.missing) == (0, 0)
    newcomer.emit("offer", {"targetId": guest.sid, "sdp": "kept for its return"})
    await newcomer.sync()
    assert await guest.reconnect() is True
    assert names(await guest.unread()) == ["user-joined", "offer"]
    assert guest.sid in meet.present(place)


@pytest.mark.parametrize("how", [Client.drop, Client.kill])
async def test_after_the_grace_it_ends_once(brief_meet: Meet, how: Callable[[Client], None]) -> None:
    meet = brief_meet
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina)
    former = member.sid
    await host.unread()
    started = asyncio.get_running_loop().time()
    await go_away(meet, member, how=how)
    assert await host.unread() == []
    assert await host.next("user-left") == gone(member, mina)[1]
    assert asyncio.get_running_loop().time() - started >= BRIEF_SECONDS
    row = (await meet.rows(place))[1]
    assert row["isActive"] is False
    assert abs(row["leftAt"] - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=2)
    assert await listed(meet, place) == ["Host"]
    # Too late: a socket like any other, in no room, and nobody is told a second time.
    assert await member.reconnect() is False
    assert member.sid != former
    assert await member.unread() == []
    assert await member.ask("chat-message", {"roomId": place.id, "content": "x"}) == failure(
        "Not in this room"
    )
    assert await host.unread() == []
    assert meet.server.sockets.recovery.held == 0


async def test_a_silent_peer_is_gone_after_ping_timeout_and_grace(brief_meet: Meet) -> None:
    """Nothing is sent and nothing closed: only the missing pong tells."""
    meet = brief_meet
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_connection(meet.server.url) as dead:
        await claim(dead)
        await join_raw(dead, place.code)
        started = asyncio.get_running_loop().time()
        assert await host.next("user-left") == {"socketId": dead.sid, "userId": None}
        took = asyncio.get_running_loop().time() - started
        assert took >= PONG_SECONDS + BRIEF_SECONDS - 0.1  # a pong's time-out and the grace
    assert names(await host.unread()) == ["user-joined"]


async def by_disconnect(meet: Meet, place: Place) -> str:
    client = await meet.join(place)
    client.disconnect()
    return client.sid


async def by_disconnect_on_polling(meet: Meet, place: Place) -> str:
    client = await meet.join(place, transports=["polling"])
    client.disconnect()
    return client.sid


def by_close_frame(code: int) -> Callable[[Meet, Place], Awaitable[str]]:
    async def close(meet: Meet, place: Place) -> str:
        url = f"{meet.server.url}/socket.io/?EIO=4&transport=websocket"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as websocket:
            await websocket.receive_str()
            await websocket.send_str("40")
            sid = (await websocket.receive_json(loads=lambda text: json.loads(text[2:])))["sid"]
            await websocket.send_str(f'420["join-room",{{"roomCode":"{place.code}"}}]')
            while not (await websocket.receive_str()).startswith("430["):
                pass
            await websocket.close(code=code)
        return str(sid)

    return close


@pytest.mark.parametrize(
    "go",
    [by_disconnect, by_disconnect_on_polling, by_close_frame(1000), by_close_frame(1001)],
    ids=["disconnect()", "disconnect() on polling", "close frame 1000", "close frame 1001"],
)
async def test_a_clean_close_is_not_held(meet: Meet, go: Callable[[Meet, Place], Awaitable[str]]) -> None:
    """On a server with a grace of a minute."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    held = meet.server.sockets.recovery.outcomes["held"]
    sid = await go(meet, place)
    assert await host.next("user-left") == {"socketId": sid, "userId": None}
    assert meet.server.sockets.recovery.outcomes["held"] == held
    assert await meet.open_rows(place) == 1


@pytest.mark.parametrize("code", [1011, 4000])
async def test_another_close_frame_is_a_drop(meet: Meet, code: int) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    held = meet.server.sockets.recovery.outcomes
    before = held["held"]
    sid = await by_close_frame(code)(meet, place)
    await until(lambda: held["held"] == before + 1)
    assert names(await host.unread()) == ["user-joined"]
    assert meet.present(place) == [host.sid, sid]


async def test_leaving_while_others_hold_nothing_back(meet: Meet) -> None:
    """`leave-room` first and the drop after it: the room hears of the leave at once, and only of that."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    assert await guest.ask("leave-room", {"roomId": place.id}) == {"success": True}
    await go_away(meet, guest)
    assert names(await host.unread()) == ["user-left"]
    assert await guest.reconnect() is True
    assert (await enter(guest, place))["success"] is True
    assert names(await host.unread()) == ["user-joined"]


async def test_without_a_grace_there_is_no_recovery(shared_database: str, js: Driver) -> None:
    """RECOVERY_GRACE_SECONDS=0: no pid, no offset behind a payload, `user-left` at once."""
    async with meeting_on(shared_database, js, recovery_grace_seconds=0) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        guest = await meet.join(place)
        former = guest.sid
        await host.unread()
        assert (host.offset, guest.offset) == (None, None)
        guest.drop()
        assert await host.next("user-left") == gone(guest)[1]
        await guest.next("$disconnected")
        assert await guest.reconnect() is False
        assert guest.sid != former
        async with raw_connection(meet.server.url) as raw:
            assert list(await claim(raw)) == ["sid"]
            await raw.event("join-room", {"roomCode": place.code}, ack=1)
            packets = await raw.receive_until("431")
            assert [len(json.loads(packet[2:])) for packet in packets[:-1]] == [2]
        await host.next("user-joined")
        assert meet.server.sockets.recovery.held == 0


async def test_a_front_end_that_joins_on_every_connect(meet: Meet) -> None:
    """It does not know recovery: the others drop the old peer connection and await the new offer."""
    place, mina = await meet.place(maxParticipants=2), await meet.person("Mina")
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina)
    await host.unread()
    await go_away(meet, member)
    assert await member.reconnect() is True
    joined: dict[str, Any] = await enter(member, place, "Mina")
    assert [one["socketId"] for one in joined["participants"]] == [host.sid]
    events = await host.unread()
    assert names(events) == ["user-left", "user-joined"]
    assert events[0] == gone(member, mina)
    assert events[1][1]["participant"]["socketId"] == member.sid
    assert names(await member.unread()) == ["room-joined"]
    assert [row["isActive"] for row in await meet.rows(place)] == [True, False, True]
