"""What a stranger does over HTTP, by polling, and between polling and a websocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable

from tests.hostile.frames import BINARY, TEXT, frame, text
from tests.hostile.stranger import ALL, NOTHING, Connection, Refused, Script, World, get, post


async def many(count: int, one: Callable[[], Awaitable[object]]) -> None:
    """So many at once, whatever becomes of each."""
    await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)


def flooding(
    unit: bytes | Callable[[], bytes],
    *,
    first: bytes = b"",
    joins: bool,
    reads: str = ALL,
    a_second: float = 0,
    comes_again: bool = False,
) -> Script:
    """Frames without end on one websocket; `comes_again` whenever it is ended."""

    async def script(world: World) -> None:
        data = unit() if callable(unit) else unit
        while True:
            connection = await world.socket(joins=joins, reads=reads)
            connection.read(reads)
            with contextlib.suppress(OSError):
                await connection.send(first)
            await world.flood(connection, data, a_second=a_second)
            if not (comes_again and world.going_on):
                return
            world.connections.pop().close()

    return script


def flooding_together(count: int, unit: bytes, *, joins: bool = False, reads: str = ALL) -> Script:
    """So many websockets of one address, each of which sends frames without end."""

    async def script(world: World) -> None:
        async def one() -> None:
            connection = await world.socket(joins=joins, reads=reads)
            connection.read(reads)
            await world.flood(connection, unit)

        await many(count, one)

    return script


def half_messages(count: int, size: int) -> Script:
    """So many websockets of one address, each with a message that never ends, of which so much has come."""

    async def script(world: World) -> None:
        async def one() -> None:
            connection = await world.socket(joins=False)
            connection.read(ALL)
            await connection.send(frame(TEXT, b"4" * size, claims=size + 1_000))

        await many(count, one)
        await world.rest()

    return script


def again_and_again(auth: str) -> Script:
    """New sockets, each of which says this of itself and goes."""

    async def script(world: World) -> None:
        while world.going_on:
            with contextlib.suppress(Refused):
                await world.socket(joins=False, auth=auth)
            world.connections.pop().close()

    return script


# -- polling
def posting(body: bytes, *, at_once: int = 1) -> Script:
    """The same packets again and again, in so many requests at once of one session."""

    async def script(world: World) -> None:
        sid = await world.poll()

        async def one() -> None:
            connection = await world.tcp()
            connection.read(ALL)
            await world.flood(connection, post(sid, body))

        await many(at_once, one)

    return script


async def getting(world: World) -> None:
    """Two hundred polls at once of one session."""
    sid = await world.poll()

    async def one() -> None:
        connection = await world.tcp()
        connection.read(ALL)
        await connection.send(get(sid))

    await many(200, one)
    await world.rest()


async def never_polling(world: World) -> None:
    """A session in the room that posts and never fetches what it is told."""
    sid = await world.poll()
    asked = json.dumps(["join-room", {"roomCode": world.code, "displayName": "Stranger"}])
    await world.request(post(sid, f"42{asked}".encode()), b"ok")
    connection = await world.tcp()
    connection.read(ALL)
    await world.flood(connection, post(sid, b"\x1e".join([b'420["no-such-event"]'] * 50)))


def sessions(count: int) -> Script:
    """So many polling sessions, left alone."""

    async def script(world: World) -> None:
        for _ in range(count):
            with contextlib.suppress(Refused):
                await world.poll()
            if not world.going_on:
                break
        await world.rest()

    return script


# -- between the two
def upgrading(count: int, *, then: bytes, ends: bool) -> Script:
    """Websockets of one polling session, all begun before the first says `2probe`, and each goes on with `then`.

    `ends`: the session is ended beside them.
    """

    async def script(world: World) -> None:
        sid = await world.poll()
        await many(count, lambda: world.websocket(sid=sid))
        begun = [connection for connection in world.connections if connection.is_websocket]
        for said in (text("2probe"), then):
            for connection in begun:
                connection.read(ALL)
                with contextlib.suppress(OSError):
                    await connection.send(said)
        if ends:
            with contextlib.suppress(Refused):
                await world.request(post(sid, b"1"), b"\r\n\r\n")
        await world.rest()

    return script


def flooding_the_probe(unit: bytes) -> Script:
    """Frames without end on a websocket that has not become its session's."""

    async def script(world: World) -> None:
        sid = await world.poll()
        connection = await world.websocket(sid=sid)
        connection.read(ALL)
        await connection.send(text("2probe"))
        await world.flood(connection, unit)

    return script


# -- HTTP
def holding(count: int, beginning: bytes) -> Script:
    """So many connections that begin a request, and do not go on."""

    async def script(world: World) -> None:
        async def one() -> None:
            connection = await world.tcp()
            connection.read(ALL)
            if beginning:
                await connection.send(beginning)

        await many(count, one)
        await world.rest()

    return script


def dripping(count: int, beginning: bytes, drop: bytes) -> Script:
    """So many connections whose request comes byte by byte and never ends."""

    async def script(world: World) -> None:
        async def one() -> None:
            connection = await world.tcp()
            connection.read(ALL)
            await connection.send(beginning)
            while world.going_on:
                await connection.send(drop)
                await asyncio.sleep(0.05)

        await many(count, one)

    return script


def endless(beginning: bytes, unit: bytes) -> Script:
    """A request without end, as fast as it is taken."""

    async def script(world: World) -> None:
        connection = await world.tcp()
        connection.read(ALL)
        await connection.send(beginning)
        await world.flood(connection, unit)

    return script


def requesting(request: bytes, *, connections: int, pipelined: int, reads: str) -> Script:
    """The same request on so many connections, `pipelined` of them at once on each, over and over."""

    async def script(world: World) -> None:
        prepared = request.replace(b"{token}", world.token.encode()).replace(
            b"{room}", world.room_id.encode()
        )

        async def one() -> None:
            connection = await world.tcp(reads=reads)
            connection.read(reads)
            if reads == NOTHING:  # what it asks for is answered once, and waits
                await connection.send(prepared * pipelined)
            else:
                await world.flood(connection, prepared * pipelined)

        await many(connections, one)
        await world.rest()

    return script


async def binary_to_polling(world: World) -> None:
    """A websocket that claims the id of a session that was never there."""
    connection: Connection = await world.websocket(sid="x" * 20)
    connection.read(ALL)
    await world.flood(connection, frame(BINARY, b"x" * 125))
