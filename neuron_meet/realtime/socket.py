"""One Engine.IO connection, on websocket or polling.

Replaces the reader, writer and ping tasks of `engineio.AsyncSocket` (python-engineio 4.15.1): a frame goes
straight to the websocket's transport, whose buffer is the queue, and is bounded (upstream's queues are not:
python-engineio#133).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web
from engineio import packet
from engineio.async_socket import AsyncSocket

from neuron_meet.errors import BINARY_PARSER
from neuron_meet.holdings import NOTED_BYTES
from neuron_meet.realtime.frame_budget import FrameBudget
from neuron_meet.realtime.frames import CLOSE, NOOP, PING, Frame
from neuron_meet.realtime.heartbeat import Heartbeat
from neuron_meet.realtime.polling import Polling
from neuron_meet.realtime.websocket import NORMAL, UNSUPPORTED, WebSocket
from neuron_meet.repeats import seldom

if TYPE_CHECKING:
    from neuron_meet.realtime.engine import EngineServer

log = structlog.get_logger(__name__)

CLEAN_CLOSE_CODES = frozenset({1000, 1001})
"""Close frames of a client that means to go (docs/protocol.md#recovery)."""


class EngineSocket(AsyncSocket):
    """A connection. `address` is the client's; `write` never waits and never fails."""

    server: EngineServer

    def __init__(self, server: EngineServer, sid: str, address: str) -> None:
        super().__init__(server, sid)
        self.address = address
        self.share = server.shares.of(address)
        self.websocket: WebSocket | None = None
        self._transport: asyncio.Transport | None = None
        self.session = None  # upstream's dictionary; nothing uses it
        self.has_been_connected = False
        """Whether it has asked for the namespace before: each time after the first counts as a new connection."""
        self.polling: Polling | None = None
        """What waits to be fetched, until a websocket carries it."""
        self._upgrade: WebSocket | None = None
        """The websocket that asks to carry it."""
        self._outgoing: list[bytes] = []
        self._pinged = False
        """Whether a ping was written to the websocket and is not answered."""
        self._written_since = 0
        """Bytes that were written after it."""
        self.ping_queued = False
        """Whether a ping waits to be fetched."""
        self._heartbeat = Heartbeat(
            server.ping_interval, server.ping_timeout, ping=self._ping, dead=self._pong_missing
        )
        self._meaningless: FrameBudget | None = None
        self.in_debt = False
        """Whether it has sent more that means nothing than it may, and must not be read for a while."""

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
        polling = self._polled()
        polling.put(frame.body)
        if polling.queued_bytes > NOTED_BYTES:
            self._waits(polling.queued_bytes)

    @property
    def queued_bytes(self) -> int:
        """What waits for the client to take it, in bytes."""
        transport = self._transport
        if transport is None:
            return 0 if self.polling is None else self.polling.queued_bytes
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
        if self._pinged:
            self._written_since += len(data)
        if (waiting := transport.get_write_buffer_size()) > NOTED_BYTES:
            self._waits(waiting)

    async def send(self, pkt: packet.Packet) -> None:
        """Upstream's way to send; nothing of this server uses it."""
        self.write(Frame(pkt.encode().encode()))

    async def poll(self) -> list[packet.Packet]:
        """Upstream's way to wait for packets; nothing of this server uses it."""
        raise NotImplementedError

    # -- requests
    def _polled(self) -> Polling:
        if self.polling is None:
            self.polling = Polling(self)
        return self.polling

    async def handle_get_request(self, environ: dict[str, Any]) -> Any:
        """A GET of a polling client, answered when there are packets; or a request for an upgrade to websocket, of
        which one may be under way. Raises EngineIOError, which is answered with 400.
        """
        if _asks_for_websocket(environ):
            if self._upgrade is not None or self.upgraded or self.closed:
                return self.server.refuse()
            if (refusal := self.server.refuse_upgrade(self)) is not None:
                return refusal
            return await self._upgrade_websocket(environ)
        return await self._polled().get(environ["aiohttp.request"])

    async def packets_for(self, request: web.Request) -> list[packet.Packet]:
        """What waits for a polling client, at the end of its handshake."""
        return await self._polled().packets_for(request)

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Packets of a polling client. Raises ContentTooLongError and EngineIOError, which are answered with 400."""
        await self._polled().post(environ["aiohttp.request"], environ["wsgi.input"])

    # -- receiving
    async def receive(self, pkt: packet.Packet) -> None:
        """Not used: `handle_post_request` and the websocket hand packets to `take`."""
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """Handle one Engine.IO packet."""
        kind = data[:1]
        if kind == b"4":
            self.server.sink.message(self, data[1:])
        elif kind == b"3" and self._heartbeat.awaits_pong and self._ping_has_left():
            self._pinged = False
            self._heartbeat.wait()
            self.server.sink.ponged(self)
        elif kind == b"1":
            self._leave()
        else:
            self.charge(len(data))

    def take_binary(self) -> None:
        """A binary message. One instead of a CONNECT packet comes from another parser, such as msgpack: its client
        would wait for ever.
        """
        if not self.has_been_connected and not self.closed:
            self.say_binary()
            self.end("binary parser", clean=True, code=UNSUPPORTED, text=BINARY_PARSER)

    def say_binary(self) -> None:
        """Say that its packets come from another parser."""
        seldom(log.warning, "client refused, its packets are binary", by={"address": self.address})

    def _leave(self) -> None:
        """The client closes the connection. A poll that waits is answered with what there is, or a NOOP."""
        if self.polling is not None and self.polling.waiting is not None:
            self.write(NOOP)
        self.end(self.server.reason.CLIENT_DISCONNECT, abort=self.websocket is None)

    def charge(self, size: int = 0) -> None:
        """Count a frame of `size` bytes that means nothing; a connection that sends too many is read more slowly."""
        budget = self._meaningless
        if budget is None:
            rate = self.server.bounds.frame_rate
            if rate is None:
                return
            budget = self._meaningless = FrameBudget(rate)
        budget.charge(size)
        if budget.pause():
            self.in_debt = True

    def pay_debt(self) -> float:
        """Seconds for which it must not be read; a connection that has been in debt for long is ended."""
        self.in_debt = False
        budget = self._meaningless
        if budget is None or self.closed:
            return 0.0
        if budget.kept_up:
            what = "connection dropped, it sends too much that means nothing"
            seldom(log.warning, what, by={"address": self.address})
            self.server.flooding_dropped += 1
            self.end("too many frames", clean=True, abort=True)
            return 0.0
        return budget.pause()

    # -- living
    def schedule_ping(self) -> None:
        """Upstream's call at the end of the handshake."""
        self._heartbeat.wait()

    def _ping(self) -> None:
        self.server.sink.pinged(self)
        self.ping_queued = self._transport is None
        self.write(PING)
        self.flush()
        self._pinged, self._written_since = True, 0

    def _ping_has_left(self) -> bool:
        """Whether the client can have seen the ping: a pong before that is no answer to it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return not self.ping_queued
        return transport.get_write_buffer_size() <= self._written_since

    def _pong_missing(self) -> None:
        self.end(self.server.reason.PING_TIMEOUT, abort=True)

    def _waits(self, size: int) -> None:
        if size > self.server.max_buffered_bytes:
            # Not at once: the caller may be in the middle of a room's members.
            asyncio.get_running_loop().call_soon(self.give_up)
        else:
            self.server.bounds.unfetched.note(self)

    def held_bytes(self) -> int:
        """What waits for the client to take it, in bytes (holdings.py)."""
        return self.queued_bytes

    def give_up(self) -> None:
        """What waits for the client is too much, of it alone or of all from its address."""
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
            if self._upgrade is not None or self.closed:  # another one was faster
                ws.abort()
                return
            self._start_upgrade(ws)
        else:
            self._carry_by(ws)
        clean = await ws.ended() in CLEAN_CLOSE_CODES
        if self.websocket is ws:
            reason = self.server.reason.CLIENT_DISCONNECT if clean else self.server.reason.TRANSPORT_CLOSE
            self.end(reason, clean=clean)
        elif self._upgrade is ws:
            self._upgrade_over()
            self.upgrading = False  # the connection stays on polling

    def _start_upgrade(self, ws: WebSocket) -> None:
        """The probe handshake from polling to websocket: `2probe`, `3probe`, `5`."""
        self._upgrade = ws
        self.server.at_once.take(self.address)
        deadline = asyncio.get_running_loop().call_later(self.server.ping_timeout, ws.abort)

        def probed(data: bytes) -> None:
            if data != b"2probe":
                ws.close()
                return
            self.upgrading = True  # polling requests are answered with a NOOP until it is decided
            ws.write(b"3probe")
            self.write(NOOP)  # ends the poll that is under way
            ws.receiver = decided

        def decided(data: bytes) -> None:
            deadline.cancel()
            if data == b"5" and not self.closed:
                self._upgrade_over()
                self._carry_by(ws)
            else:
                ws.close()

        ws.start(self, probed)

    def _upgrade_over(self) -> None:
        self._upgrade = None
        self.server.at_once.release(self.address)

    def _carry_by(self, ws: WebSocket) -> None:
        """From now on packets go over this websocket, those that wait first."""
        upgraded = self.connected
        self.connected = self.upgraded = True
        self.upgrading = False
        self.websocket, self._transport = ws, ws.transport
        self._send_queued()
        if upgraded:
            ws.receiver = self.take
        else:
            ws.start(self, self.take)

    def _send_queued(self) -> None:
        """Send what waited for a poll."""
        polling, self.ping_queued = self.polling, False
        if polling is None:
            return
        polling.upgraded()
        for body in polling.take_all():
            if body != NOOP.body:
                self.write(Frame(body))
        polling.wake()

    # -- ending
    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Upstream's way to close."""
        self.end(reason or self.server.reason.SERVER_DISCONNECT, abort=abort)

    def end(
        self, reason: str, *, clean: bool = False, abort: bool = False, code: int = NORMAL, text: str = ""
    ) -> None:
        """End the connection, once; later calls do nothing. `clean`: for good, no place is held. `code` and `text` go
        into a websocket's close frame.
        """
        if self.closed:
            return
        self._heartbeat.stop()
        if not abort:
            self.write(CLOSE)
            self.flush()
        self.closed = self.closing = True
        self.server.forget(self)
        self.server.sink.ended(self, reason, clean=clean)
        if self._upgrade is not None:
            self._upgrade.abort()
        if self.websocket is None:
            if self.polling is not None:
                self.polling.wake()
        elif abort:
            self.websocket.abort()
        else:
            self.websocket.close(code, text)


def _asks_for_websocket(environ: dict[str, Any]) -> bool:
    """Whether a request asks for an upgrade to websocket (RFC 9110 §7.8)."""
    options = {option.strip() for option in environ.get("HTTP_CONNECTION", "").lower().split(",")}
    return "upgrade" in options and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
