"""Prisma Client Python on this server's engine: the generated client with queries in Prisma's JSON protocol."""

# The library is archived: these inner seams of it do not change any more (docs/architecture.md, "Prisma").
# pyright: reportPrivateUsage=false

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

from neuron_meet.store.engine.engine import HostEngine, raise_failure
from neuron_meet.store.engine.failures import refused_in_host
from neuron_meet.store.engine.plan_engine import NOT_HERE, PlanEngine, Query
from neuron_meet.store.engine.query import JsonQueryBuilder, encode
from neuron_meet.store.errors import RawQueryError
from neuron_meet.store.generated._raw_query import deserialize_raw_results
from neuron_meet.store.generated._types import PrismaMethod
from neuron_meet.store.generated.client import Batch, Prisma
from neuron_meet.tracing import database_call


def connected_client(engine: HostEngine) -> Prisma:
    """A client on `engine` that reads no .env file and does not register itself for the whole process."""
    prisma = _Prisma(use_dotenv=False, auto_register=False)
    prisma._internal_engine = engine
    return prisma


def rehearsing_client(engine: HostEngine) -> Prisma:
    """A client whose queries are compiled and not run; they raise Rehearsed."""
    prisma = _Rehearsal(use_dotenv=False, auto_register=False)
    prisma._internal_engine = engine
    return prisma


class _Prisma(Prisma):
    __slots__ = ()

    async def _execute(
        self,
        *,
        method: PrismaMethod,
        arguments: dict[str, Any],
        model: type[Any] | None = None,
        root_selection: list[str] | None = None,
    ) -> Any:
        name = model.__name__ if model is not None else ""
        with counted(self._engine, method, name):
            return await self._asked(method, arguments, model, root_selection)

    async def _asked(
        self,
        method: PrismaMethod,
        arguments: dict[str, Any],
        model: type[Any] | None,
        root_selection: list[str] | None,
    ) -> Any:
        engine = self._engine
        if isinstance(engine, PlanEngine):
            query = self._query(method, arguments, model, root_selection)
            if self._tx_id is None:
                result = await engine.run(query)
            elif engine.holds(self._tx_id):
                result = await engine.run_held(self._tx_id, query)
            else:
                result = NOT_HERE
            if result is not NOT_HERE:
                return {"data": {"result": result}}
        builder = self._make_query_builder(
            method=method, model=model, arguments=arguments, root_selection=root_selection
        )
        return await engine.query(builder.build(), tx_id=self._tx_id)

    def _query(
        self,
        method: PrismaMethod,
        arguments: dict[str, Any],
        model: type[Any] | None,
        root_selection: list[str] | None,
    ) -> Query:
        def document(given: dict[str, Any]) -> dict[str, Any]:
            return self._make_query_builder(
                method=method, model=model, arguments=given, root_selection=root_selection
            ).document()

        selected = tuple(root_selection) if root_selection is not None else None
        return Query(method, model, selected, arguments, document)

    def _make_query_builder(self, **kwargs: Any) -> JsonQueryBuilder:
        return JsonQueryBuilder(
            **kwargs,
            prisma_models=self._prisma_models,
            relational_field_mappings=self._relational_field_mappings,
        )

    def batch_(self) -> Batch:
        return _Batch(self)


@asynccontextmanager
async def transaction(prisma: Prisma, statement: str, *values: str) -> AsyncGenerator[Prisma]:
    """A transaction that begins with a statement of SQL, such as a lock, for which Prisma has no word.

    The block's queries are those that this process can run by itself; where it has no connections, the host runs all
    of it. Raises as a query does.
    """
    engine = prisma._engine
    if isinstance(prisma, _Rehearsal):
        yield prisma
    elif isinstance(engine, PlanEngine) and (pool := engine.pool) is not None:
        async with engine.holding(pool, statement, values) as tx_id:
            client = prisma._copy()
            client._tx_id = tx_id
            yield client
    else:
        async with prisma.tx() as tx:
            await tx.query_raw(statement, *values)
            yield tx


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement of SQL that Prisma has no word for. Its values are texts or NULL, its rows have a text, `found`.

    `operation` and `model` are what it is counted as; a `repeatable` one is run again where its connection breaks.
    """

    statement: str
    values: Sequence[str | None]
    operation: str
    model: str
    repeatable: bool


async def fetch(prisma: Prisma, sql: Sql) -> list[str]:
    """The rows of a statement, or of one of a transaction where `prisma` is :func:`transaction`'s.

    This process runs it on a connection of its own; where it has none, the host does. Raises as a query does, the same
    errors on both ways.
    """
    engine = prisma._engine
    if isinstance(prisma, _Rehearsal):
        raise Rehearsed
    with counted(engine, sql.operation, sql.model):
        if isinstance(engine, PlanEngine) and engine.holds(prisma._tx_id):
            return await engine.fetch_held(prisma._tx_id, sql.statement, sql.values)
        if isinstance(engine, PlanEngine) and prisma._tx_id is None and (pool := engine.pool) is not None:
            return await engine.fetch(pool, sql.statement, sql.values, repeatable=sql.repeatable)
        return await _fetch_by_host(prisma, engine, sql)


async def _fetch_by_host(prisma: Prisma, engine: Any, sql: Sql) -> list[str]:
    arguments = {"query": sql.statement, "parameters": sql.values}
    builder = JsonQueryBuilder(
        method="query_raw",
        model=None,
        arguments=arguments,
        root_selection=None,
        prisma_models=set(),
        relational_field_mappings={},
    )
    try:
        answer = await engine.query(builder.build(), tx_id=prisma._tx_id, repeatable=sql.repeatable)
    except RawQueryError as error:
        meta = cast("dict[str, str]", error.meta or {})
        if (known := refused_in_host(meta.get("code", ""))) is not None:
            raise_failure([known])
        raise
    return [row["found"] for row in deserialize_raw_results(answer["data"]["result"])]


class Rehearsed(Exception):
    """The query's plan is there; the query was not run."""


class _Rehearsal(_Prisma):
    """A client that has plans compiled: its queries raise Rehearsed."""

    __slots__ = ()

    async def _execute(
        self,
        *,
        method: PrismaMethod,
        arguments: dict[str, Any],
        model: type[Any] | None = None,
        root_selection: list[str] | None = None,
    ) -> Any:
        await self.rehearse([self._query(method, arguments, model, root_selection)])

    async def rehearse(self, queries: Sequence[Query]) -> None:
        """Have plans compiled. Raises Rehearsed."""
        engine = self._engine
        if isinstance(engine, PlanEngine):
            for query in queries:
                await engine.prepare(query)
        raise Rehearsed


class _Batch(Batch):
    """Queries that are all done or none."""

    def __init__(self, client: _Prisma) -> None:
        super().__init__(client)
        self._prisma = client
        self._queries: list[Query] = []

    def _add(self, **kwargs: Any) -> None:
        self._queries.append(
            self._prisma._query(
                kwargs["method"], kwargs["arguments"], kwargs.get("model"), kwargs.get("root_selection")
            )
        )

    async def commit(self) -> None:
        queries, self._queries = self._queries, []
        prisma, engine = self._prisma, self._prisma._engine
        if isinstance(prisma, _Rehearsal):
            await prisma.rehearse(queries)
        with counted(engine, "batch", ""):
            if (
                prisma._tx_id is None
                and isinstance(engine, PlanEngine)
                and await engine.run_together(queries)
            ):
                return
            documents = [query.document(query.arguments) for query in queries]
            content = encode({"batch": documents, "transaction": {}})
            await engine.query(content, tx_id=prisma._tx_id)


@contextmanager
def counted(engine: object, operation: str, model: str) -> Generator[None]:
    """Count what the block asks the database, and trace it where it is part of a trace."""
    begun, failure = time.monotonic(), None
    try:
        with database_call(operation, model):
            yield
    except BaseException as error:
        failure = error
        raise
    finally:
        if isinstance(engine, HostEngine):
            engine.calls.done(operation, model, time.monotonic() - begun, failure)
