"""The polling transport of one Engine.IO connection: what waits to be fetched, the GET that waits, the POST under way.

Replaces the queue and the request handling of `engineio.AsyncSocket` (python-engineio 4.15.1), which take what has
arrived of a body for all of it, refuse more than 16 packets in a POST, and lose what goes into a GET that a browser
repeats (docs/protocol.md#transport).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import ClientError, StreamReader, web
from engineio import packet
from engineio.exceptions import ContentTooLongError, EngineIOError

from neuron_meet.holdings import NOTED_BYTES
from neuron_meet.realtime.frame_budget import FrameBudget
from neuron_meet.realtime.packets import asks_for_ack
from neuron_meet.realtime.websocket import FRAMES_A_TURN, is_unicode

if TYPE_CHECKING:
    from neuron_meet.realtime.socket import EngineSocket

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


class Polling:
    """What a connection holds while its packets are fetched. A connection that begins as a websocket has none."""

    __slots__ = (
        "_answered",
        "_last_post",
        "_packets",
        "_requests",
        "_socket",
        "post_bytes",
        "post_under_way",
        "queued_bytes",
        "waiting",
    )

    def __init__(self, socket: EngineSocket) -> None:
        self._socket = socket
        self._packets: deque[bytes] = deque()
        """Packets that wait for a poll."""
        self.queued_bytes = 0
        """What they take, in bytes."""
        self.waiting: Poll | None = None
        """The GET that waits."""
        self._answered: tuple[str, list[packet.Packet]] = ("", [])
        """The stamp of the last GET that took packets, and those, until the next GET shows that they have come: no more
        than may wait for a poll."""
        self.post_under_way: web.Request | None = None
        """The POST that is being read or handled."""
        self.post_bytes = 0
        """What has been read of it."""
        self._last_post = b""
        """The hash of the body of the POST that was handled last."""
        self._requests: FrameBudget | None = None

    # -- what goes out
    def put(self, body: bytes) -> None:
        """Keep a packet for the next GET, or give it to the one that waits."""
        self._packets.append(body)
        self.queued_bytes += len(body) + QUEUED_PACKET_BYTES
        self.wake()

    def take_all(self) -> list[bytes]:
        """The packets that wait, which wait no more."""
        packets, self._packets = list(self._packets), deque()
        self.queued_bytes = 0
        return packets

    def wake(self) -> None:
        """Answer the GET that waits, if one does."""
        if self.waiting is not None:
            self.waiting.wake()

    async def get(self, request: web.Request) -> list[packet.Packet]:
        """A GET's answer, once there is something to be fetched. One GET at a time.

        A second GET beside one that waits ends the connection, as it does with Node's server: a browser that repeats a
        GET whose connection was cut does not tell its page, and what goes into the first one is lost. Where the first
        one's connection is known to be gone, the second takes its place. Raises EngineIOError, which is answered with
        400.

        Clients stamp each GET (`t`), so one that is repeated is known, whatever became of the first: it takes its
        place, and gets what that one took. nginx (`proxy_next_upstream`) and Caddy repeat a GET whose answer was lost
        between them and this server, and tell nobody.
        """
        stamp, (answered, taken) = _stamp(request), self._answered
        if stamp and stamp == answered:
            return taken
        if self._socket.upgrading or self._socket.upgraded:
            return [packet.Packet(packet.NOOP)]
        former = self.waiting
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
        if not self._packets and not self._socket.closed:
            poll = Poll(request)
            former, self.waiting = self.waiting, poll
            if former is not None:
                former.wake()
            try:
                await poll.arrived
                if self.waiting is not poll:
                    return [packet.Packet(packet.NOOP)]
            finally:
                if self.waiting is poll:
                    self.waiting = None
        if is_gone(request):
            return []
        bodies = self.take_all()
        self._socket.ping_queued = False
        if not bodies:
            return [packet.Packet(packet.NOOP)]
        taken = [packet.Packet(int(body[:1]), body[1:].decode() or None) for body in bodies]
        self._answered = (_stamp(request), taken)
        return taken

    def upgraded(self) -> None:
        """A websocket carries the packets from now on: a client upgrades once its last GET is answered."""
        self._answered = ("", [])

    async def _unhurried(self) -> None:
        """Requests of one client that follow each other faster than frames may are handled more slowly."""
        rate = self._socket.server.bounds.frame_rate
        if rate is None:
            return
        if self._requests is None:
            self._requests = FrameBudget(rate)
        self._requests.charge()
        if seconds := self._requests.pause():
            await asyncio.sleep(seconds)

    # -- what comes in
    async def post(self, request: web.Request, content: StreamReader) -> None:
        """The packets of a POST, one POST at a time, so that they stay in order.

        One that the browser sends again by itself, because the connection was cut under the first, is answered and not
        handled again, where it is known to be the same. Raises ContentTooLongError; EngineIOError where the client
        hangs up in the middle, or sends a second request beside the first.
        """
        if self.post_under_way is not None and not is_gone(self.post_under_way):
            raise EngineIOError
        self.post_under_way = request
        try:
            await self._unhurried()
            await self._handle(await self._read(content))
        except EngineIOError:
            # Upstream has no answer for a session that is over (python-engineio 4.15.1, AsyncServer.handle_request).
            if not self._socket.closed:
                raise
        finally:
            if self.post_under_way is request:
                self.post_under_way = None

    async def _handle(self, body: bytes) -> None:
        if not is_unicode(body):
            self._socket.charge(len(body))
            return
        packets = body.split(b"\x1e", PACKETS_PER_POST)
        if len(packets) > PACKETS_PER_POST:
            raise ContentTooLongError
        if self._is_repeated(body, packets):
            self._socket.charge(len(body))
            return
        await self._take_all(packets)

    def _is_repeated(self, body: bytes, packets: list[bytes]) -> bool:
        """Whether a POST is the one before once more: the same bytes, and among them an event with the id of an
        acknowledgement, which a client uses once in a session. Nothing comes between the two: a client sends its next
        POST when the one before is answered.
        """
        found = hashlib.blake2b(body, digest_size=16).digest()
        last, self._last_post = self._last_post, found
        return found == last and any(asks_for_ack(packet) for packet in packets)

    async def _take_all(self, packets: list[bytes]) -> None:
        socket, share = self._socket, self._socket.share
        for number, data in enumerate(packets, 1):
            if socket.closed:
                return
            if data[:1] == b"b" and not socket.has_been_connected:
                socket.say_binary()
                raise EngineIOError
            if number % FRAMES_A_TURN == 0:
                await asyncio.sleep(0)  # the others have their turn
                if socket.closed:
                    return
            if not share.take(1):
                await share.turn(1)
                if socket.closed:
                    return
            socket.take(data)
            if socket.in_debt:
                await asyncio.sleep(socket.pay_debt())

    async def _read(self, content: StreamReader) -> bytes:
        """The body of a request, to its end, whether or not it says how long it is (RFC 9112 §6)."""
        server, body = self._socket.server, bytearray()
        try:
            async with asyncio.timeout(server.ping_interval + server.ping_timeout):
                while chunk := await content.readany():
                    body += chunk
                    self.post_bytes = len(body)
                    if self.post_bytes > NOTED_BYTES:
                        server.bounds.half_messages.note(self)
                    if len(body) > server.max_http_buffer_size:
                        raise ContentTooLongError
        except (asyncio.IncompleteReadError, ConnectionError, ClientError, TimeoutError) as error:
            raise EngineIOError from error
        except web.RequestPayloadError as error:
            raise EngineIOError from error
        finally:
            self.post_bytes = 0
            server.bounds.half_messages.forget(self)
        return bytes(body)

    # -- bytes that are held for it (holdings.py)
    @property
    def address(self) -> str:
        """The client's."""
        return self._socket.address

    def held_bytes(self) -> int:
        """What has come of a POST that is not whole."""
        return self.post_bytes

    def give_up(self) -> None:
        """All that is held for this client and its neighbours is too much."""
        self._socket.end("too many bytes", clean=True, abort=True)
        if self.post_under_way is not None and self.post_under_way.transport is not None:
            self.post_under_way.transport.abort()


def is_gone(request: web.Request) -> bool:
    """Whether a request's connection is: nobody reads the answer."""
    return request.transport is None or request.transport.is_closing()


def _stamp(request: web.Request) -> str:
    """What a client puts into the URL of each request so that no two are the same, "" where it does not."""
    return request.query.get("t", "")
