"""aiohttp's server with bounds on what a peer may hold: TCP connections, unfinished heads, answers that nobody reads.

aiohttp accepts whoever comes, waits for ever for the head of a request, and keeps an answer until it is taken. Who is
counted here is the peer of the TCP connection, which may be a proxy: :meth:`ClientAddresses.is_proxy` says so, and
the bounds of one address are not for it then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from time import monotonic
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from neuron_meet.ceilings import ALL, AtOnce
from neuron_meet.errors import TOO_MANY_REQUESTS, UNAVAILABLE, Refusal
from neuron_meet.holdings import Holdings
from neuron_meet.rates import widest
from neuron_meet.rest.http_connection import HttpConnection
from neuron_meet.rest.malformed import Door, Runner, Server
from neuron_meet.rest.problems import problem_body
from neuron_meet.shares import Shares

log = structlog.get_logger(__name__)

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
        self.shares = Shares() if shares is None else shares
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
        now = monotonic()
        if now >= self._silent_until:  # anybody can have this said
            self._silent_until = now + SILENT_SECONDS
            setting = "MAX_CONNECTIONS" if lacking == ALL else "MAX_CONNECTIONS_ADDRESS"
            log.warning("connections refused", setting=setting, of=lacking, refused=self.at_once.refused)

    def joined(self, connection: HttpConnection) -> None:
        """A connection is there."""
        connection.admitted = True
        connection.made_at = monotonic()
        self.at_once.take(connection.address)
        self._all[connection] = self._new[connection] = None
        group = self._groups.get(key := widest(connection.address))
        if group is None:
            group = self._groups[key] = {}
        group[connection] = None
        if self._sweep is None:
            self._sweep_soon()

    def left(self, connection: HttpConnection) -> None:
        """A connection is over. May be told more than once."""
        if not connection.admitted:
            return
        connection.admitted = False
        if connection in self._stalled:
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

    def holds_much(self, connection: HttpConnection) -> None:
        """Much of a request may have come that is not whole, or is not read."""
        if self._half_messages is not None and connection.admitted:
            self._half_messages.note(connection)

    def stalled(self, connection: HttpConnection) -> None:
        """Its answer waits for its reader from now on."""
        if not connection.admitted:
            return
        self._stalled[connection] = None
        connection.stalled_at = connection.looked_at = monotonic()
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
        until = monotonic() - PASSING_SECONDS
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
        now = monotonic()
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

    def __init__(self, made: web.Server, book: Connections, door: Door | None) -> None:
        """`made`, `door`: as in :class:`~neuron_meet.rest.malformed.Server`."""
        super().__init__(made, door)
        self._book = book

    def __call__(self) -> RequestHandler:
        """A protocol for one more connection."""
        return HttpConnection(self, self._book, loop=self._loop, **self._kwargs)


class BoundedRunner(Runner):
    """Serves an application with bounded connections."""

    __slots__ = ("_book", "_door")

    def __init__(
        self, app: web.Application, book: Connections, door: Door | None = None, **options: Any
    ) -> None:
        """`door`: as in :class:`~neuron_meet.rest.malformed.Server`."""
        # The kernel need not look whether peers are there: heads, bodies, answers and pings have their times.
        super().__init__(app, access_log=None, tcp_keepalive=False, **options)
        self._book, self._door = book, door

    async def _make_server(self) -> web.Server:
        return BoundedServer(await web.AppRunner._make_server(self), self._book, self._door)

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


def _refusal(refusal: Refusal) -> bytes:
    body = json.dumps(problem_body(refusal.status, refusal.message)).encode()
    head = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Retry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
