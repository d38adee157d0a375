"""The stranger: a process of its own, that does one thing of the table to a server and tells what became of it.

    python -m tests.hostile.stranger NAME '{"host": …, "port": …, "code": …, "seconds": 1, …}'

Writes a line when it begins, and at the end one of JSON: how much it sent, and how many of its connections are open,
have been closed, were refused. Standard library only, so that it starts quickly.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as sockets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.hostile.frames import CONTINUATION, TEXT, frame, text

HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket{} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3RyYW5nZXItc3RyYW5nZQ==\r\n\r\n"
)
BLOCK_BYTES = 32_768
"""What is handed to the kernel at once."""
KEPT_BYTES = 65_536
"""Of what was read, so much is looked at."""
SMALL_BUFFER = 8_192
ANSWER_SECONDS = 20.0
LINGER_SECONDS, HTTP_LINGER_SECONDS = 2.0, 0.2
"""How long a server has to end a connection, or to answer on it, when the stranger is done."""
BYTES_A_SECOND = 6_000_000
"""What a stranger sends at most, on all connections: more would wait in the kernel and be worked on afterwards."""
SLOW_BYTES, SLOW_SECONDS = 512, 0.05

ALL, SLOWLY, NOTHING = "reads", "reads slowly", "reads nothing"


class Refused(Exception):
    """The server did not let the connection be what was asked."""


class Connection:
    """A TCP connection, at first without a reader: `hears` reads for itself, `read` starts one in the background."""

    def __init__(self, world: World, socket: sockets.socket) -> None:
        self._world, self.socket = world, socket
        self._loop = asyncio.get_running_loop()
        self.heard = b""
        self.closed = False
        self.is_websocket = False
        self._reader: asyncio.Task[None] | None = None

    async def send(self, data: bytes) -> None:
        """Send. Raises OSError where the connection is closed."""
        try:
            await self._loop.sock_sendall(self.socket, data)
        except OSError:
            self.closed = True
            raise
        self._world.sent += len(data)

    async def hears(self, wanted: bytes) -> bytes:
        """Read until it has come. Raises Refused where the connection ends, or nothing more comes."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while wanted not in self.heard:
                    data = await self._loop.sock_recv(self.socket, 65_536)
                    if not data:
                        break
                    self.heard += data
                else:
                    return self.heard
        except (OSError, TimeoutError):
            pass
        self.closed = True
        raise Refused(self.heard[-200:].decode(errors="replace"))

    def read(self, how: str) -> None:
        """From now on read like that."""
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None
        if how != NOTHING:
            self._reader = asyncio.create_task(self._read(how == SLOWLY))

    async def _read(self, slowly: bool) -> None:
        try:
            while data := await self._loop.sock_recv(self.socket, SLOW_BYTES if slowly else 65_536):
                self.heard = (self.heard + data)[-KEPT_BYTES:]
                if data.endswith(b"\x81\x012"):
                    await self.send(text("3"))
                if slowly:
                    await asyncio.sleep(SLOW_SECONDS)
        except OSError:
            pass
        self.closed = True

    async def still_open(self) -> bool:
        """Whether the server keeps this connection, when it has looked at what came: waits for an answer or an end."""
        if self.closed:
            return False
        self.read(ALL)
        if self.is_websocket:
            with contextlib.suppress(OSError):
                await self.send(text('42777["no-such-event"]'))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS if self.is_websocket else HTTP_LINGER_SECONDS):
                while not self.closed and b"43777[" not in self.heard:
                    await asyncio.sleep(0.01)
        self._world.answered += b"43777[" in self.heard
        return not self.closed

    def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        self.socket.close()


class World:
    """What a script knows of the server, and what it does with it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.host, self.port, self.source = given["host"], given["port"], given["source"]
        self.code, self.token, self.room_id = given["code"], given["token"], given["room_id"]
        self.seconds = float(given["seconds"])
        self.sent = self.answered = 0
        self.refused: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.connections: list[Connection] = []
        self._most_bytes = self.seconds * BYTES_A_SECOND
        self._ends = 0.0

    @property
    def going_on(self) -> bool:
        """Whether neither its time nor its bytes are used up. Time begins when this is asked first."""
        return self.sent < self._most_bytes and self._in_time()

    def _in_time(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._ends = self._ends or now + self.seconds
        return now < self._ends

    async def tcp(self, *, reads: str = ALL) -> Connection:
        """A bare connection. Raises Refused."""
        socket = sockets.socket()
        socket.setblocking(False)
        # Before connecting: the kernel's buffers must not take what the server is to keep.
        if reads == NOTHING:
            socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, SMALL_BUFFER)
        if sys.platform == "linux":  # all of 127.0.0.0/8 is this machine: the stranger has its own address
            socket.bind((self.source, 0))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_connect(socket, (self.host, self.port))
        except (OSError, TimeoutError):
            socket.close()
            self.refused["connection"] += 1
            raise Refused("no connection") from None
        connection = Connection(self, socket)
        self.connections.append(connection)
        return connection

    async def websocket(self, *, sid: str = "", reads: str = ALL) -> Connection:
        """A connection that has asked for a websocket and got it. Raises Refused."""
        connection = await self.tcp(reads=reads)
        try:
            await connection.send(HANDSHAKE.format(f"&sid={sid}" if sid else "", self.host).encode())
            head = await connection.hears(b"\r\n\r\n")
        except OSError:
            raise Refused("closed") from None
        status = head[9:12].decode()
        self.statuses[status] += 1
        if status != "101":
            self.refused[status] += 1
            raise Refused(status)
        connection.is_websocket = True
        return connection

    async def socket(self, *, joins: bool, reads: str = ALL, auth: str = "") -> Connection:
        """A socket of the default namespace; one that `joins` is in the honest people's room. Raises Refused."""
        connection = await self.websocket(reads=reads)
        try:
            await connection.hears(b'0{"sid"')
            await connection.send(text(f"40{auth}"))
            await connection.hears(b'40{"sid"')
            if joins:
                asked = {"roomCode": self.code, "displayName": "Stranger"}
                await connection.send(text(f"42900{json.dumps(['join-room', asked])}"))
                await connection.hears(b"43900[")
                await connection.hears(b'"success":true')
        except OSError:
            raise Refused("closed") from None
        connection.heard = b""
        return connection

    async def poll(self) -> str:
        """The id of a new polling session whose namespace is connected. Raises Refused."""
        opening = await self.request(
            b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n", b"pingTimeout"
        )
        sid = opening.split(b'"sid":"', 1)[1].split(b'"', 1)[0].decode()
        await self.request(post(sid, b"40"), b"ok")
        return sid

    async def request(self, request: bytes, wanted: bytes) -> bytes:
        """A request on a connection of its own, which is closed again. Raises Refused."""
        connection = await self.tcp()
        try:
            await connection.send(request)
            return await connection.hears(wanted)
        except OSError:
            raise Refused("closed") from None
        finally:
            connection.close()
            self.connections.remove(connection)

    async def flood(self, connection: Connection, unit: bytes, *, a_second: float = 0) -> None:
        """Send the unit again and again until the time is over, or the bytes, or the connection."""
        block = unit * max(1, BLOCK_BYTES // len(unit))
        began, loop, units = asyncio.get_running_loop().time(), asyncio.get_running_loop(), 0
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.seconds + ANSWER_SECONDS):
                while self.going_on and not connection.closed:
                    if not a_second:
                        await connection.send(block)
                        await asyncio.sleep(0)
                    elif units < (loop.time() - began) * a_second:
                        await connection.send(unit)
                        units += 1
                    else:
                        await asyncio.sleep(min(0.02, 1 / a_second))

    async def rest(self) -> None:
        """Do nothing until the time is over."""
        while self._in_time():
            await asyncio.sleep(0.02)

    async def report(self) -> dict[str, Any]:
        """What became of the connections."""
        kept = await asyncio.gather(*(connection.still_open() for connection in self.connections))
        return {
            "sent": self.sent,
            "open": sum(kept),
            "answered": self.answered,
            "closed": len(kept) - sum(kept),
            "refused": dict(self.refused),
            "statuses": dict(self.statuses),
        }


Script = Callable[[World], Awaitable[None]]


def post(sid: str, body: bytes) -> bytes:
    """A polling request that brings packets."""
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(sid: str) -> bytes:
    """A polling request that waits for packets."""
    return f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def fragments_of(payload: bytes, size: int) -> bytes:
    """A message in pieces."""
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)]
    last = len(pieces) - 1
    return b"".join(
        frame(CONTINUATION if number else TEXT, piece, head=0x80 if number == last else 0)
        for number, piece in enumerate(pieces)
    )


async def main(name: str, given: dict[str, Any]) -> None:
    """Do it, and tell."""
    from tests.hostile.table import TABLE  # noqa: PLC0415 - the table names this module's functions

    script = next(entry for entry in TABLE if entry.name == name).script
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    world = World(given)
    failed = ""
    try:
        async with asyncio.timeout(world.seconds + 2 * ANSWER_SECONDS):
            await script(world)
    except (Refused, TimeoutError) as refusal:
        failed = f"{type(refusal).__name__}: {refusal}"
    sys.stdout.write(json.dumps({**await world.report(), "failed": failed}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
