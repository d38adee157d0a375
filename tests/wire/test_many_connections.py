"""What the many connections of one address may take together: of a turn of the loop, and of memory."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from neuron_meet import holdings
from neuron_meet.app import Server
from neuron_meet.realtime import websocket
from neuron_meet.rest import http_connection
from neuron_meet.rest.http_connection import SLICE_BYTES
from neuron_meet.shares import A_TURN, FRAME_SECONDS
from tests.recovery.away import go_away
from tests.security.test_half_open import Line, until
from tests.wire.clients import Driver
from tests.wire.handmade import PING, TEXT, Session, Stranger, frame, polling, stranger
from tests.wire.meeting import Meet, Place, meeting_on

CONNECTIONS = 30
A_SLICE = websocket.SLICE_BYTES // 6
"""The smallest frames that the parser may find in what it is given at once."""


@asynccontextmanager
async def strangers(url: str, count: int) -> AsyncIterator[list[Stranger]]:
    """So many websockets of one address."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(stranger(url)) for _ in range(count)]


async def most_in_a_turn(server: Server, frames: int, send: Callable[[], Awaitable[object]]) -> list[int]:
    """The frames of each turn of the loop in which more than one came, until so many have been handled."""
    loop, turns, last, goes_on = asyncio.get_running_loop(), list[int](), [0], [True]

    def used() -> int:
        share = server.sockets.bounds.shares._shares.get("127.0.0.1")  # looked at, not held
        return 0 if share is None else share.used

    def watch() -> None:
        if used() - last[0] > 1:
            turns.append(used() - last[0])
        last[0] = used()
        if goes_on[0]:
            loop.call_soon(watch)

    first = last[0] = used()
    loop.call_soon(watch)
    try:
        await send()
        await until(lambda: used() >= first + frames)
    finally:
        goes_on[0] = False
    return sorted(turns)


async def test_websockets_have_one_share_of_a_turn(js: Driver, shared_database: str) -> None:
    """30 connections that send all at once are handled in many turns, a few hundred frames in each."""
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=False) as meet,
        strangers(meet.url, CONNECTIONS) as lines,
    ):

        async def flood() -> None:
            for line in lines:
                line.send(frame(PING) * 2_000)

        turns = await most_in_a_turn(meet.server, CONNECTIONS * 2_000, flood)
        # The first is the one in which it is noticed; what the parser was given is worked off to its end.
        assert turns[-2] <= A_TURN + 2 * A_SLICE
        assert turns[-1] <= 2 * (A_TURN + 2 * A_SLICE)


@pytest.fixture
def parsing_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that frames and requests alone are counted; on a busy machine anything may take long."""
    monkeypatch.setattr(http_connection, "monotonic", lambda: 0.0)


@pytest.mark.usefixtures("parsing_takes_no_time")
async def test_polling_sessions_have_one_share_of_a_turn(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js, rate_limit_enabled=False) as meet, AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(polling(meet)) for _ in range(10)]
        lines = [await session.line() for session in sessions]

        async def flood() -> None:
            for session, line in zip(sessions, lines, strict=True):
                line.writer.write(session.post(b"\x1e".join([b"6"] * 1_000)))

        turns = await most_in_a_turn(meet.server, 10 * 1_000, flood)
        assert turns[-1] <= 2 * (A_TURN + len(sessions)), "parts of two shares between two looks"


@pytest.mark.usefixtures("parsing_takes_no_time")
async def test_requests_have_one_share_of_a_turn(js: Driver, shared_database: str) -> None:
    """Twenty connections with 30 pipelined requests each, all of which are answered."""
    async with meeting_on(shared_database, js, rate_limit_enabled=False) as meet:

        async def ask() -> None:
            port = int(meet.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n" * 30)
            for _ in range(30):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r")[0]))
            writer.close()

        async def flood() -> None:
            async with asyncio.timeout(60):
                await asyncio.gather(*(ask() for _ in range(20)))

        turns = await most_in_a_turn(meet.server, 20 * 30 * 16, flood)
        assert turns[-2] <= A_TURN + 16
        assert turns[-1] <= 2 * (A_TURN + 16)


async def test_bodies_have_one_share_of_a_turn(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty connections that send chunks of one byte, each of which costs the parser as much as a large one."""
    clock = itertools.count()
    monkeypatch.setattr(http_connection, "monotonic", lambda: next(clock) * 0.00102)
    a_slice = 1 + int(0.00102 / FRAME_SECONDS)
    async with meeting_on(shared_database, js, rate_limit_enabled=False) as meet, AsyncExitStack() as stack:
        lines = [await Line.to(meet.url) for _ in range(20)]
        for line in lines:
            stack.push_async_callback(line.close)
        head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"1\r\nx\r\n" * 10_000

        async def flood() -> None:
            for line in lines:
                line.writer.write(head + body)

        turns = await most_in_a_turn(meet.server, 20 * len(body) // SLICE_BYTES * a_slice, flood)
        assert turns[-1] <= 2 * (A_TURN + a_slice), "parts of two shares between two looks"


async def test_half_messages_of_an_address_are_bounded_together(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of those that hold most is told to come again later (1013); a message that becomes whole counts no more."""
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True) as meet,
        strangers(meet.url, 3) as lines,
    ):
        held = meet.server.sockets.bounds.half_messages
        held.most_each = 1_000_000
        whole = frame(TEXT, b"4" * 600_000)
        lines[0].send(whole[:-1])
        await until(lambda: held.total > 500_000)
        lines[0].send(whole[-1:])
        await until(lambda: held.total == 0)
        for line in lines:
            line.send(frame(TEXT, b"4" * 900_000)[:-1])
        await until(lambda: held.given_up)
        open_now = meet.server.sockets.eio.sockets
        await until(lambda: len(open_now) < 3)
        await until(lambda: held.total <= 1_000_000)
        assert len(open_now) >= 1, "no more go than must"


async def test_a_post_that_is_half_there_counts(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    async with meeting_on(shared_database, js, rate_limit_enabled=True) as meet, polling(meet) as session:
        held = meet.server.sockets.bounds.half_messages
        held.most_each = 100_000
        line = await session.line()
        line.writer.write(session.post(b"4" * 400_000)[:-1])
        await until(lambda: session.sid not in meet.server.sockets.eio.sockets)
        assert held.given_up, "perhaps once more for what came before it was cut"
        await until(lambda: held.total == 0)


async def test_heads_that_are_half_there_count(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of which most is there goes."""
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    async with meeting_on(shared_database, js, rate_limit_enabled=True) as meet:
        held = meet.server.sockets.bounds.half_messages
        held.most_each = 150_000
        lines = [await Line.to(meet.url) for _ in range(2)]
        for line, headers in zip(lines, (3, 4), strict=True):
            for number in range(headers):
                line.writer.write(b"" if number else b"GET / HTTP/1.1\r\n")
                line.writer.write(f"X-{number}: {'x' * 28_000}\r\n".encode())
                await line.writer.drain()
        await until(lambda: held.given_up)
        async with asyncio.timeout(60):
            assert await lines[1].reader.read() == b""
        assert held.given_up == 1
        for line in lines:
            await line.close()
        await until(lambda: held.total == 0)


async def test_what_waits_for_clients_is_bounded_by_address(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those who do not take what they are sent the one goes for whom most waits."""
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True) as meet,
        polling(meet) as first,
        polling(meet) as second,
        polling(meet) as third,
    ):
        place = await meet.place()
        host = await meet.join(place, place.host)
        waiting = meet.server.sockets.bounds.unfetched
        waiting.most_each = 300_000
        for session, offers in ((first, 1), (second, 2), (third, 1)):
            await entered(meet, place, session)
            to = meet.server.sockets.by_engine[session.sid].caller.sid
            for _ in range(offers):
                host.emit("offer", {"targetId": to, "sdp": {"type": "offer", "sdp": "x" * 90_000}})
        await until(lambda: waiting.given_up)
        sockets = meet.server.sockets.eio.sockets
        await until(lambda: second.sid not in sockets)
        assert {first.sid, third.sid} <= set(sockets)
        assert waiting.given_up == 1


async def test_what_is_kept_for_returns_is_bounded_by_address(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has most of it kept starts anew, should they drop before the next ping."""
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    async with meeting_on(shared_database, js, rate_limit_enabled=True, recovery_grace_seconds=30) as meet:
        place = await meet.place()
        host, guest, other = (
            await meet.join(place, place.host),
            await meet.join(place),
            await meet.join(place),
        )
        kept = meet.server.sockets.bounds.kept
        kept.most_each = 200_000
        for client, offers in ((guest, 2), (other, 1)):
            sid = client.sid
            await go_away(meet, client)
            for _ in range(offers):
                host.emit("offer", {"targetId": sid, "sdp": {"type": "offer", "sdp": "x" * 90_000}})
        await until(lambda: kept.given_up)
        assert await guest.reconnect() is False
        assert await other.reconnect() is True


async def entered(meet: Meet, place: Place, session: Session) -> None:
    """A polling session is in the room, and fetches nothing more."""
    line = await session.line()
    asked = json.dumps(["join-room", {"roomCode": place.code, "displayName": "Gus"}])
    assert await line.exchange(session.post(f"42{asked}".encode())) == (200, b"ok")
    await until(lambda: any(b"room-joined" in body for body in waiting_for(meet, session)))


def waiting_for(meet: Meet, session: Session) -> list[bytes]:
    """What waits to be fetched."""
    found = meet.server.sockets.eio.sockets[session.sid].polling
    assert found is not None
    return list(found._packets)
