"""A client that reads nothing while much fans out is dropped: memory stays bounded, nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import socket as sockets
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.chaos.figures import Figures, percentile
from tests.chaos.meeting import entered, program, visitor
from tests.process.visitor import Socket
from tests.store.password_server import free_port

MESSAGE_BYTES = 40_000
MEGABYTE = 1_000_000


class Sleeper:
    """A member that takes what it needs to join, and then reads nothing more. Spoken by hand, on a bare TCP socket."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 0
        self._socket = sockets.socket()
        # Before connecting: the kernel's buffers must not take what the server is to buffer.
        self._socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8_192)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._heard = b""
        self.sid = ""

    async def join(self, code: str) -> None:
        await self._loop.sock_connect(self._socket, (self._host, self._port))
        upgrade = (
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {}:{}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2xlZXBlci1zbGVlcGVyIQ==\r\n\r\n"
        )
        await self._loop.sock_sendall(self._socket, upgrade.format(self._host, self._port).encode())
        await self._hears(b'0{"sid"')
        await self._say("40")
        opening = (await self._hears(b'40{"sid"')).rsplit(b"40{", 1)[1]
        self.sid = json.loads(b"{" + opening.split(b"}")[0] + b"}")["sid"]
        await self._say("420" + json.dumps(["join-room", {"roomCode": code, "displayName": "Sleeper"}]))
        await self._hears(b"430[")

    async def _hears(self, beginning: bytes) -> bytes:
        async with asyncio.timeout(60):
            while beginning not in self._heard or not self._heard.endswith((b"}", b"]")):
                self._heard += await self._loop.sock_recv(self._socket, 4_096)
        return self._heard

    async def _say(self, packet: str) -> None:
        """A masked text frame (RFC 6455 §5.3)."""
        payload, mask = packet.encode(), os.urandom(4)
        assert len(payload) < 126
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        await self._loop.sock_sendall(self._socket, bytes((0x81, 0x80 | len(payload))) + mask + masked)

    def close(self) -> None:
        self._socket.close()


async def relaying(one: Socket, other: Socket, times: list[float]) -> None:
    """How long candidates take between two others, all the time."""
    while True:
        started = time.perf_counter()
        await one.emit("ice-candidate", {"targetId": other.sid, "candidate": None})
        await other.next("ice-candidate")
        times.append(time.perf_counter() - started)
        await asyncio.sleep(0.005)


async def test_a_client_that_reads_nothing(
    folder: Path, database_url: str, long: bool, figures: Figures
) -> None:
    to_each = (60 if long else 10) * MEGABYTE
    async with (
        program(
            folder, free_port(), DATABASE_URL=database_url, MAX_MESSAGE_LENGTH=str(MESSAGE_BYTES)
        ) as running,
        visitor(running.url) as who,
    ):
        await who.register()
        room = await who.room()
        host, guest, onlooker = [await who.socket(guest=number > 0) for number in range(3)]
        for socket in (host, guest, onlooker):
            await entered(socket, room["code"])
        sleeper = Sleeper(running.url)
        await sleeper.join(room["code"])
        process = psutil.Process(running.pid)
        text = {"roomId": room["id"], "content": "x" * MESSAGE_BYTES}
        quiet: list[float] = []
        relay = asyncio.create_task(relaying(guest, onlooker, quiet))
        while len(quiet) < 100:
            await host.ask("no-such-event", {})
        relay.cancel()
        await asyncio.wait([relay])
        before, most, busy = process.memory_info().rss, 0, list[float]()
        relay = asyncio.create_task(relaying(guest, onlooker, busy))
        for _ in range(to_each // MESSAGE_BYTES):
            assert (await host.ask("chat-message", text))["success"] is True
            most = max(most, process.memory_info().rss)
            for socket in (host, guest, onlooker):
                socket.events[:] = [event for event in socket.events if event[0] != "chat-message"]
        assert await host.next("user-left") == {"socketId": sleeper.sid, "userId": None}
        relay.cancel()
        await asyncio.wait([relay])
        assert relay.cancelled()
        await running.says("slow client dropped")
        _, people = await who.call("GET", f"/api/rooms/code/{room['code']}/participants")
        assert len(people) == 3
        sleeper.close()
        assert await running.stop() == 0
    grown = (most - before) / MEGABYTE
    assert grown < 40
    assert percentile(busy, 0.99) < 0.5
    figures.add("fanned out to each of four members", to_each // MEGABYTE, "MB")
    figures.add("the server's memory grew by at most", grown, "MB")
    figures.spread("relays between two others before", quiet)
    figures.spread("relays between two others meanwhile", busy)
