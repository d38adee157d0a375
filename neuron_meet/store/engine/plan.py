"""Prisma's query plans, run in this process: a plan is compiled once into functions that run it on a connection.

The steps and what they mean are those of Prisma's own interpreter (QueryInterpreter of @prisma/client-engine-runtime
6.19.3, which the host runs). Plans with any other step, or with one used in another way, are left to the host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from neuron_meet.store.engine.datamap import mapper
from neuron_meet.store.engine.joining import Join, attach
from neuron_meet.store.engine.rules import MissingRecord, TooManyRows
from neuron_meet.store.engine.statement import Scope, Statement, Unsupported, is_now, now, statement

Row = dict[str, Any]

_STEPS = frozenset(
    {
        "dataMap",
        "execute",
        "get",
        "join",
        "let",
        "mapField",
        "query",
        "reverse",
        "seq",
        "unique",
        "unit",
        "validate",
        "value",
    }
)
"""The steps that are run here; :class:`_Reader` has a method for each."""


class Connection(Protocol):
    """What a plan needs of a database connection (asyncpg's names)."""

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """The rows of a query."""
        ...

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement; its status, such as `UPDATE 3`."""
        ...


@dataclass(slots=True)
class Run:
    """One run of a plan: the connection that it has for itself, and the query's values."""

    connection: Connection
    values: Sequence[Any]


Step = Callable[[Run, Scope], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A query plan. `atomic`: it runs in a transaction."""

    step: Step
    atomic: bool
    needs_now: bool

    async def run(self, connection: Connection, values: Sequence[Any]) -> Any:
        """The query's result. Raises what the connection raises, MissingRecord, TooManyRows, UnknownEnumValue.

        The caller has the connection for itself and does not use it any more after any other exception than those
        three and asyncpg's PostgresError; after these no transaction is open.
        """
        if not self.atomic:
            return await self.within(connection, values)
        return await as_a_whole(connection, lambda: self.within(connection, values))

    async def within(self, connection: Connection, values: Sequence[Any]) -> Any:
        """The same in a transaction of the caller's, who ends it, undone if this raises."""
        scope: Scope = {"now()": now()} if self.needs_now else {}
        return await self.step(Run(connection, values), scope)


async def as_a_whole(connection: Connection, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do `work` in a transaction; what it raises undoes it."""
    await connection.execute("BEGIN")
    try:
        result = await work()
    except Exception:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    return result


def compiled(node: Mapping[str, Any]) -> Plan:
    """The plan of the compiler's JSON. Raises Unsupported."""
    atomic = node["type"] == "transaction"
    reader = _Reader()
    step = reader.step(node["args"] if atomic else node)
    # One statement is a transaction by itself.
    return Plan(step, atomic and reader.statements > 1, reader.needs_now)


def written_rows(node: Mapping[str, Any]) -> Statement:
    """The statement of a plan that only writes and counts (createMany). Raises Unsupported."""
    try:
        data_map = node["args"] if node["type"] == "transaction" else node
        execute = data_map["args"]["expr"]
        counts = data_map["type"] == "dataMap" and data_map["args"]["structure"]["type"] == "affectedRows"
    except (KeyError, TypeError):
        raise Unsupported from None
    if not counts or execute["type"] != "execute":
        raise Unsupported
    if any(is_now(value) for value in execute["args"]["args"]):
        raise Unsupported
    return statement(execute["args"])


class _Reader:
    def __init__(self) -> None:
        self.statements = 0
        self.needs_now = False

    def step(self, node: Mapping[str, Any]) -> Step:
        kind: str = node["type"]
        if kind not in _STEPS:
            raise Unsupported
        return cast("Step", getattr(self, f"_{kind}")(node.get("args")))

    def _statement(self, query: Mapping[str, Any]) -> Statement:
        self.statements += 1
        self.needs_now = self.needs_now or any(is_now(value) for value in query["args"])
        return statement(query)

    def _query(self, query: Mapping[str, Any]) -> Step:
        read = self._statement(query)
        sql, arguments, empty_without = read.sql, read.arguments, read.empty_without

        async def step(run: Run, scope: Scope) -> list[Row]:
            values = run.values
            if empty_without is not None and not empty_without(values, scope):
                return []
            given = [argument(values, scope) for argument in arguments]
            return [dict(record.items()) for record in await run.connection.fetch(sql, *given)]

        return step

    def _execute(self, query: Mapping[str, Any]) -> Step:
        read = self._statement(query)
        sql, arguments = read.sql, read.arguments

        async def step(run: Run, scope: Scope) -> int:
            given = [argument(run.values, scope) for argument in arguments]
            return affected(await run.connection.execute(sql, *given))

        return step

    def _dataMap(self, args: Mapping[str, Any]) -> Step:  # noqa: N802 - the step's name
        inner = self.step(args["expr"])
        result = mapper(args["structure"], args["enums"])

        async def step(run: Run, scope: Scope) -> Any:
            return result(await inner(run, scope))

        return step

    def _let(self, args: Mapping[str, Any]) -> Step:
        bindings = [(str(binding["name"]), self.step(binding["expr"])) for binding in args["bindings"]]
        inner = self.step(args["expr"])

        async def step(run: Run, scope: Scope) -> Any:
            nested = scope.copy()
            for name, binding in bindings:
                nested[name] = await binding(run, nested)
            return await inner(run, nested)

        return step

    def _get(self, args: Mapping[str, Any]) -> Step:
        name: str = args["name"]

        async def step(_run: Run, scope: Scope) -> Any:
            return scope[name]

        return step

    def _unit(self, _args: object) -> Step:
        async def step(_run: Run, _scope: Scope) -> None:
            return None

        return step

    def _seq(self, args: Sequence[Mapping[str, Any]]) -> Step:
        steps = [self.step(node) for node in args]

        async def step(run: Run, scope: Scope) -> Any:
            result: Any = None
            for each in steps:
                result = await each(run, scope)
            return result

        return step

    def _unique(self, args: Mapping[str, Any]) -> Step:
        inner = self.step(args)

        async def step(run: Run, scope: Scope) -> Any:
            value = await inner(run, scope)
            if not isinstance(value, list):
                return value
            rows = cast("list[Row]", value)
            if len(rows) > 1:
                raise TooManyRows
            return rows[0] if rows else None

        return step

    def _reverse(self, args: Mapping[str, Any]) -> Step:
        inner = self.step(args)

        async def step(run: Run, scope: Scope) -> Any:
            value = await inner(run, scope)
            return cast("list[Row]", value)[::-1] if isinstance(value, list) else value

        return step

    def _mapField(self, args: Mapping[str, Any]) -> Step:  # noqa: N802
        inner = self.step(args["records"])
        field: str = args["field"]

        async def step(run: Run, scope: Scope) -> Any:
            value = await inner(run, scope)
            if isinstance(value, list):
                return [row[field] for row in cast("list[Row]", value)]
            return None if value is None else value[field]

        return step

    def _validate(self, args: Mapping[str, Any]) -> Step:
        if args["error_identifier"] not in {"MISSING_RECORD", "MISSING_RELATED_RECORD"}:
            raise Unsupported
        if any(rule["type"] not in {"rowCountEq", "rowCountNeq"} for rule in args["rules"]):
            raise Unsupported
        inner = self.step(args["expr"])
        rules = [(rule["type"] == "rowCountEq", int(rule["args"])) for rule in args["rules"]]
        context: Mapping[str, Any] = args["context"]

        async def step(run: Run, scope: Scope) -> Any:
            value = await inner(run, scope)
            count = len(cast("list[Row]", value)) if isinstance(value, list) else int(value is not None)
            if any((count == rows) is not equal for equal, rows in rules):
                raise MissingRecord(context)
            return cast("Any", value)

        return step

    def _value(self, args: object) -> Step:
        if not is_now(args):
            raise Unsupported
        self.needs_now = True

        async def step(_run: Run, scope: Scope) -> Any:
            return scope["now()"]

        return step

    def _join(self, args: Mapping[str, Any]) -> Step:
        parent = self.step(args["parent"])
        children = [(Join.of(child), self.step(child["child"])) for child in args["children"]]

        async def step(run: Run, scope: Scope) -> Any:
            value = await parent(run, scope)
            if value is None:
                return None
            parents = cast("list[Row]", value) if isinstance(value, list) else [value]
            for join, child in children:
                attach(join, parents, await child(run, scope))
            return cast("Any", value)

        return step


def affected(status: str) -> int:
    """The number of rows in a statement's status (`INSERT 0 3`)."""
    return int(status.rsplit(" ", 1)[-1])
