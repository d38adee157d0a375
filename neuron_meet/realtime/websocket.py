"""The websocket of a connection on aiohttp: packets are handed over in the turn in which they arrive.

Replaces things of `engineio.async_drivers.aiohttp.WebSocket` (python-engineio 4.15.1) and of
`aiohttp.web.WebSocketResponse` (aiohttp 3.14), for what they cost (docs/performance.md):

- permessage-deflate, which the driver leaves on for every browser: +8 µs a delivery, +100-200 kB a connection;
- the queue, future and task wake-up between aiohttp's frame parser and whoever reads;
- a read as a unit: the parser handles all that arrived in one turn of the loop, a hundred thousand frames where a
  client means harm;
- the response object's way to the 101, which is four fixed lines (of a connect, a tenth).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

import structlog
from aiohttp import WSMsgType, hdrs, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from neuron_meet.failure import place
from neuron_meet.holdings import NOTED_BYTES
from neuron_meet.realtime.frames import websocket_close, websocket_pong, websocket_text
from neuron_meet.repeats import seldom
from neuron_meet.shares import Share, Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from neuron_meet.realtime.engine import EngineServer
    from neuron_meet.realtime.socket import EngineSocket

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_SECONDS = 2.0
"""How long a peer has to answer a close frame before its connection is cut."""
NORMAL = 1000
PROTOCOL_ERROR = 1002
UNSUPPORTED = 1003
ABNORMAL = 1006
INVALID_TEXT = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
"""Close codes (RFC 6455 §7.4.1; 1013 by IANA's registry)."""
LARGEST_CLOSE_CODE = 4999
"""Of those that are for anybody's use (RFC 6455 §7.4.2)."""
FRAMES_A_TURN = 128
"""Frames of one connection that are handled before other connections have their turn: 3 ms of the dearest."""
SLICE_BYTES = 4_096
"""What is given to the parser at once, 680 of the smallest frames (3 ms): it cannot be stopped inside."""
LARGEST_SLICE_BYTES = 65_536
"""Slices grow up to here for as long as they lie within one frame."""
SMALL_READ_BYTES = 512
"""A read under this that completes no frame counts as one that means nothing: segments of a large one are longer."""
PONG_BACKLOG_BYTES = 65_536
"""A ping is not answered while more than this waits for its sender (RFC 6455 §5.5.3 asks for the latest only)."""
NOBODYS = Share()
"""The share of a websocket that is not read yet."""
_MORE = (False, b"")
"""What aiohttp's parsers return: not at the end, nothing left over."""
_MASKED = 0x80

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
"""RFC 9110 §5.6.2; no client's header is written into an answer otherwise."""


class _Message(Protocol):
    type: WSMsgType
    data: Any


class WebSocket:
    """A websocket connection. Constructed by the engine, which then calls `answer`, and by
    `engineio.AsyncSocket._upgrade_websocket`, which awaits it.

    Text packets go to `receiver`; binary ones are passed over, as this protocol has none.
    """

    def __init__(self, handler: Callable[[WebSocket], Awaitable[None]], server: EngineServer) -> None:
        self._handler = handler
        self.max_bytes = server.max_http_buffer_size
        """The largest message, in bytes."""
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._closing: asyncio.TimerHandle | None = None
        self._reader: _Reader | None = None
        self._request: web.Request | None = None
        self.share = NOBODYS
        """Of its client's address; its frames are counted there, fragments as one."""
        self._holdings = server.bounds.half_messages
        self.session: EngineSocket | None = None
        """The connection that it carries, or asks to carry."""
        self.receiver: Callable[[bytes], None] = lambda _: None
        self.transport: asyncio.Transport | None = None
        self.unfinished = 0
        """Bytes read since the last text message, without those of other frames."""
        self.over = False
        """Whether nothing more is read from it."""

    async def __call__(self, environ: dict[str, Any]) -> web.StreamResponse:
        """Answer the upgrade request and run the handler until the connection ends."""
        request = cast(web.Request, environ["aiohttp.request"])
        environ.clear()  # kept for the connection's life otherwise, headers and all
        return await self.answer(request, Upgrade(request))

    async def answer(
        self, request: web.Request, upgrade: Upgrade, greeting: bytes = b""
    ) -> web.StreamResponse:
        """Answer a request that asks for an upgrade, with `greeting` in the same system call, and run the handler until
        the connection ends.
        """
        transport = self.transport = request.transport
        if transport is None or transport.is_closing():  # the client has gone meanwhile
            return upgrade
        transport.write(upgrade.head + greeting)
        self._request = request
        await self._handler(self)
        return upgrade

    def start(self, session: EngineSocket, receiver: Callable[[bytes], None]) -> None:
        """Read from now on, for `session`: text goes to `receiver`."""
        self.session, self.receiver, self.share = session, receiver, session.share
        request, self._request = self._request, None
        assert request is not None  # noqa: S101 -- `answer` has been called
        self._reader = _Reader(self, request.protocol)
        # The protocol keeps the parser for as long as the connection lives, and gives it what came with the request.
        request.protocol.set_parser(cast("WebSocketReader", self._reader))
        request.protocol.keep_alive(False)

    async def ended(self) -> int:
        """The close code with which the peer ended it; 1006 where it just vanished."""
        return await self._ended

    def write(self, body: bytes) -> None:
        """Send one text packet."""
        self._send(websocket_text(body))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close with a close frame; cut the connection where the peer does not answer in time."""
        if self._closing is not None or self._ended.done() or self.transport is None:
            return
        if self.session is not None:
            self.session.flush()  # what was answered in this turn goes before
        self._send(websocket_close(code, reason))
        self._closing = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_SECONDS, self.abort)

    def abort(self) -> None:
        """Cut the connection, whatever is still buffered."""
        if self.transport is not None:
            self.transport.abort()
        self._end(ABNORMAL)

    # -- from the parser
    def take(self, message: _Message) -> None:
        """A message of the peer's. What follows a close frame, of either side, is ignored."""
        kind = message.type
        self.share.used += 1
        if kind is WSMsgType.TEXT:
            self.unfinished = 0
            data: bytes = message.data
            if self._closing is not None or self.over:
                self._charge(len(data))
            elif data.isascii() or is_unicode(data):  # this is each packet's way: a call less
                self.receiver(data)
            else:
                self.fail(INVALID_TEXT)
        elif kind is WSMsgType.CLOSE:
            self._take_close(message.data or 0)
        else:
            size = len(message.data)
            self.unfinished = max(0, self.unfinished - size)
            self._charge(size)
            if kind is WSMsgType.PING:
                self._answer_ping(message.data)
            elif kind is WSMsgType.BINARY and self.session is not None:
                self.session.take_binary()

    def _take_close(self, code: int) -> None:
        """The peer's close frame, which is answered with the same code (RFC 6455 §5.5.1)."""
        if code == ABNORMAL or code > LARGEST_CLOSE_CODE:  # aiohttp's parser lets these pass (§7.4.1, §7.4.2)
            self.fail(PROTOCOL_ERROR)
            return
        if self._closing is None:
            if self.session is not None:
                self.session.flush()  # what was answered in this turn goes before
            self._send(websocket_close(code))
        self._end(code)

    def _answer_ping(self, data: bytes) -> None:
        transport = self.transport
        if self._closing is not None or transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() <= PONG_BACKLOG_BYTES:
            transport.write(websocket_pong(data))

    def _charge(self, size: int) -> None:
        if self.session is not None:
            self.session.charge(size)

    # -- bytes that are held for it (holdings.py)
    @property
    def address(self) -> str:
        """The client's."""
        return "" if self.session is None else self.session.address

    def held_bytes(self) -> int:
        """What has come of a message that is not whole, and what waits to be looked at."""
        return 0 if self.over or self._reader is None else self.unfinished + self._reader.waiting_bytes

    def holds_much(self) -> None:
        """Have the bytes counted that are held for it."""
        self._holdings.note(self)

    def give_up(self) -> None:
        """All that it and its neighbours hold is too much."""
        self.fail(TRY_AGAIN_LATER)

    def fail(self, code: int) -> None:
        """The peer broke the protocol, or a packet was too large."""
        self.close(code)
        self._end(ABNORMAL)

    def vanish(self) -> None:
        """The TCP connection is gone."""
        self._end(ABNORMAL)

    def _send(self, frame: bytes) -> None:
        # uvloop raises where asyncio only warns: the connection may be cut before its protocol hears of it.
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(frame)

    def _end(self, code: int) -> None:
        if self._closing is not None:
            self._closing.cancel()
        if self._reader is not None:
            self._reader.stop()
        self.over = True
        self._holdings.forget(self)
        if not self._ended.done():
            self._ended.set_result(code)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


class _Reader:
    """Stands between aiohttp's protocol and its frame parser: a turn of the loop handles so many frames, no more.

    What is left of a read waits until the others have had their turn, and until the connection's debt of frames that
    mean nothing is paid; the transport is not read meanwhile, so that TCP slows the sender.
    """

    __slots__ = ("_first", "_next", "_parse", "_parser", "_rest", "_websocket")

    def __init__(self, websocket: WebSocket, protocol: Any) -> None:
        packets = _Packets(websocket, protocol, asyncio.get_running_loop())
        # One more: the parser refuses what is as large as its limit, which is what clients are told they may send.
        self._parser = WebSocketReader(packets, websocket.max_bytes + 1, compress=False, decode_text=False)
        self._parse = self._parser.feed_data
        self._websocket = websocket
        self._rest = b""
        self._next: asyncio.Handle | Turn | None = None
        """The turn that goes on with the rest; the transport is paused until then."""
        self._first = True

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes of the peer's (aiohttp's interface of a parser)."""
        if self._first:
            data, self._rest = self._rest + data, b""
            if len(data) < 2:  # noqa: PLR2004 -- a frame's first two bytes
                self._rest = data
                return _MORE
            self._first = False
            if not data[1] & _MASKED:  # RFC 6455 §5.1; a client masks all of its frames or none
                self._websocket.fail(PROTOCOL_ERROR)
        websocket = self._websocket
        share = websocket.share
        if self._next is not None:
            self._rest += data  # what was read before the pause took hold
        elif share.used >= share.limit and share.is_out():
            self._rest = data
            self._pause(share.wait(self._resume))
        elif len(data) > SLICE_BYTES:
            self._rest = data
            self._go_on()
        elif not websocket.over:  # `_feed`, without a call more: this is each packet's way
            before = share.used
            websocket.unfinished += len(data)
            self._parse(data)
            if share.used == before:
                self._nothing_whole(len(data))
            session = websocket.session
            if session is not None and session.in_debt:
                self._heed_debt()
        return _MORE

    def feed_eof(self) -> None:
        """The connection is gone (aiohttp's interface of a parser)."""
        self._parser.feed_eof()

    def stop(self) -> None:
        """Read nothing more."""
        self._rest = b""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _feed(self, data: bytes) -> None:
        websocket = self._websocket
        if websocket.over:
            return
        share = websocket.share
        before = share.used
        websocket.unfinished += len(data)
        self._parse(data)
        if share.used == before:
            self._nothing_whole(len(data))

    def _nothing_whole(self, size: int) -> None:
        """So many bytes have completed no frame."""
        websocket = self._websocket
        if websocket.unfinished > NOTED_BYTES:
            websocket.holds_much()
        if size < SMALL_READ_BYTES and websocket.session is not None:
            websocket.session.charge()
        if websocket.unfinished > 2 * websocket.max_bytes:  # fragments without content
            websocket.fail(TOO_BIG)

    def _go_on(self) -> None:
        self._next = None
        websocket, rest, share = self._websocket, self._rest, self._websocket.share
        last = min(share.used + FRAMES_A_TURN, share.limit)
        start, size = 0, SLICE_BYTES
        while start < len(rest) and not websocket.over:
            before = share.used
            self._feed(rest[start : start + size])
            start += size
            size = SLICE_BYTES if share.used > before else min(2 * size, LARGEST_SLICE_BYTES)
            if start < len(rest) and (share.used >= last or self._in_debt()):
                self._rest = rest[start:]
                if not self._heed_debt():
                    self._pause(share.wait(self._resume))
                return
        self._rest = b""
        self._heed_debt()

    def _in_debt(self) -> bool:
        session = self._websocket.session
        return session is not None and session.in_debt

    def _heed_debt(self) -> bool:
        """Pause where the connection is in debt. Returns whether it is, or is over."""
        websocket = self._websocket
        session = websocket.session
        if session is None or not session.in_debt:
            return websocket.over
        seconds = session.pay_debt()
        if seconds and not websocket.over:
            self._pause(asyncio.get_running_loop().call_later(seconds, self._resume))
        return websocket.over or bool(seconds)

    @property
    def waiting_bytes(self) -> int:
        """What has been read and waits to be looked at."""
        return len(self._rest)

    def _pause(self, resumption: asyncio.Handle | Turn) -> None:
        transport = self._websocket.transport
        self._next = resumption
        if len(self._rest) > NOTED_BYTES:
            self._websocket.holds_much()
        if transport is not None and not transport.is_closing():
            transport.pause_reading()

    def _resume(self) -> None:
        share = self._websocket.share
        if share.used >= share.limit and share.is_out():
            self._next = share.wait(self._resume)
            return
        self._go_on()
        transport = self._websocket.transport
        if self._next is None and transport is not None and not transport.is_closing():
            transport.resume_reading()


class _Packets(WebSocketDataQueue):
    """Where aiohttp's frame parser puts messages: no queue, but straight to the websocket."""

    def __init__(self, websocket: WebSocket, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(protocol, 2**16, loop=loop)
        self._websocket = websocket

    def feed_data(self, data: Any, size: int) -> None:
        """A message."""
        self._websocket.take(data)

    def feed_eof(self) -> None:
        """The end of the connection."""
        self._websocket.vanish()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """What the peer sent is no websocket message, or handling it failed."""
        code = getattr(exc, "code", None)
        if code is None:
            where = place(exc)
            seldom(log.error, "packet not handled", by={"error": where.pop("error")}, **where)
        self._websocket.fail(int(code) if code is not None else INTERNAL_ERROR)


def is_unicode(data: bytes) -> bool:
    """Whether a text packet is text (RFC 6455 §8.1): one that is not would end its receivers' websockets."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Upgrade(web.WebSocketResponse[bool]):
    """What a request for a websocket asks, checked by aiohttp, and its answer, which aiohttp does not send."""

    def __init__(self, request: web.Request) -> None:
        """Raises web.HTTPBadRequest where the request is no websocket handshake (RFC 6455 §4.2.1)."""
        super().__init__(compress=False, decode_text=False, autoping=False, protocols=_first_offered(request))
        headers = self._handshake(request)[0]
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        self.head = f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()
        """The answer as bytes (RFC 6455 §4.2.2)."""
        self.set_status(101)

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Nothing: `head` has been sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be written: the websocket is closed."""


def _first_offered(request: web.Request) -> tuple[str, ...]:
    """The subprotocol that is chosen: browsers fail a connection that asked for some and was given none. The first
    one, as the JavaScript server's `ws` does; there is one protocol here, by whatever name.
    """
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    if not offered:
        return ()
    first = offered.partition(",")[0].strip()
    return (first,) if _TOKEN.fullmatch(first) else ()
