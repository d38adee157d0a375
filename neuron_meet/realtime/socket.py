"""One Engine.IO connection, on websocket or polling.

Replaces the reader, writer and ping tasks of `engineio.AsyncSocket` (python-engineio 4.15.1): a frame goes
straight to the websocket's transport, whose buffer is the queue, and is bounded (upstream's queues are not:
python-engineio#133).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiohttp import ClientError, StreamReader, web
from engineio import packet
from engineio.async_socket import AsyncSocket
from engineio.exceptions import ContentTooLongError, EngineIOError

from neuron_meet.errors import BINARY_PARSER
from neuron_meet.realtime.frame_budget import FrameBudget
from neuron_meet.realtime.frames import CLOSE, NOOP, PING, Frame
from neuron_meet.realtime.heartbeat import Heartbeat
from neuron_meet.realtime.packets import asks_for_ack
from neuron_meet.realtime.websocket import FRAMES_A_TURN, NORMAL, UNSUPPORTED, WebSocket, is_unicode
from neuron_meet.repeats import seldom

if TYPE_CHECKING:
    from neuron_meet.realtime.engine import EngineServer

log = structlog.get_logger(__name__)

CLEAN_CLOSE_CODES = frozenset({1000, 1001})
"""Close frames of a client that means to go (docs/protocol.md#recovery)."""
PACKETS_PER_POST = 1000
"""Packets in one polling request at most; a client batches what fits into `maxPayload`."""
QUEUED_PACKET_BYTES = 100
"""What a packet that waits for a poll takes beside its bytes."""


class Poll:
    """A polling client's GET that waits for packets."""

    __slots__ = ("arrived", "request", "stamp")

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.stamp = _stamp(request)
        self.arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def gone(self) -> bool:
        """Whether its connection is: what is sent to it reaches nobody."""
        return is_gone(self.request)

    def wake(self) -> None:
        """There is something for it."""
        if not self.arrived.done():
            self.arrived.set_result(None)


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
        self._queued: deque[bytes] | None = None
        """Packets that wait for a poll."""
        self._queued_bytes = 0
        self.poll_waiting: Poll | None = None
        """A polling client's GET that waits."""
        self._answered: tuple[str, list[packet.Packet]] = ("", [])
        """The stamp of the last GET that took packets, and those, until the next GET shows that they have come: no more
        than may wait for a poll."""
        self.post_under_way: web.Request | None = None
        """A polling client's POST that is being read or handled."""
        self._last_post = b""
        """The hash of the body of the POST that was handled last."""
        self._upgrade: WebSocket | None = None
        """The websocket that asks to carry it."""
        self._outgoing: list[bytes] = []
        self._written = 0
        """Bytes given to the websocket's transport."""
        self._written_at_ping = 0
        self._ping_queued = False
        self._heartbeat = Heartbeat(
            server.ping_interval, server.ping_timeout, ping=self._ping, dead=self._pong_missing
        )
        self._meaningless: FrameBudget | None = None
        self._requests: FrameBudget | None = None
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
        if self._queued is None:
            self._queued = deque()
        self._queued.append(frame.body)
        self._queued_bytes += len(frame.body) + QUEUED_PACKET_BYTES
        if self.poll_waiting is not None:
            self.poll_waiting.wake()
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
        self._written += len(data)
        if transport.get_write_buffer_size() > self.server.max_buffered_bytes:
            self._too_slow()

    async def send(self, pkt: packet.Packet) -> None:
        """Upstream's way to send; nothing of this server uses it."""
        self.write(Frame(pkt.encode().encode()))

    async def poll(self) -> list[packet.Packet]:
        """Upstream's way to wait for packets; nothing of this server uses it."""
        raise NotImplementedError

    # -- polling
    async def handle_get_request(self, environ: dict[str, Any]) -> Any:
        """A GET of a polling client, answered when there are packets; or a request for an upgrade to websocket.

        One of each at a time. A second GET beside one that waits ends the connection, as it does with Node's
        server: a browser that repeats a GET whose connection was cut does not tell its page, and what goes into
        the first one is lost. Where the first one's connection is known to be gone, the second takes its place.
        Raises EngineIOError, which is answered with 400.

        Clients stamp each GET (`t`), so one that is repeated is known, whatever became of the first: it takes its
        place, and gets what that one took. nginx (`proxy_next_upstream`) and Caddy repeat a GET whose answer was lost
        between them and this server, and tell nobody.
        """
        request = cast("web.Request", environ["aiohttp.request"])
        if _asks_for_websocket(environ):
            if self._upgrade is not None or self.upgraded or self.closed:
                return self.server.refuse()
            if (refusal := self.server.refuse_upgrade(self)) is not None:
                return refusal
            return await self._upgrade_websocket(environ)
        stamp, (answered, taken) = _stamp(request), self._answered
        if stamp and stamp == answered:
            return taken
        if self.upgrading or self.upgraded:
            return [packet.Packet(packet.NOOP)]
        former = self.poll_waiting
        if former is not None and not former.gone and not (stamp and stamp == former.stamp):
            raise EngineIOError
        await self._unhurried()
        return await self.packets_for(request)

    async def packets_for(self, request: web.Request) -> list[packet.Packet]:
        """What has gathered for a polling client, once there is something.

        Nothing is taken for a request whose connection is gone, or whose place another has taken: it is kept for the
        next one.
        """
        self._answered = ("", [])
        if not self._queued and not self.closed:
            poll = Poll(request)
            former, self.poll_waiting = self.poll_waiting, poll
            if former is not None:
                former.wake()
            try:
                await poll.arrived
                if self.poll_waiting is not poll:
                    return [packet.Packet(packet.NOOP)]
            finally:
                if self.poll_waiting is poll:
                    self.poll_waiting = None
        if is_gone(request):
            return []
        bodies = list(self._queued or ())
        self._queued, self._queued_bytes, self._ping_queued = None, 0, False
        if not bodies:
            return [packet.Packet(packet.NOOP)]
        taken = [packet.Packet(int(body[:1]), body[1:].decode() or None) for body in bodies]
        self._answered = (_stamp(request), taken)
        return taken

    async def _unhurried(self) -> None:
        """Requests of one client that follow each other faster than frames may are handled more slowly."""
        rate = self.server.frame_rate
        if rate is None:
            return
        if self._requests is None:
            self._requests = FrameBudget(rate)
        self._requests.charge()
        if seconds := self._requests.pause():
            await asyncio.sleep(seconds)

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Packets of a polling client, one POST at a time, so that they stay in order.

        Upstream refuses more than 16 in one request, which clients do send, and takes what has arrived of the body
        for all of it. One that the browser sends again by itself, because the connection was cut under the first, is
        answered and not handled again, where it is known to be the same. Raises ContentTooLongError; EngineIOError
        where the client hangs up in the middle, or sends a second request beside the first.
        """
        request = cast("web.Request", environ["aiohttp.request"])
        if self.post_under_way is not None and not is_gone(self.post_under_way):
            raise EngineIOError
        self.post_under_way = request
        try:
            await self._unhurried()
            body = await self._read(environ["wsgi.input"])
            if not is_unicode(body):
                self.charge(len(body))
                return
            packets = body.split(b"\x1e", PACKETS_PER_POST)
            if len(packets) > PACKETS_PER_POST:
                raise ContentTooLongError
            if self._is_repeated(body, packets):
                self.charge(len(body))
                return
            await self._take_all(packets)
        except EngineIOError:
            if (
                not self.closed
            ):  # else upstream has no answer (python-engineio 4.15.1, AsyncServer.handle_request)
                raise
        finally:
            if self.post_under_way is request:
                self.post_under_way = None

    def _is_repeated(self, body: bytes, packets: list[bytes]) -> bool:
        """Whether a POST is the one before once more: the same bytes, and among them an event with the id of an
        acknowledgement, which a client uses once in a session. Nothing comes between the two: a client sends its next
        POST when the one before is answered.
        """
        found = hashlib.blake2b(body, digest_size=16).digest()
        last, self._last_post = self._last_post, found
        return found == last and any(asks_for_ack(packet) for packet in packets)

    async def _take_all(self, packets: list[bytes]) -> None:
        for number, data in enumerate(packets, 1):
            if self.closed:
                return
            if data[:1] == b"b" and not self.has_been_connected:
                self._say_binary()
                raise EngineIOError
            self.take(data)
            if number % FRAMES_A_TURN == 0 or self.in_debt:
                await asyncio.sleep(self.pay_debt())  # the others have their turn

    async def _read(self, content: StreamReader) -> bytes:
        """The body of a request, to its end, whether or not it says how long it is (RFC 9112 §6)."""
        body = bytearray()
        try:
            async with asyncio.timeout(self.server.ping_interval + self.server.ping_timeout):
                while chunk := await content.readany():
                    body += chunk
                    if len(body) > self.server.max_http_buffer_size:
                        raise ContentTooLongError
        except (asyncio.IncompleteReadError, ConnectionError, ClientError, TimeoutError) as error:
            raise EngineIOError from error
        except web.RequestPayloadError as error:
            raise EngineIOError from error
        return bytes(body)

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
            self._say_binary()
            self.end("binary parser", clean=True, code=UNSUPPORTED, text=BINARY_PARSER)

    def _say_binary(self) -> None:
        seldom(log.warning, "client refused, its packets are binary", by={"address": self.address})

    def _leave(self) -> None:
        """The client closes the connection. A poll that waits is answered with what there is, or a NOOP."""
        if self.poll_waiting is not None:
            self.write(NOOP)
        self.end(self.server.reason.CLIENT_DISCONNECT, abort=self.websocket is None)

    def charge(self, size: int = 0) -> None:
        """Count a frame of `size` bytes that means nothing; a connection that sends too many is read more slowly."""
        budget = self._meaningless
        if budget is None:
            rate = self.server.frame_rate
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
        self._ping_queued = self._transport is None
        self.write(PING)
        self.flush()
        self._written_at_ping = self._written

    def _ping_has_left(self) -> bool:
        """Whether the client can have seen the ping: a pong before that is no answer to it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return not self._ping_queued
        return self._written - transport.get_write_buffer_size() >= self._written_at_ping

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
        self._answered = ("", [])  # a client upgrades once its last poll is answered
        self._send_queued()
        if upgraded:
            ws.receiver = self.take
            if self.poll_waiting is not None:
                self.poll_waiting.wake()
        else:
            ws.start(self, self.take)

    def _send_queued(self) -> None:
        """Send what waited for a poll."""
        queued, self._queued = self._queued, None
        self._queued_bytes, self._ping_queued = 0, False
        for body in queued or ():
            if body != NOOP.body:
                self.write(Frame(body))

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
            if self.poll_waiting is not None:
                self.poll_waiting.wake()
        elif abort:
            self.websocket.abort()
        else:
            self.websocket.close(code, text)


def is_gone(request: web.Request) -> bool:
    """Whether a request's connection is: nobody reads the answer."""
    return request.transport is None or request.transport.is_closing()


def _stamp(request: web.Request) -> str:
    """What a client puts into the URL of each request so that no two are the same, "" where it does not."""
    return request.query.get("t", "")


def _asks_for_websocket(environ: dict[str, Any]) -> bool:
    """Whether a request asks for an upgrade to websocket (RFC 9110 §7.8)."""
    options = {option.strip() for option in environ.get("HTTP_CONNECTION", "").lower().split(",")}
    return "upgrade" in options and environ.get("HTTP_UPGRADE", "").lower() == "websocket"
