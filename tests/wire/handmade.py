"""Engine.IO by hand: websocket frames as bytes, and polling requests on TCP connections of the test's choice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.security.test_half_open import CONNECT, HANDSHAKE, UPGRADE, Line, until
from tests.wire.clients import DEADLINE
from tests.wire.meeting import Meet

MASK = b"\x01\x02\x03\x04"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(kind: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """A masked frame (RFC 6455 §5.2); `reserved`: its three reserved bits."""
    length, first = len(payload), fin << 7 | reserved << 4 | kind
    if length <= 125:
        head = bytes((first, 0x80 | length))
    elif length <= 65_535:
        head = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, length)
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


class Stranger(Line):
    """A websocket of bytes."""

    def send(self, *frames: bytes) -> None:
        """Send what are frames, or not."""
        self.writer.write(b"".join(frames))

    async def receive(self) -> tuple[int, bytes]:
        """Type and payload of the server's next frame."""
        async with asyncio.timeout(DEADLINE):
            head = await self.reader.readexactly(2)
            length = head[1]
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return head[0] & 15, await self.reader.readexactly(length)

    async def packets_until(self, beginning: bytes) -> list[bytes]:
        """Text packets, up to the one that begins so."""
        packets: list[bytes] = []
        while not packets or not packets[-1].startswith(beginning):
            kind, payload = await self.receive()
            if kind == TEXT:
                packets.append(payload)
        return packets

    async def close_code(self) -> int:
        """The code of the server's close frame, whatever comes before it."""
        while True:
            kind, payload = await self.receive()
            if kind == CLOSE:
                return struct.unpack("!H", payload[:2])[0]

    async def everything(self) -> dict[int, list[bytes]]:
        """Payloads of what the server sends up to its close frame, by type of frame; without pings of Engine.IO."""
        got: dict[int, list[bytes]] = {}
        while CLOSE not in got:
            kind, payload = await self.receive()
            if payload != b"2":
                got.setdefault(kind, []).append(payload)
        return got

    async def cut(self) -> None:
        """Return when the server has hung up."""
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65_536):
                    pass


@asynccontextmanager
async def stranger(url: str, *, opened: bool = True) -> AsyncIterator[Stranger]:
    """A websocket, as a socket of the default namespace."""
    line = await Stranger.to(url)
    assert isinstance(line, Stranger)
    try:
        assert (await line.exchange(UPGRADE))[0] == 101
        await line.packets_until(b"0{")
        if opened:
            line.send(frame(TEXT, b"40"))
            await line.packets_until(b"40{")
        yield line
    finally:
        await line.close()


UPGRADE_OF = (
    "GET {path}&transport=websocket&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PATH = "/socket.io/?EIO=4"
NOOP, CLOSED = b"6", b"1"


class Session:
    """A polling session of the default namespace, and the TCP connections that it uses."""

    def __init__(self, url: str, sid: str) -> None:
        self.url, self.sid = url, sid
        self.lines: list[Line] = []

    async def line(self) -> Line:
        """A new connection."""
        line = await Line.to(self.url)
        self.lines.append(line)
        return line

    @property
    def get(self) -> bytes:
        """A poll."""
        return self.stamped("")

    def stamped(self, stamp: str) -> bytes:
        """A poll with what the official client puts into each of its own."""
        query = f"{PATH}&transport=polling&sid={self.sid}" + (f"&t={stamp}" if stamp else "")
        return f"GET {query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def post(self, body: bytes) -> bytes:
        """Packets to the server."""
        path = f"{PATH}&transport=polling&sid={self.sid}"
        return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    @property
    def upgrade(self) -> bytes:
        """A request for a websocket."""
        return UPGRADE_OF.format(path=PATH, sid=self.sid).encode()


@asynccontextmanager
async def polling(meet: Meet) -> AsyncIterator[Session]:
    """A session that is a socket."""
    first = await Line.to(meet.server.url)
    _, opening = await first.exchange(HANDSHAKE)
    session = Session(meet.server.url, json.loads(opening[1:])["sid"])
    session.lines.append(first)
    assert await first.exchange(CONNECT % session.sid.encode()) == (200, b"ok")
    assert (await first.exchange(session.get))[1].startswith(b"40{")
    try:
        yield session
    finally:
        for line in session.lines:
            await line.close()


async def waits(meet: Meet, session: Session) -> None:
    """Return when a poll of the session waits at the server."""
    await until(lambda: meet.server.sockets.eio.sockets[session.sid].polling.waiting)
