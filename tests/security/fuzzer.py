"""A socket that sends mutated packets, and comes back when it is thrown out."""

from __future__ import annotations

import asyncio
from random import Random

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType

from tests.security.mutation import Mutator
from tests.wire.clients import DEADLINE

NOT_TEXT = 0.002
"""Of the text frames, those that may be no UTF-8: each of them ends its connection, and what follows in the batch."""
BATCH = 50
"""Packets between two joins that are waited for, so that neither side's buffers grow."""


class Fuzzer:
    """Counts what it sent, how many of those that ask for an answer were accepted or refused, and how often it was
    thrown out."""

    def __init__(self, url: str, session: ClientSession, mutator: Mutator, dice: Random, code: str) -> None:
        self._url, self._session, self._mutator, self._dice = url, session, mutator, dice
        self._join = f'4298765["join-room",{{"roomCode":"{code}","displayName":"Fuzz"}}]'
        self._ws: ClientWebSocketResponse | None = None
        self.sent = 0
        self.accepted = 0
        self.refused = 0
        self.thrown_out = 0

    async def run(self, packets: int) -> None:
        """Send so many packets."""
        goal = self.sent + packets
        while self.sent < goal:
            ws = await self._connected()
            try:
                await ws.send_str("40")  # its own packets may have ended its session, or its stay in the room
                await ws.send_str(self._join)
                await self._answered(ws)
                for _ in range(BATCH):
                    self.sent += 1
                    if self._dice.random() < 0.01:
                        await ws.send_bytes(self._mutator.binary())
                    else:
                        packet = self._mutator.packet()
                        if self._dice.random() >= NOT_TEXT:
                            packet = packet.decode(errors="replace").encode()
                        await ws.send_frame(packet, WSMsgType.TEXT)
            except (ClientError, ConnectionError):
                self._ws = None

    async def close(self) -> None:
        """Go."""
        if self._ws is not None:
            await self._ws.close()

    async def _connected(self) -> ClientWebSocketResponse:
        """The websocket; a new one where the old one has been closed."""
        if self._ws is not None and not self._ws.closed:
            return self._ws
        self.thrown_out += self._ws is not None
        ws = self._ws = await self._session.ws_connect(
            f"{self._url}/socket.io/?EIO=4&transport=websocket", max_msg_size=0
        )
        return ws

    async def _answered(self, ws: ClientWebSocketResponse) -> None:
        """Read up to the answer to the join, or to the end of the connection."""
        async with asyncio.timeout(DEADLINE):
            async for message in ws:
                assert message.type is WSMsgType.TEXT, message
                if message.data == "2":
                    await ws.send_str("3")
                elif message.data.startswith("4398765["):
                    return
                elif message.data.startswith("43"):
                    succeeded = '"success":true' in message.data
                    self.accepted += succeeded
                    self.refused += not succeeded
