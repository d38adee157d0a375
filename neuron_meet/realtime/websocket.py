"""The websocket of a connection on aiohttp: packets are handed over in the turn in which they arrive.

Replaces things of `engineio.async_drivers.aiohttp.WebSocket` (python-engineio 4.15.1) and of
`aiohttp.web.WebSocketResponse` (aiohttp 3.14), for what they cost (docs/performance.md):

- permessage-deflate, which the driver leaves on for every browser: +8 µs a delivery, +100-200 kB a connection;
- the queue, future and task wake-up between aiohttp's frame parser and whoever reads;
- the response object's way to the 101, which is four fixed lines (of a connect, a tenth).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

import structlog
from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from neuron_meet.failure import place
from neuron_meet.realtime.frames import websocket_close, websocket_pong, websocket_text
from neuron_meet.repeats import seldom

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from neuron_meet.realtime.engine import EngineServer

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_SECONDS = 2.0
"""How long a peer has to answer a close frame before its connection is cut."""
NORMAL = 1000
ABNORMAL = 1006
INTERNAL_ERROR = 1011
"""Close codes (RFC 6455 §7.4.1): a normal end, one without a close frame, and a fault of the server's."""


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
        self._max_bytes = server.max_http_buffer_size
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._closing: asyncio.TimerHandle | None = None
        self.receiver: Callable[[bytes], None] = lambda _: None
        self.transport: asyncio.Transport | None = None

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
        packets = _Packets(self, request.protocol, asyncio.get_running_loop())
        # The protocol keeps the parser for as long as the connection lives.
        request.protocol.set_parser(
            WebSocketReader(packets, self._max_bytes, compress=False, decode_text=False)
        )
        request.protocol.keep_alive(False)
        await self._handler(self)
        return upgrade

    async def ended(self) -> int:
        """The close code with which the peer ended it; 1006 where it just vanished."""
        return await self._ended

    def write(self, body: bytes) -> None:
        """Send one text packet."""
        self._send(websocket_text(body))

    def close(self, code: int = NORMAL) -> None:
        """Close with a close frame; cut the connection where the peer does not answer in time."""
        if self._closing is not None or self._ended.done() or self.transport is None:
            return
        self._send(websocket_close(code))
        self._closing = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_SECONDS, self.abort)

    def abort(self) -> None:
        """Cut the connection, whatever is still buffered."""
        if self.transport is not None:
            self.transport.abort()
        self._end(ABNORMAL)

    # -- from the parser
    def take(self, message: _Message) -> None:
        """A message of the peer's."""
        kind = message.type
        if kind is WSMsgType.TEXT:
            if not self._ended.done():
                self.receiver(message.data)
        elif kind is WSMsgType.PING:
            self._send(websocket_pong(message.data))
        elif kind is WSMsgType.CLOSE:
            if self._closing is None:
                self._send(websocket_close(NORMAL))
            self._end(message.data or 0)

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
        if not self._ended.done():
            self._ended.set_result(code)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


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


class Upgrade(web.WebSocketResponse[bool]):
    """What a request for a websocket asks, checked by aiohttp, and its answer, which aiohttp does not send."""

    def __init__(self, request: web.Request) -> None:
        """Raises web.HTTPBadRequest where the request is no websocket handshake (RFC 6455 §4.2.1)."""
        super().__init__(compress=False, decode_text=False, autoping=False)
        headers = self._handshake(request)[0]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.head = f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()
        """The answer as bytes (RFC 6455 §4.2.2)."""
        self.set_status(101)

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Nothing: `head` has been sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be written: the websocket is closed."""
