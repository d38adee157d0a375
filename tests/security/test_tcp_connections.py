"""What one peer may hold of TCP: connections, unfinished heads, answers that nobody reads. Real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from neuron_meet.ceilings import AtOnce
from neuron_meet.rest import connections
from neuron_meet.rest.connections import BoundedRunner, Connections
from tests.wire.clients import Driver
from tests.wire.meeting import meeting_on

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
TCP_REFUSED = {"message": "Too many requests", "error": "Too Many Requests", "statusCode": 429}
DEADLINE = 30


class Peer:
    """One TCP connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
            return int(head.split()[1]), await self.reader.readexactly(int(length.split(":")[1]))

    async def ended(self) -> None:
        """Return when the server has closed or cut it."""
        try:
            async with asyncio.timeout(DEADLINE):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            pass


class Bounded:
    """A server of its own under bounds of its own."""

    def __init__(self, port: int, book: Connections) -> None:
        self.port, self.book = port, book
        self.held = asyncio.Event()
        self.asked = 0
        self._peers: list[Peer] = []

    async def peer(self, place: str = "127.0.0.1") -> Peer:
        made = Peer(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(place, 0), limit=1024))
        self._peers.append(made)
        return made

    async def counted(self, count: int) -> None:
        """Return when so many connections are counted."""
        async with asyncio.timeout(DEADLINE):
            while self.book.at_once.total != count:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        for peer in self._peers:
            peer.writer.transport.abort()


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HOLD = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
EARLY = b"POST /early HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def bounded(each: int | None, most: int | None = None, *proxies: str) -> AsyncIterator[Bounded]:
    app = web.Application()
    book = Connections(AtOnce(each, most, lambda address: address in proxies), lambda a: a in proxies)
    server = Bounded(0, book)

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/hold":
            server.asked += 1
            await server.held.wait()
        if request.path == "/long":
            server.asked += 1
            return web.Response(body=bytes(20_000_000))
        if request.path != "/early":
            await request.read()
        return web.Response(text=f"{len(request.headers.get('Cookie', ''))} {len(request.query_string)}")

    app.router.add_route("*", "/{path:.*}", answer)
    runner = BoundedRunner(app, book, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        server.held.set()
        server.close()
        await runner.cleanup()
        assert (book.at_once.total, book.at_once.keys, book.unread) == (0, 0, 0)


async def test_connections_of_one_address_whose_requests_are_under_way() -> None:
    async with bounded(3) as server:
        busy = [await server.peer() for _ in range(3)]
        for peer in busy:
            peer.send(HOLD)
        async with asyncio.timeout(DEADLINE):
            while server.asked < 3:
                await asyncio.sleep(0.001)
        refused = await server.peer()
        status, body = await refused.answer()
        assert (status, json.loads(body)) == (429, TCP_REFUSED)
        await refused.ended()
        other = await server.peer("127.0.0.2")
        other.send(GET)
        assert (await other.answer())[0] == 200
        server.held.set()
        assert [(await peer.answer())[0] for peer in busy] == [200] * 3


async def test_those_that_wait_for_a_request_go_for_new_ones_the_oldest_first() -> None:
    """Idle ones, those that never asked and those whose head is not finished: who comes is served."""
    async with bounded(3) as server:
        idle, silent, unfinished = [await server.peer() for _ in range(3)]
        idle.send(GET)
        assert (await idle.answer())[0] == 200
        unfinished.send(b"GET / HTTP/1.1\r\nHost:")
        for evicted in (idle, silent, unfinished):
            new = await server.peer()
            new.send(HOLD)
            await evicted.ended()
        await server.counted(3)
        assert server.book.at_once.refused == 0
        refused = await server.peer()
        assert (await refused.answer())[0] == 429


async def test_connections_in_all() -> None:
    """Those that wait go here too, whoever's they are; where all are in use, the answer is 503."""
    async with bounded(None, 3) as server:
        silent = await server.peer()
        busy = [await server.peer(place) for place in ("127.0.0.2", "127.0.0.3")]
        for peer in busy:
            peer.send(HOLD)
        async with asyncio.timeout(DEADLINE):
            while server.asked < 2:
                await asyncio.sleep(0.001)
        new = await server.peer("127.0.0.4")
        new.send(HOLD)
        await silent.ended()
        async with asyncio.timeout(DEADLINE):
            while server.asked < 3:
                await asyncio.sleep(0.001)
        status, body = await (await server.peer("127.0.0.5")).answer()
        assert (status, json.loads(body)["message"]) == (503, "Service temporarily unavailable")


async def test_a_proxys_connections_are_not_counted_by_address() -> None:
    async with bounded(2, None, "127.0.0.1") as server:
        peers = [await server.peer() for _ in range(6)]
        for peer in peers:
            peer.send(GET)
        assert [(await peer.answer())[0] for peer in peers] == [200] * 6


async def test_who_sends_no_request_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    async with bounded(None) as server:
        asked, silent, slow = [await server.peer() for _ in range(3)]
        asked.send(GET)
        slow.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
        assert (await asked.answer())[0] == 200
        await silent.ended()
        await slow.ended()
        assert server.book.cut_heads == 2
        asked.send(GET)  # who has asked once may think as long as they like
        assert (await asked.answer())[0] == 200


async def test_a_head_is_bounded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bounded(None) as server:
        header = b"X-%03d: " + b"a" * 30_000 + b"\r\n"
        for before in (b"", GET):
            peer = await server.peer()
            if before:
                peer.send(before)
                assert (await peer.answer())[0] == 200
            peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for number in range(6):
                peer.send(header % number)
            await peer.ended()
        held = await server.peer()  # behind a request that is under way, too
        held.send(HOLD + b"GET / HTTP/1.1\r\nHost: x\r\n")
        for number in range(16):  # what came along with the request before is not counted
            held.send(header % number)
        await held.ended()


async def test_a_body_is_no_head() -> None:
    async with bounded(None) as server:
        peer = await server.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
        for _ in range(9):
            peer.send(bytes(100_000))
            await asyncio.sleep(0)
        assert (await peer.answer())[0] == 200


async def test_a_body_that_comes_at_once_is_no_head() -> None:
    """The event loop hands over several reads before the request's handler has had a turn (libuv: up to 32)."""
    async with bounded(None) as server:
        peer = await server.peer()
        peer.send(GET)
        assert (await peer.answer())[0] == 200
        (connection,) = server.book._all
        connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n")
        for _ in range(3):
            connection.data_received(bytes(200_000))
        assert (await peer.answer())[0] == 200


async def test_a_body_that_nobody_waits_for_is_no_head() -> None:
    """The answer is given before all of the body is there."""
    async with bounded(None) as server:
        peer = await server.peer()
        peer.send(EARLY + b"Content-Length: 600000\r\n\r\n")
        assert (await peer.answer())[0] == 200
        for _ in range(6):
            peer.send(bytes(100_000))
            await asyncio.sleep(0)
        peer.send(GET)
        assert (await peer.answer())[0] == 200


@pytest.mark.parametrize("size", [9_000, 20_000, 32_000])
async def test_long_cookies_and_queries(size: int) -> None:
    async with bounded(None) as server:
        peer = await server.peer()
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * size + b"\r\n\r\n")
        assert await peer.answer() == (200, b"%d 0" % size)
        peer.send(b"GET /?" + b"q" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await peer.answer() == (200, b"0 %d" % size)


async def unread(server: Bounded, count: int, place: str = "127.0.0.1") -> list[Peer]:
    """Peers that have asked for 20 MB each, and do not read them."""
    before = server.asked
    peers = [await server.peer(place) for _ in range(count)]
    for peer in peers:
        peer.send(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(DEADLINE):
        while server.asked < before + count:
            await asyncio.sleep(0.001)
    return peers


async def test_an_answer_that_nobody_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(connections, "MOST_UNREAD_EACH", 10**9)
    monkeypatch.setattr(connections, "MOST_UNREAD", 10**9)
    async with bounded(None) as server:
        await unread(server, 3)
        assert server.book.unread > 3_000_000
        await server.counted(0)
        assert (server.book.cut_unread, server.book.unread) == (3, 0)


async def test_an_answer_that_is_read_slowly_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 kB a second is asked for; this one reads more in each tenth of what it is given."""
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(connections, "MOST_UNREAD_EACH", 10**9)
    async with bounded(None) as server:
        [peer] = await unread(server, 1)
        left = 20_000_000
        async with asyncio.timeout(DEADLINE):
            await peer.reader.readuntil(b"\r\n\r\n")
            while left:
                left -= len(await peer.reader.readexactly(min(left, 400_000)))
                await asyncio.sleep(0.03)
        assert server.book.cut_unread == 0


@pytest.mark.parametrize("bound", ["MOST_UNREAD_EACH", "MOST_UNREAD"])
async def test_answers_that_wait_are_bounded_together(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Of one address and in all: the longest waiting go. Answers that are being taken are not concerned."""
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(connections, "PASSING_SECONDS", 0.1)
    monkeypatch.setattr(connections, "MOST_UNREAD_EACH", 10**9)
    monkeypatch.setattr(connections, "MOST_UNREAD", 10**9)
    monkeypatch.setattr(connections, bound, 60_000_000)
    async with bounded(None) as server:
        other = await server.peer("127.0.0.2")
        other.send(HOLD)
        peers = await unread(server, 10)
        for peer in peers[:2]:
            await peer.ended()
        async with asyncio.timeout(DEADLINE):
            while server.book.unread > 60_000_000:
                await asyncio.sleep(0.001)
        assert 6 <= server.book.cut_unread <= 8
        server.held.set()
        assert (await other.answer())[0] == 200


async def test_a_websocket_that_asks_for_a_subprotocol(js: Driver, shared_database: str) -> None:
    """Browsers fail a connection that asked for some and was given none: the first one it is, as with Node's `ws`."""
    async with meeting_on(shared_database, js) as meet, ClientSession() as session:
        for path in (WEBSOCKET, "/socket.io/?transport=websocket&EIO=4&t=x"):
            for offered in (["one", "two"], ["v1.meet"], []):
                async with session.ws_connect(meet.server.url + path, protocols=offered) as websocket:
                    assert websocket.protocol == (offered[0] if offered else None)
                    assert (await websocket.receive_str()).startswith("0{")


async def test_long_heads_of_websockets(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js) as meet, ClientSession() as session:
        headers: dict[str, Any] = {"Cookie": "c" * 30_000}
        async with session.ws_connect(meet.server.url + WEBSOCKET, headers=headers) as websocket:
            assert (await websocket.receive_str()).startswith("0{")
        long = meet.server.url + WEBSOCKET + "&token=" + "q" * 30_000
        async with session.ws_connect(long) as websocket:
            assert (await websocket.receive_str()).startswith("0{")
