"""This process's own connections to PostgreSQL, for the query plans that it runs itself (plan.py)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import asyncpg

from neuron_meet.slowness import CONNECTION, waited
from neuron_meet.store.engine.address import DatabaseAddress

_CLOSE_SECONDS = 1.0
"""How long a connection may take to say goodbye, or to end what it was doing for a caller that is gone."""
_IDLE_SECONDS = 60.0
"""After so long without work a connection is closed, as in connections.mjs."""
_STATEMENTS = 256
"""Prepared statements kept in a connection: some for each shape in use, and one for each length of a createMany."""
_STATEMENT_SHARE = 0.8
"""Of a call's time, the share after which PostgreSQL itself ends the statement: a write whose caller was told that
it failed must not appear later."""

PLANNING = {
    # A statement's plan is made once for a connection, for all values: not five times with the values looked at, which
    # costs more than the statement, each time that many connections are new.
    "plan_cache_mode": "force_generic_plan",
    # What is asked here are a few rows by their keys or in the order of an index, and an index serves each statement
    # (store/indexes.py). Without values the planner takes each room for one of average size, and would read and sort
    # all messages of one that is a thousand times as large.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    # Before PostgreSQL 18 a step that is off and cannot be avoided counts as so dear that it would be compiled.
    "jit": "off",
}
"""How PostgreSQL plans on these connections: the same for every value and every size of the tables."""

_in_background: ContextVar[bool] = ContextVar("in_background", default=False)


def in_background() -> None:
    """Have the current task, and those that it begins, wait for connections behind everybody else from now on."""
    _in_background.set(True)


class Pool:
    """At most `size` connections, opened when they are needed; the one used last is used first.

    :meth:`take` gives a connection to one caller alone, :meth:`give_back` takes it again. Who waits in the background
    (:func:`in_background`) comes after all others, and has half of the connections at most: what a meeting needs finds
    one free, or soon.
    """

    def __init__(self, address: DatabaseAddress, size: int, timeout_seconds: float) -> None:
        self._address = address
        self._size = size
        self._timeout = timeout_seconds
        self._open = 0
        self._idle: list[tuple[Any, float]] = []
        self._busy: set[Any] = set()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._waiting_behind: deque[asyncio.Future[Any]] = deque()
        self._behind: set[Any] = set()
        """Connections that work in the background."""
        self._most_behind = max(1, size // 2)
        self._entering_behind = 0
        """Callers in the background that open a connection."""
        self._closing: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def open(self) -> int:
        """How many connections there are."""
        return self._open

    @property
    def busy(self) -> int:
        """How many of them work."""
        return len(self._busy)

    @property
    def waiting(self) -> int:
        """How many callers wait for one."""
        return len(self._waiting) + len(self._waiting_behind)

    def take_idle(self) -> Any | None:
        """A connection that waits for work, None if there is none for the caller."""
        behind = _in_background.get()
        if behind and not self._may_work_behind():
            return None
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                self._busy.add(connection)
                if behind:
                    self._behind.add(connection)
                return connection
            self._forget()
        return None

    def _may_work_behind(self) -> bool:
        """Whether one more may work in the background now."""
        return len(self._behind) + self._entering_behind < self._most_behind and not self._waiting

    async def take(self) -> Any:
        """A connection, opened if need be. The caller sets the deadline.

        Raises what asyncpg.connect raises (PostgresError, OSError, TimeoutError).
        """
        behind = _in_background.get()
        while not self._stopped:
            connection = self.take_idle()
            if connection is not None:
                return connection
            begun = time.monotonic()
            if self._open < self._size and (not behind or self._may_work_behind()):
                connection = await (self._connect_behind() if behind else self._connect())
                waited(CONNECTION, time.monotonic() - begun)
                return connection
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            (self._waiting_behind if behind else self._waiting).append(future)
            try:
                connection = await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._pass_on(future.result())
                raise
            waited(CONNECTION, time.monotonic() - begun)
            if connection is not None:
                return connection
        raise asyncpg.InterfaceError("The pool is closed.")

    async def _connect_behind(self) -> Any:
        self._entering_behind += 1
        try:
            connection = await self._connect()
            self._behind.add(connection)
        finally:
            self._entering_behind -= 1
        return connection

    def give_back(self, connection: Any) -> None:
        """Take back a connection that has no statement and no transaction open."""
        if connection not in self._busy:
            return
        if connection.is_closed():
            self._busy.discard(connection)
            self._behind.discard(connection)
            self._forget()
        else:
            self._pass_on(connection)

    def discard(self, connection: Any) -> None:
        """Take back a connection in an unknown state: what it is doing is cancelled, and it is closed."""
        if connection not in self._busy:
            return
        self._busy.discard(connection)
        self._behind.discard(connection)
        if connection.is_closed():
            self._forget()
        else:
            self._in_background(self._close(connection))

    def distrust(self) -> None:
        """Close the idle connections: one has just been found broken, and they are as old."""
        for connection, _ in self._idle:
            connection.terminate()
            self._forget()
        self._idle.clear()

    async def stop(self) -> None:
        """Close everything. Whoever is using a connection or waiting for one gets an error."""
        self._stopped = True
        if self._sweep is not None:
            self._sweep.cancel()
        for queue in (self._waiting, self._waiting_behind):
            while queue:
                self._resolve(queue.popleft(), None)
        for connection in [*self._busy]:
            self._busy.discard(connection)
            connection.terminate()
        for connection, _ in self._idle:
            self._in_background(self._close(connection))
        self._idle.clear()
        while self._closing:
            await asyncio.wait(self._closing)

    async def _connect(self) -> Any:
        self._open += 1
        try:
            connection = await asyncpg.connect(**self._options())
            # On the wire a TIMESTAMP is a TIMESTAMPTZ. Prisma's columns hold UTC: have them read and written so.
            await connection.set_builtin_type_codec(
                "timestamp", schema="pg_catalog", codec_name="timestamptz", format="binary"
            )
        except BaseException:
            self._forget()
            raise
        if self._stopped:
            connection.terminate()
            raise asyncpg.InterfaceError("The pool is closed.")
        self._busy.add(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._close_idle)
        return connection

    def _options(self) -> dict[str, Any]:
        address = self._address
        settings = {
            "application_name": address.application_name,
            "TimeZone": "UTC",  # so that a column's DEFAULT CURRENT_TIMESTAMP is UTC, as Prisma's columns are
            **PLANNING,
            "statement_timeout": str(int(self._timeout * _STATEMENT_SHARE * 1000)),
        }
        if address.options:
            settings["options"] = address.options
        return {
            **address.for_asyncpg(),
            "timeout": self._timeout,
            "statement_cache_size": _STATEMENTS,
            "max_cached_statement_lifetime": 0,
            "server_settings": settings,
        }

    def _pass_on(self, connection: Any) -> None:
        if connection is None:
            self._wake()
            return
        self._behind.discard(connection)
        while self._waiting:
            if self._resolve(self._waiting.popleft(), connection):
                return
        while self._waiting_behind and self._may_work_behind():
            if self._resolve(self._waiting_behind.popleft(), connection):
                self._behind.add(connection)
                return
        self._busy.discard(connection)
        self._idle.append((connection, asyncio.get_running_loop().time()))

    def _forget(self) -> None:
        """A connection is no more: whoever waits may open another one."""
        self._open -= 1
        self._wake()

    def _wake(self) -> None:
        for queue in (self._waiting, self._waiting_behind):
            while queue:
                if self._resolve(queue.popleft(), None):
                    return

    @staticmethod
    def _resolve(future: asyncio.Future[Any], connection: Any | None) -> bool:
        if future.done():
            return False
        future.set_result(connection)
        return True

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _IDLE_SECONDS
        while self._idle and self._idle[0][1] <= oldest:
            connection, _ = self._idle.pop(0)
            self._in_background(self._close(connection))
        self._sweep = loop.call_later(_IDLE_SECONDS / 2, self._close_idle)

    async def _close(self, connection: Any) -> None:
        try:
            await connection.close(timeout=_CLOSE_SECONDS)
        except Exception:
            with contextlib.suppress(Exception):
                connection.terminate()
        finally:
            self._forget()

    def _in_background(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def is_served(address: DatabaseAddress) -> bool:
    """Whether a pool may be used for `address`.

    Not behind a pooler, which may be in transaction mode: asyncpg prepares a statement and runs it in two
    messages, which the pooler may give to two servers. Not with a client identity of Prisma's kind (a .p12 file),
    which Python's ssl cannot read.
    """
    return not address.pooled and address.tls.identity is None
