"""A client of the load generator: Socket.IO over websocket, as socket.io-client puts it on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,  # pyright: ignore[reportUnknownVariableType] - its **kwargs have no type
)

from bench.failure import Alarm, BenchFailed

ANSWER_SECONDS = 30.0
COMPRESSION_OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
BROWSER_HEADERS = (
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-US,en;q=0.9"),
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    ),
)

OnEvent = Callable[["Peer", bytes], None]
OnAck = Callable[[bytes], None]


def unheard(_peer: Peer, _data: bytes) -> None:
    """Nobody listens to this peer's events."""


class Peer(WSListener):
    """One connection. `on_event` is called with each event packet (`42["name",…]`); of a bare server, each frame."""

    def __init__(self, auth: bytes | None, alarm: Alarm) -> None:
        """`auth` is the CONNECT packet's payload, None for a bare websocket; `alarm` rings for what goes wrong."""
        self.sid = ""
        self.room_id = ""
        self.account_id: str | None = None
        self.name = "Guest"
        self.on_event: OnEvent = unheard
        self.closed = asyncio.get_running_loop().create_future()
        self._auth = auth
        self._alarm = alarm
        self._leaving = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks: dict[int, OnAck] = {}
        self._next_ack = 0
        self._transport: WSTransport | None = None

    async def connect(self, url: str, *, compression: bool = False) -> None:
        """Connect and wait until the namespace is connected. Raises BenchFailed."""
        headers = [("Origin", f"http://{urlsplit(url).netloc}"), *BROWSER_HEADERS]
        if compression:
            headers.append(COMPRESSION_OFFER)
        try:
            transport, _ = await ws_connect(
                lambda: self, url, extra_headers=headers, websocket_handshake_timeout=20
            )
            if transport.response.headers.get("Sec-WebSocket-Extensions"):
                raise BenchFailed("A server compresses its frames, which the load generator cannot read.")
            if self._auth is not None:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._ready
        except (OSError, TimeoutError) as error:
            raise BenchFailed(f"A connection to {url} failed: {error!r}") from error

    def send(self, data: bytes) -> None:
        """Send a text frame."""
        assert self._transport is not None
        self._transport.send(WSMsgType.TEXT, data)

    def emit(self, event: str, payload: Any, on_ack: OnAck) -> None:
        """Send an event; `on_ack` gets the packet that acknowledges it."""
        self.send(b"42%d" % self.expect_ack(on_ack) + json.dumps([event, payload]).encode())

    def expect_ack(self, on_ack: OnAck) -> int:
        """The id for an event that the caller sends itself."""
        self._next_ack += 1
        self._acks[self._next_ack] = on_ack
        return self._next_ack

    async def ask(self, event: str, payload: Any) -> Any:
        """Send an event and wait for its acknowledgement. Raises BenchFailed where that says no."""
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.emit(event, payload, answered.set_result)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                packet = await answered
        except TimeoutError:
            raise BenchFailed(f"{event} was not acknowledged within {ANSWER_SECONDS:.0f} s.") from None
        answer = json.loads(packet[packet.index(b"[") :])[0]
        if not answer["success"]:
            raise BenchFailed(f"{event} was refused: {answer['error']}")
        return answer

    async def join(self, code: str) -> dict[str, Any]:
        """Enter a room; the acknowledgement."""
        answer = await self.ask(
            "join-room", {"roomCode": code, "userId": self.account_id, "displayName": self.name}
        )
        self.room_id = answer["roomId"]
        return answer

    def leave(self) -> None:
        """Close as a browser does whose tab is closed: a close frame with code 1001."""
        self._leaving = True
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.GOING_AWAY)

    # -- picows
    def on_ws_connected(self, transport: WSTransport) -> None:
        """The websocket is open."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        if frame.msg_type is WSMsgType.TEXT:
            data = frame.get_payload_as_bytes()
            try:
                if self._auth is None or data.startswith(b"42["):
                    self.on_event(self, data)
                else:
                    self._packet(data)
            except Exception as error:
                self._alarm.ring(error)
        elif frame.msg_type is WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is over."""
        if not self.closed.done():
            self.closed.set_result(None)
        if not self._leaving:
            self._alarm.ring(BenchFailed("A server closed a connection in the middle of a measurement."))

    def _packet(self, data: bytes) -> None:
        """An Engine.IO packet that is no event."""
        if data == b"2":
            self.send(b"3")
        elif data.startswith(b"43"):
            bracket = data.index(b"[")
            self._acks.pop(int(data[2:bracket]))(data)
        elif data.startswith(b"0"):
            self.send(b"40" + (self._auth or b""))
        elif data.startswith(b"40"):
            self.sid = json.loads(data[2:])["sid"]
            self._ready.set_result(None)
        elif data.startswith(b"44"):
            raise BenchFailed(f"A server refused a connection: {data[2:].decode()}")
