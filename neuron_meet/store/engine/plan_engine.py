"""The engine that Prisma Client Python calls: runs query plans in this process, leaves the rest to the host."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import asyncpg
import msgspec
import structlog

from neuron_meet.store.clock import DatabaseClock
from neuron_meet.store.engine.datamap import UnknownEnumValue
from neuron_meet.store.engine.engine import HostEngine, raise_failure
from neuron_meet.store.engine.failures import describe, is_broken
from neuron_meet.store.engine.held import held
from neuron_meet.store.engine.plan import Connection, as_a_whole
from neuron_meet.store.engine.plans import Document, Inserts, Plans, Rows
from neuron_meet.store.engine.pool import Pool
from neuron_meet.store.engine.rules import MissingRecord, TooManyRows
from neuron_meet.store.engine.shape import Key, Unshaped, take_row, take_values
from neuron_meet.store.engine.supervisor import EngineSupervisor
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.generated._types import TransactionId

_READS = frozenset(
    {
        "count",
        "group_by",
        "find_many",
        "find_first",
        "find_first_or_raise",
        "find_unique",
        "find_unique_or_raise",
    }
)
_RAW = frozenset({"query_raw", "query_first", "execute_raw"})
_MAX_ROWS = 200
"""Rows of a createMany that is written here; each length is a statement of its own in PostgreSQL."""
_OTHERS_MAY = frozenset({"P1011"})
"""What another client of PostgreSQL may do better: TLS is negotiated in many ways."""
_HARMLESS = (MissingRecord, TooManyRows, UnknownEnumValue)
"""Found in a plan's results: the connection is as it was."""

log = structlog.get_logger(__name__)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Query:
    """A query as Prisma Client Python asks for it; `document` writes it with other arguments."""

    method: str
    model: type[Any] | None
    root_selection: tuple[str, ...] | None
    arguments: dict[str, Any]
    document: Document


class _Runnable(Protocol):
    async def run(self, connection: Connection, values: Sequence[Any]) -> Any: ...


class _Planned(_Runnable, Protocol):
    async def within(self, connection: Connection, values: Sequence[Any]) -> Any: ...


class _NotHere:
    """The answer of :meth:`PlanEngine.run` for a query that the host runs."""


NOT_HERE = _NotHere()


class PlanEngine(HostEngine):
    """The host, with the plans that this process can run run by itself on `pool` (None: the host runs everything)."""

    def __init__(
        self,
        supervisor: EngineSupervisor,
        timeout_seconds: float,
        pool: Pool | None,
        ready: Mapping[str, msgspec.Raw],
    ) -> None:
        """`ready` are plans that were compiled before, by shape (ready_plans.py)."""
        super().__init__(supervisor, timeout_seconds)
        self._pool = pool
        self._plans = Plans(self.compile, ready)
        self._held: dict[TransactionId, Any] = {}
        self.clock = DatabaseClock()

    @property
    def pool(self) -> Pool | None:
        """The connections of this process; None where the host runs everything."""
        return self._pool

    async def open(self) -> None:
        """Try the pool, after the host has reached the database. Where that fails, the host runs everything."""
        if self._pool is None:
            return
        try:
            await self.ping()
        except Exception as error:
            log.warning("query plans run in the query engine", reason=str(error))
            pool, self._pool = self._pool, None
            await pool.stop()

    async def close_pool(self) -> None:
        """Close the connections. Nothing is run here any more."""
        await self._plans.stop()
        if self._pool is not None:
            await self._pool.stop()

    async def reaches(self) -> bool:
        """Whether this process's own connections reach the database; False where the host's may all the same.

        Raises EngineUnavailable where no connection does.
        """
        try:
            await self.ping()
        except EngineUnavailable as error:
            if error.code in _OTHERS_MAY:
                return False
            raise
        except Exception:  # a way of signing in that asyncpg does not know
            return False
        return True

    async def ping(self) -> bool:
        """One round trip on the pool: whether the database takes writes. Raises as :meth:`run` does."""
        if self._pool is None:
            return True
        ping = _Ping(self.clock)
        return await self._on_connection(self._pool, ping, (), repeatable=True, seconds=self._timeout)

    async def fetch(
        self, pool: Pool, statement: str, values: Sequence[str | None], *, repeatable: bool
    ) -> list[str]:
        """The first column of the rows of a statement of SQL. Raises as :meth:`run` does.

        A `repeatable` one is run a second time when its connection breaks.
        """
        return await self._on_connection(
            pool, _Sql(statement), values, repeatable=repeatable, seconds=self._timeout
        )

    async def fetch_held(
        self, transaction: TransactionId | None, statement: str, values: Sequence[str | None]
    ) -> list[str]:
        """The same in a transaction of :meth:`holding`."""
        return await self._within(transaction, _Sql(statement), values)

    async def run(self, query: Query) -> Any:
        """The result of a query, or NOT_HERE.

        Ends within the engine's deadline, as :meth:`query` does: with the library's exception for a database
        error, or with EngineUnavailable. A read is run a second time when its connection breaks, a write never.
        """
        pool = self._pool
        if pool is None:
            return NOT_HERE
        loop = asyncio.get_running_loop()
        start = loop.time()
        plan, values = await self._planned(query)
        if plan is None:
            return NOT_HERE
        seconds = self._timeout - (loop.time() - start)
        return await self._on_connection(
            pool, plan, values, repeatable=query.method in _READS, seconds=seconds
        )

    async def run_together(self, queries: Sequence[Query]) -> bool:
        """Run queries so that all of them are done or none. False where the host is to do that. Ends as :meth:`run`."""
        pool = self._pool
        if pool is None or any(query.method in _RAW for query in queries):
            return False
        loop = asyncio.get_running_loop()
        start = loop.time()
        planned: list[tuple[_Planned, Sequence[Any]]] = []
        for query in queries:
            plan, values = await self._planned(query)
            if plan is None:
                return False
            planned.append((plan, values))
        seconds = self._timeout - (loop.time() - start)
        await self._on_connection(pool, _Together(planned), (), repeatable=False, seconds=seconds)
        return True

    @asynccontextmanager
    async def holding(
        self, pool: Pool, statement: str, values: Sequence[str]
    ) -> AsyncGenerator[TransactionId]:
        """A transaction on a connection of `pool` (:func:`held`), for :meth:`run_held`."""
        transaction = TransactionId(f"here-{next(_numbers)}")
        async with held(pool, self._timeout, statement, values) as connection:
            self._held[transaction] = connection
            try:
                yield transaction
            finally:
                del self._held[transaction]

    def holds(self, transaction: TransactionId | None) -> bool:
        """Whether a transaction is one of :meth:`holding`."""
        return transaction in self._held

    async def run_held(self, transaction: TransactionId, query: Query) -> Any:
        """The result of a query in a transaction of :meth:`holding`. Raises as :meth:`run` does.

        Raises RuntimeError for one that only the host runs: it has another connection.
        """
        plan, values = await self._planned(query)
        if plan is None:
            raise RuntimeError(f"{query.method} cannot be run in a transaction of this process")
        return await self._within(transaction, plan, values)

    async def _within(self, transaction: TransactionId | None, plan: _Planned, values: Sequence[Any]) -> Any:
        try:
            return await plan.within(self._held[cast("TransactionId", transaction)], values)
        except TimeoutError:
            raise
        except Exception as error:
            raise_failure([describe(error)])

    async def prepare(self, query: Query) -> None:
        """Compile a query's plan without running it, so that the first one to ask does not wait for that."""
        if self._pool is not None:
            await self._planned(query)

    async def _planned(self, query: Query) -> tuple[_Planned | None, Sequence[Any]]:
        """A query's plan and its values; None for a query that only the host runs."""
        if query.method in _RAW:
            return None, ()
        try:
            if query.method == "create_many":
                return await self._inserts(query), ()
            shape, values = take_values(query.arguments)
        except Unshaped:
            return None, ()
        key: Key = (query.method, query.model, query.root_selection, shape)
        return await self._plans.plan(key, query.arguments, query.document), values

    async def _inserts(self, query: Query) -> Inserts | None:
        arguments = query.arguments
        rows: list[Any] = arguments["data"]
        if type(rows) is not list or not 0 < len(rows) <= _MAX_ROWS:
            return None
        others, _ = take_values({name: value for name, value in arguments.items() if name != "data"})

        def document(data: dict[str, Any]) -> dict[str, Any]:
            return query.document({**arguments, **data})

        planned: list[tuple[Rows, Sequence[Any]]] = []
        for row in rows:
            shape, values = take_row(row)
            key: Key = ("create_many", query.model, others, shape)
            plan = await self._plans.rows(key, row, document)
            if plan is None or (planned and plan.pieces != planned[0][0].pieces):
                return None
            planned.append((plan, values))
        return Inserts(planned)

    async def _on_connection(
        self, pool: Pool, plan: _Runnable, values: Sequence[Any], *, repeatable: bool, seconds: float
    ) -> Any:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        connection = pool.take_idle() or await pool.take()
                        return await _alone(pool, connection, plan, values)
                    except TimeoutError:
                        raise
                    except Exception as error:
                        if is_broken(error):
                            pool.distrust()
                            if repeatable:
                                repeatable = False
                                continue
                        raise_failure([describe(error)])
        except TimeoutError:
            message = f"The database did not answer within {self._timeout:g} s."
            raise EngineUnavailable(message) from None


async def _alone(pool: Pool, connection: Any, plan: _Runnable, values: Sequence[Any]) -> Any:
    """Run a plan on a connection, which goes back to the pool only in a known state."""
    try:
        result = await plan.run(connection, values)
    except (asyncpg.PostgresError, *_HARMLESS):
        if connection.is_closed() or connection.is_in_transaction():
            pool.discard(connection)
        else:
            pool.give_back(connection)
        raise
    except BaseException:
        pool.discard(connection)
        raise
    pool.give_back(connection)
    return result


@dataclass(frozen=True, slots=True)
class _Together:
    """Queries of which all are done or none."""

    planned: Sequence[tuple[_Planned, Sequence[Any]]]

    async def run(self, connection: Connection, values: Sequence[Any]) -> None:
        async def each() -> None:
            for plan, given in self.planned:
                await plan.within(connection, given)

        await as_a_whole(connection, each)


@dataclass(frozen=True, slots=True)
class _Sql:
    statement: str

    async def run(self, connection: Connection, values: Sequence[Any]) -> list[str]:
        return [row[0] for row in await connection.fetch(self.statement, *values)]

    async def within(self, connection: Connection, values: Sequence[Any]) -> list[str]:
        return await self.run(connection, values)


@dataclass(frozen=True, slots=True)
class _Ping:
    clock: DatabaseClock

    async def run(self, connection: Connection, values: Sequence[Any]) -> bool:
        before = time.monotonic()
        [state] = await connection.fetch("SELECT current_setting('transaction_read_only'), clock_timestamp()")
        self.clock.learn(state[1], before, time.monotonic())
        return state[0] == "off"
