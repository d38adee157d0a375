"""aiohttp's server with bounds on what a peer may hold: TCP connections, unfinished heads, answers that nobody reads.

aiohttp accepts whoever comes, waits for ever for the head of a request, and keeps an answer until it is taken. Who is
counted here is the peer of the TCP connection, which may be a proxy: :meth:`ClientAddresses.is_proxy` says so, and
the bounds of one address are not for it then.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import struct
import termios
from collections.abc import Callable, Iterator
from http import HTTPStatus
from time import monotonic
from typing import Any, cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

from neuron_meet.ceilings import ALL, AtOnce
from neuron_meet.errors import TOO_MANY_REQUESTS, UNAVAILABLE, Refusal
from neuron_meet.forwarded import read_address
from neuron_meet.holdings import NOTED_BYTES, Holdings
from neuron_meet.rates import counted, widest
from neuron_meet.rest.malformed import ErrorShaping, Runner, Server
from neuron_meet.rest.problems import problem_body
from neuron_meet.shares import Share, Shares, Turn

log = structlog.get_logger(__name__)

HEAD_BYTES = 131_072
"""A request's whole head, as far as it comes in reads of its own: four such headers. Node.js takes 16 kB by default."""
SLICE_BYTES = 2_048
"""What is given to aiohttp's parser at once: chunks of one byte are 340 calls of it then, in 3 to 12 ms."""
TURN_SECONDS = 0.002
"""So long slices are taken in a turn of the loop: 400 kB of an ordinary body, one slice of the dearest."""
HEAD_SECONDS = 60.0
"""How long a new connection may take to its first request, as in nginx (`client_header_timeout`) and Node.js
(`headersTimeout`)."""
SLOWEST_BYTES_A_SECOND = 1_000
UNREAD_SECONDS = 15.0
"""An answer that waits for its reader so long, and is taken more slowly than that, is given up."""
MOST_UNREAD_EACH = 16_000_000
MOST_UNREAD = 64_000_000
"""Bytes of answers that wait for their readers: of one address, and of all together."""
PASSING_SECONDS = 1.0
"""An answer that waits for less long waits for the network alone."""
SWEEP_SECONDS = 1.0
LOOKED_AT = 32
"""Connections that are looked at, the oldest first, for one that waits for a request and can go for a new one. Those
that are in use go to the end of the line, so that the next look is at others."""
RETRY_AFTER_SECONDS = 10
SILENT_SECONDS = 60.0
"""Between two lines of log about refusals."""


class HttpConnection(ErrorShaping):
    """A connection. `address` is the peer's, "" where it has none (a unix socket)."""

    __slots__ = (
        "_body",
        "_book",
        "_head_bytes",
        "_rest",
        "_turn",
        "address",
        "admitted",
        "looked_at",
        "made_at",
        "stalled_at",
        "unread",
        "unread_then",
    )

    def __init__(self, manager: web.Server, book: Connections, **options: Any) -> None:
        super().__init__(manager, **options)
        self._book = book
        self._head_bytes = 0
        self._rest = b""
        """What was read and waits for later turns of the loop."""
        self._turn: Turn | None = None
        """The turn in which more of it is taken; the transport is paused until then."""
        self._body: StreamReader | None = None
        """Of the last request that came, until it is whole."""
        self.address = ""
        self.admitted = False
        self.made_at = 0.0
        self.stalled_at = 0.0
        """Since when its answer waits for its reader."""
        self.unread = 0
        self.looked_at, self.unread_then = 0.0, 0
        """When it was looked at whether the answer is taken, and what was unread then."""

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way: none has come yet, or its head is not finished, or the last is answered."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def has_asked(self) -> bool:
        """Whether the head of a request has come, ever."""
        return self._request_count > 0

    @property
    def is_websocket(self) -> bool:
        """Whether it is one now: its bytes are the engine's affair."""
        return self._payload_parser is not None

    def counts_for(self, key: str) -> bool:
        """Whether it is counted for `key` (rates.py)."""
        return any(each.key == key for each in counted(self.address))

    def held_bytes(self) -> int:
        """Bytes of a head that is not whole, or of a body that nobody has read yet (holdings.py)."""
        body = self._body
        unread: int = 0 if body is None else getattr(body, "_size", 0)  # aiohttp has no public name for it
        return self._head_bytes + unread + len(self._rest)

    def give_up(self) -> None:
        """All that is held for this peer and its neighbours is too much."""
        self.cut()

    def unsent(self) -> int:
        """Bytes that the peer has not taken: this process's, and the kernel's."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return 0
        return transport.get_write_buffer_size() + _in_kernel(transport)

    def cut(self) -> None:
        """End it, whatever is under way."""
        self._book.left(self)
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    # -- what the event loop tells
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or answer that there are too many and close it."""
        place = transport.get_extra_info("peername")
        self.address = _address(place)
        refusal = self._book.refuse(self.address)
        if refusal is not None:
            self._force_close = True
            stream = cast("asyncio.Transport", transport)
            stream.write(refusal)
            stream.close()
            return
        self._book.joined(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._book.left(self)
        if self._turn is not None:
            self._turn.cancel()
            self._turn, self._rest = None, b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: a websocket's, a body's, or those of a head, which are counted until it is whole."""
        parser = self._payload_parser
        if parser is not None:  # what aiohttp's does then, without a call more: this is each packet's way
            if not (self._force_close or self._close):
                parser.feed_data(data)
            return
        if self._turn is not None and data:  # none: aiohttp goes on with what it has
            self._rest += data  # what was read before the pause took hold
        elif len(data) > SLICE_BYTES:
            self._rest = data
            self._go_on()
        else:
            self._take(data)

    def _go_on(self) -> None:
        """Take what was read in slices, for a moment; the rest in later turns of the loop, before anything is read."""
        self._turn = None
        rest, start, until = self._rest, 0, monotonic() + TURN_SECONDS
        while start < len(rest) and self._payload_parser is None and self.transport is not None:
            self._take(rest[start : start + SLICE_BYTES])
            start += SLICE_BYTES
            if monotonic() > until:
                break
        self._rest = rest[start:]
        if self._payload_parser is not None:  # a websocket since, which has turns of its own
            data, self._rest = self._rest, b""
            self.data_received(data)
        if self._rest and self.transport is not None:
            self._turn = self._book.share_of(self).wait(self._go_on)
            self._pause_transport_reading()
            if len(self._rest) > NOTED_BYTES:
                self._book.holds_much(self)
        elif not self._reading_paused and not self._buffer_paused:
            super()._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        """aiohttp has room for more. Not before it has what is here."""
        if self._turn is None:
            super()._resume_transport_reading()

    def _take(self, data: bytes) -> None:
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:  # the newest is last: it is taken out in a later turn of the loop
            body = self._messages[-1][1] if self._messages else None
            self._body = None if body is None or body.is_eof() else body
            self._head_bytes = 0
            return
        if self._reads_a_body():
            self._head_bytes = 0
            self._book.holds_much(self)
            return
        self._head_bytes += len(data)
        if self._head_bytes > NOTED_BYTES:
            self._book.holds_much(self)
        if self._head_bytes > HEAD_BYTES:
            self.cut()

    def _reads_a_body(self) -> bool:
        """Whether what came was of a body, or the end of one. Its request may not be handled yet, or no more: much can
        come in one turn of the loop, and an answer may be given before all of the body is there.
        """
        if self._body is None:
            return False
        if self._body.is_eof():
            self._body = None
        return True

    def pause_writing(self) -> None:
        """What is written is not taken at once."""
        super().pause_writing()
        if not self.is_websocket:
            self._book.stalled(self)

    def resume_writing(self) -> None:
        """It has been taken."""
        self._book.flows(self)
        super().resume_writing()


class Connections:
    """All connections of a server, and their bounds."""

    def __init__(
        self,
        at_once: AtOnce,
        is_proxy: Callable[[str], bool],
        half_messages: Holdings | None = None,
        shares: Shares | None = None,
    ) -> None:
        """`at_once` bounds them, `is_proxy` tells for whose answers the bound of one address is not. `half_messages`:
        where bytes of unfinished requests are counted. `shares`: of a turn of the event loop.
        """
        self._shares = shares or Shares()
        self.at_once = at_once
        self._half_messages = half_messages
        self._is_proxy = is_proxy
        self._all: dict[HttpConnection, None] = {}
        self._groups: dict[str, dict[HttpConnection, None]] = {}
        self._new: dict[HttpConnection, None] = {}
        """Those that were made less than `HEAD_SECONDS` ago, the oldest first."""
        self._stalled: dict[HttpConnection, None] = {}
        """Those whose answers wait for their readers, the longest waiting first."""
        self._unread: dict[str, int] = {}
        self._unread_by_all = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._silent_until = 0.0
        self.cut_unread = 0
        """Connections that were cut because their answers were not read."""
        self.cut_heads = 0
        """Connections that were cut because no request came."""

    def refuse(self, address: str) -> bytes | None:
        """What is answered instead of a new connection of `address`; None where there is room, which those that wait
        for a request make.
        """
        at_once = self.at_once
        lacking = at_once.lacking(address)
        if lacking is None:
            return None
        group = self._all if lacking == ALL else self._groups.get(widest(address), {})
        for connection in _oldest_first(group):
            if connection.is_waiting and (lacking == ALL or connection.counts_for(lacking)):
                connection.cut()
                if at_once.lacking(address) is None:
                    return None
        at_once.refused += 1
        self._say_refused(lacking)
        return _refusal(UNAVAILABLE if lacking == ALL else TOO_MANY_REQUESTS)

    def _say_refused(self, lacking: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:  # anybody can have this said
            self._silent_until = now + SILENT_SECONDS
            setting = "MAX_CONNECTIONS" if lacking == ALL else "MAX_CONNECTIONS_ADDRESS"
            log.warning("connections refused", setting=setting, of=lacking, refused=self.at_once.refused)

    def joined(self, connection: HttpConnection) -> None:
        """A connection is there."""
        connection.admitted = True
        connection.made_at = asyncio.get_running_loop().time()
        self.at_once.take(connection.address)
        self._all[connection] = self._new[connection] = None
        self._groups.setdefault(widest(connection.address), {})[connection] = None
        self._sweep_soon()

    def left(self, connection: HttpConnection) -> None:
        """A connection is over. May be told more than once."""
        if not connection.admitted:
            return
        connection.admitted = False
        self.flows(connection)
        if self._half_messages is not None:
            self._half_messages.forget(connection)
        self.at_once.release(connection.address)
        del self._all[connection]
        self._new.pop(connection, None)
        key = widest(connection.address)
        group = self._groups[key]
        del group[connection]
        if not group:
            del self._groups[key]

    def share_of(self, connection: HttpConnection) -> Share:
        """Of a turn of the event loop."""
        return self._shares.of(connection.address)

    def holds_much(self, connection: HttpConnection) -> None:
        """Much of a request has come that is not whole, or is not read."""
        if self._half_messages is not None and connection.admitted:
            size = connection.held_bytes()
            if size > NOTED_BYTES:
                self._half_messages.note(connection, size)

    def stalled(self, connection: HttpConnection) -> None:
        """Its answer waits for its reader from now on."""
        if not connection.admitted:
            return
        self._stalled[connection] = None
        connection.stalled_at = connection.looked_at = asyncio.get_running_loop().time()
        self._measured(connection, connection.unsent())
        connection.unread_then = connection.unread
        self._bound_unread()
        self._sweep_soon()

    def flows(self, connection: HttpConnection) -> None:
        """Its answer waits no more."""
        if connection in self._stalled:
            del self._stalled[connection]
            self._measured(connection, 0)

    def close(self) -> None:
        """The server stops."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    @property
    def unread(self) -> int:
        """Bytes of answers that wait for their readers."""
        return self._unread_by_all

    def _measured(self, connection: HttpConnection, unread: int) -> None:
        more = unread - connection.unread
        connection.unread = unread
        self._unread_by_all += more
        left = self._unread.get(connection.address, 0) + more
        if left:
            self._unread[connection.address] = left
        else:
            self._unread.pop(connection.address, None)

    def _bound_unread(self) -> None:
        """Cut those that have waited longest until what waits is within its bounds."""
        over = {address for address, unread in self._unread.items() if unread > MOST_UNREAD_EACH}
        over = {address for address in over if not self._is_proxy(address)}
        if not over and self._unread_by_all <= MOST_UNREAD:
            return
        until = asyncio.get_running_loop().time() - PASSING_SECONDS
        for connection in list(self._stalled):
            if connection.stalled_at > until:
                return
            address = connection.address
            if self._unread_by_all > MOST_UNREAD or (
                address in over and self._unread.get(address, 0) > MOST_UNREAD_EACH
            ):
                self._cut_unread(connection)

    def _cut_unread(self, connection: HttpConnection) -> None:
        self.cut_unread += 1
        connection.cut()

    def _sweep_soon(self) -> None:
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look)

    def _look(self) -> None:
        """Cut what has taken too long, and look again while there is anything to be looked at."""
        self._sweep = None
        now = asyncio.get_running_loop().time()
        for connection in list(self._stalled):
            self._measured(connection, connection.unsent())
            seconds = now - connection.looked_at
            if seconds < UNREAD_SECONDS:
                continue
            if connection.unread_then - connection.unread < seconds * SLOWEST_BYTES_A_SECOND:
                self._cut_unread(connection)
            connection.looked_at, connection.unread_then = now, connection.unread
        self._bound_unread()
        while self._new:
            connection = next(iter(self._new))
            if connection.made_at > now - HEAD_SECONDS:
                break
            del self._new[connection]
            if not connection.has_asked:
                self.cut_heads += 1
                connection.cut()
        if self._new or self._stalled:
            self._sweep_soon()


class BoundedServer(Server):
    """aiohttp's server with connections that are counted."""

    def __init__(self, made: web.Server, book: Connections) -> None:
        """`made`: as the application has made it."""
        super().__init__(made)
        self._book = book

    def __call__(self) -> RequestHandler:
        """A protocol for one more connection."""
        return HttpConnection(self, self._book, loop=self._loop, **self._kwargs)


class BoundedRunner(Runner):
    """Serves an application with bounded connections."""

    __slots__ = ("_book",)

    def __init__(self, app: web.Application, book: Connections, **options: Any) -> None:
        super().__init__(app, access_log=None, **options)
        self._book = book

    async def _make_server(self) -> web.Server:
        return BoundedServer(await web.AppRunner._make_server(self), self._book)

    async def cleanup(self) -> None:
        """Stop serving."""
        self._book.close()
        await super().cleanup()


def _oldest_first(group: dict[HttpConnection, None]) -> Iterator[HttpConnection]:
    """The oldest of a group, as many as are looked at; they are its newest afterwards, those that stay."""
    looked_at = [connection for connection, _ in zip(group, range(LOOKED_AT), strict=False)]
    for connection in looked_at:
        del group[connection]
        group[connection] = None
    return iter(looked_at)


def _address(place: object) -> str:
    if not isinstance(place, tuple):
        return ""
    host = str(cast("tuple[object, ...]", place)[0])
    return str(read_address(host) or host)


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes in the kernel that the peer has not acknowledged (tcp(7), SIOCOUTQ)."""
    socket = transport.get_extra_info("socket")
    try:
        return int(struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except (OSError, ValueError, AttributeError):
        return 0


def _refusal(refusal: Refusal) -> bytes:
    body = json.dumps(problem_body(refusal.status, refusal.message)).encode()
    head = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Retry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
