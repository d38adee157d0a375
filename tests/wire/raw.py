"""A bare Engine.IO 4 websocket: for packets that no honest client sends, and to see bytes as they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.wire.clients import DEADLINE
from tests.wire.meeting import Place


class RawSocket:
    """A websocket connection to the server; `send` and `receive` are whole Engine.IO packets."""

    def __init__(self, ws: ClientWebSocketResponse) -> None:
        self._ws = ws
        self.sid = ""

    async def open(self, auth: dict[str, Any] | None = None) -> None:
        """Connect to the default namespace."""
        await self.send("40" + (json.dumps(auth) if auth else ""))
        answer = await self.receive()
        assert answer.startswith("40{"), answer
        self.sid = json.loads(answer[2:])["sid"]

    async def send(self, packet: str) -> None:
        """Send a text frame."""
        await self._ws.send_str(packet)

    async def send_bytes(self, packet: bytes) -> None:
        """Send a binary frame: an attachment."""
        await self._ws.send_bytes(packet)

    async def send_text_bytes(self, packet: bytes) -> None:
        """Send a text frame whose bytes need not be text."""
        await self._ws.send_frame(packet, WSMsgType.TEXT)

    async def event(self, name: str, *args: Any, ack: int | None = None) -> None:
        """Send an event."""
        await self.send(f"42{'' if ack is None else ack}{json.dumps([name, *args])}")

    async def receive(self) -> str:
        """The next packet that is no ping."""
        while True:
            async with asyncio.timeout(DEADLINE):
                message = await self._ws.receive()
            assert message.type is WSMsgType.TEXT, message
            if message.data != "2":
                return message.data
            await self.send("3")

    async def receive_until(self, beginning: str) -> list[str]:
        """Packets up to the one that begins with `beginning`, which is the last of the list."""
        packets = [await self.receive()]
        while not packets[-1].startswith(beginning):
            packets.append(await self.receive())
        return packets

    async def end(self) -> None:
        """Close the connection, if the server has not."""
        await self._ws.close()

    async def close_code(self) -> int | None:
        """The code of the server's close, whatever else it sent before."""
        async with asyncio.timeout(DEADLINE):
            while (await self._ws.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass
        return self._ws.close_code

    async def alive(self) -> bool:
        """Whether the socket still answers: an event that no server knows gets its error."""
        await self.event("no-such-event", ack=999)
        packets = await self.receive_until("43999")
        return acknowledgement(packets[-1]) == (999, {"success": False, "error": "Unknown event"})


def acknowledgement(packet: str) -> tuple[int, Any]:
    """The id and the value of an acknowledgement."""
    assert packet.startswith("43"), packet
    number, bracket, rest = packet[2:].partition("[")
    (value,) = json.loads(bracket + rest)
    return int(number), value


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[RawSocket]:
    """An Engine.IO connection that has not asked for a namespace yet."""
    async with (
        ClientSession() as session,
        session.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket", autoping=True) as ws,
    ):
        socket = RawSocket(ws)
        opening = await socket.receive()
        assert opening.startswith("0{"), opening
        yield socket


@asynccontextmanager
async def raw_socket(url: str, auth: dict[str, Any] | None = None) -> AsyncIterator[RawSocket]:
    """A connection that is a socket of the default namespace."""
    async with raw_connection(url) as socket:
        await socket.open(auth)
        yield socket


async def join(socket: RawSocket, place: Place) -> None:
    """Join with a bare socket."""
    await socket.event("join-room", {"roomCode": place.code, "displayName": "Raw"}, ack=1)
    packets = await socket.receive_until("431")
    assert acknowledgement(packets[-1])[1]["success"] is True
