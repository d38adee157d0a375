"""One Engine.IO connection, on websocket or polling.

Replaces the reader, writer and ping tasks of `engineio.AsyncSocket` (python-engineio 4.15.1): a frame goes
straight to the websocket's transport, whose buffer is the queue, and is bounded (upstream's queues are not:
python-engineio#133).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from engineio import packet
from engineio.async_socket import AsyncSocket
from engineio.exceptions import ContentTooLongError, EngineIOError

from neuron_meet.realtime.frames import CLOSE, NOOP, PING, Frame
from neuron_meet.realtime.heartbeat import Heartbeat
from neuron_meet.realtime.websocket import WebSocket
from neuron_meet.repeats import seldom

if TYPE_CHECKING:
    from neuron_meet.realtime.engine import EngineServer

log = structlog.get_logger(__name__)

CLEAN_CLOSE_CODES = frozenset({1000, 1001})
"""Close frames of a client that means to go (contract, Connection state recovery)."""
MAX_STRIKES = 1000
"""Packets that mean nothing in the life of one connection; an honest client sends none."""
PACKETS_PER_POST = 1000
"""Packets in one polling request at most; a client batches what fits into `maxPayload`."""


class EngineSocket(AsyncSocket):
    """A connection. `address` is the client's; `write` never waits and never fails."""

    server: EngineServer

    def __init__(self, server: EngineServer, sid: str, address: str) -> None:
        super().__init__(server, sid)
        self.address = address
        self.websocket: WebSocket | None = None
        self._transport: asyncio.Transport | None = None
        self.session = None  # upstream's dictionary; nothing uses it
        self.has_been_connected = False
        """Whether it has asked for the namespace before: each time after the first counts as a new connection."""
        self._strikes = 0
        self._queued_bytes = 0
        self._outgoing: list[bytes] = []
        self._heartbeat = Heartbeat(
            server.ping_interval, server.ping_timeout, ping=self._ping, dead=self._pong_missing
        )

    # -- sending
    def write(self, frame: Frame) -> None:
        """Send a frame, after everything that was written before it.

        A client that does not take what is sent is dropped when more than the limit is buffered.
        """
        if self.closed:
            return
        if self._transport is not None:
            if not self._outgoing:
                self.server.flush_soon(self)
            self._outgoing.append(frame.websocket)
            return
        self.queue.put_nowait(packet.Packet(int(frame.body[:1]), frame.body[1:].decode() or None))
        self._queued_bytes += len(frame.body)
        if self._queued_bytes > self.server.max_buffered_bytes:
            self._too_slow()

    @property
    def queued_bytes(self) -> int:
        """What waits for the client to take it, in bytes."""
        transport = self._transport
        if transport is None:
            return self._queued_bytes
        return 0 if transport.is_closing() else transport.get_write_buffer_size()

    def flush(self) -> None:
        """Write what has gathered in this turn of the loop, in one system call.

        That call is most of what a packet costs; a client that sends several at once, or whose candidates come
        in bursts, is answered in one.
        """
        outgoing, transport = self._outgoing, self._transport
        if not outgoing:
            return
        data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
        outgoing.clear()
        if transport is None or transport.is_closing():  # cut, and not heard of yet; uvloop raises on a write
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self.server.max_buffered_bytes:
            self._too_slow()

    async def send(self, pkt: packet.Packet) -> None:
        """Upstream's way to send; nothing of this server uses it."""
        self.write(Frame(pkt.encode().encode()))

    async def poll(self) -> list[packet.Packet]:
        """Packets for a polling request; waits for the first."""
        packets = await super().poll()
        self._queued_bytes = 0
        return packets

    # -- receiving
    async def receive(self, pkt: packet.Packet) -> None:
        """Not used: `handle_post_request` and the websocket loop hand packets to `take`."""
        raise NotImplementedError

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Packets of a polling client.

        Upstream refuses more than 16 in one request, which clients do send, and takes what has arrived of the body
        for all of it. Raises ContentTooLongError; EngineIOError where the client hangs up in the middle.
        """
        length = int(environ.get("CONTENT_LENGTH", "0"))
        if length > self.server.max_http_buffer_size:
            raise ContentTooLongError
        try:
            body: bytes = await environ["wsgi.input"].readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EngineIOError from error
        packets = body.split(b"\x1e")
        if len(packets) > PACKETS_PER_POST:
            raise ContentTooLongError
        for data in packets:
            if self.closed:
                return
            self.take(data)

    def take(self, data: bytes) -> None:
        """Handle one Engine.IO packet."""
        kind = data[:1]
        if kind == b"4":
            self.server.sink.message(self, data[1:])
        elif kind == b"3":
            self._heartbeat.wait()
            self.server.sink.ponged(self)
        elif kind == b"1":
            self.end(self.server.reason.CLIENT_DISCONNECT)
        elif kind not in (b"2", b"5", b"6"):
            self.strike()

    def strike(self) -> None:
        """Count a packet that means nothing; a connection that sends little else is closed."""
        self._strikes += 1
        if self._strikes >= MAX_STRIKES:
            self.end("protocol errors", clean=True, abort=True)

    # -- living
    def schedule_ping(self) -> None:
        """Upstream's call at the end of the handshake."""
        self._heartbeat.wait()

    def _ping(self) -> None:
        self.server.sink.pinged(self)
        self.write(PING)

    def _pong_missing(self) -> None:
        self.end(self.server.reason.PING_TIMEOUT, abort=True)

    def _too_slow(self) -> None:
        # Not at once: the caller may be in the middle of a room's members.
        asyncio.get_running_loop().call_soon(self._drop_slow)

    def _drop_slow(self) -> None:
        if not self.closed:
            seldom(log.warning, "slow client dropped", by={"address": self.address})
            self.server.slow_dropped += 1
            self.end("slow client", clean=True, abort=True)

    # -- the websocket
    async def _websocket_handler(self, ws: WebSocket) -> None:
        """Upstream's name for it."""
        await self.run(ws)

    async def run(self, ws: WebSocket) -> None:
        """Run a websocket of this connection until it ends."""
        if self.connected:
            self._start_upgrade(ws)
        else:
            self._carry_by(ws)
        clean = await ws.ended() in CLEAN_CLOSE_CODES
        if self.websocket is ws:
            reason = self.server.reason.CLIENT_DISCONNECT if clean else self.server.reason.TRANSPORT_CLOSE
            self.end(reason, clean=clean)
        else:
            self.upgrading = False  # the connection stays on polling

    def _start_upgrade(self, ws: WebSocket) -> None:
        """The probe handshake from polling to websocket: `2probe`, `3probe`, `5`."""
        self.upgrading = True  # polling requests are answered with a NOOP until it is decided
        deadline = asyncio.get_running_loop().call_later(self.server.ping_timeout, ws.abort)

        def probed(data: bytes) -> None:
            if data != b"2probe":
                ws.close()
                return
            ws.write(b"3probe")
            self.write(NOOP)  # ends the poll that is under way
            ws.receiver = decided

        def decided(data: bytes) -> None:
            deadline.cancel()
            if data == b"5":
                self._carry_by(ws)
            else:
                ws.close()

        ws.receiver = probed

    def _carry_by(self, ws: WebSocket) -> None:
        """From now on packets go over this websocket, those that wait first."""
        self.connected = self.upgraded = True
        self.upgrading = False
        if self.closed:
            ws.close()
            return
        self.websocket, self._transport = ws, ws.transport
        ws.receiver = self.take
        self._flush_queue()

    def _flush_queue(self) -> None:
        while not self.queue.empty():
            queued = self.queue.get_nowait()
            self.queue.task_done()
            if queued is not None and queued.packet_type != packet.NOOP:
                self.write(Frame(queued.encode().encode()))
        self._queued_bytes = 0

    # -- ending
    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Upstream's way to close."""
        self.end(reason or self.server.reason.SERVER_DISCONNECT, abort=abort)

    def end(self, reason: str, *, clean: bool = False, abort: bool = False) -> None:
        """End the connection, once; later calls do nothing. `clean`: for good, no place is held."""
        if self.closed:
            return
        self._heartbeat.stop()
        if not abort:
            self.write(CLOSE)
            self.flush()
        self.closed = self.closing = True
        self.server.sockets.pop(self.sid, None)
        self.server.sink.ended(self, reason, clean=clean)
        if self.websocket is None:
            self.queue.put_nowait(None)  # ends the poll that is under way
        elif abort:
            self.websocket.abort()
        else:
            self.websocket.close()
