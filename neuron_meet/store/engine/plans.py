"""The query plans that this process runs, by the shape of the query.

They were compiled when the client was generated (ready_plans.py), or the host compiles them, once for each shape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from neuron_meet.store.engine.plan import Connection, Plan, affected, compiled, written_rows
from neuron_meet.store.engine.query import CompileRequest
from neuron_meet.store.engine.shape import Example, Key, example, rows_example
from neuron_meet.store.engine.statement import Argument, Statement, Unsupported, numbered
from neuron_meet.store.errors import EngineUnavailable

Compile = Callable[[CompileRequest], Awaitable[Any]]
"""Asks the host: the plan for every query of a shape, None where there is none."""
Document = Callable[[dict[str, Any]], dict[str, Any]]
"""Writes a query with these arguments in Prisma's JSON protocol."""

_MAX_SHAPES = 500
"""As in plans.mjs: the server itself has a few dozen."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A createMany of rows of one shape: `pieces` is one row's statement, `between` what joins two rows."""

    pieces: tuple[str, ...]
    between: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Inserts:
    """A createMany, as one statement. Every row has its values and the plan of its shape; all pieces are the same."""

    rows: Sequence[tuple[Rows, Sequence[Any]]]

    async def run(self, connection: Connection, values: Sequence[Any]) -> Any:
        """`{"count": rows written}`. Raises what the connection raises."""
        first = self.rows[0][0]
        head, *inner, tail = first.pieces
        pieces = [head, *inner]
        for _ in self.rows[1:]:
            pieces += [first.between, *inner]
        given = [argument(values, {}) for rows, values in self.rows for argument in rows.arguments]
        return {"count": affected(await connection.execute(numbered([*pieces, tail]), *given))}

    async def within(self, connection: Connection, values: Sequence[Any]) -> Any:
        """The same in a transaction of the caller's."""
        return await self.run(connection, values)


class Plans:
    """What has been compiled. None stands for a shape that the host runs."""

    def __init__(self, compile_plan: Compile, ready: Mapping[str, msgspec.Raw]) -> None:
        self._compile = compile_plan
        self._ready = ready
        self._plans: dict[Key, Any] = {}
        self._compiling: dict[Key, asyncio.Task[Any]] = {}

    async def plan(self, key: Key, arguments: dict[str, Any], document: Document) -> Plan | None:
        """The plan of a query. Raises what compiling raises: EngineUnavailable, InputError."""
        try:
            return self._plans[key]
        except KeyError:
            return await self._once(key, lambda: self._plan(arguments, document))

    async def rows(self, key: Key, row: Any, document: Document) -> Rows | None:
        """The plan of a createMany for rows like this one."""
        try:
            return self._plans[key]
        except KeyError:
            return await self._once(key, lambda: self._rows(row, document))

    async def stop(self) -> None:
        """Give up what is being compiled. Whoever waits for it gets EngineUnavailable."""
        tasks = [*self._compiling.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _once(self, key: Key, make: Callable[[], Awaitable[Any]]) -> Any:
        """Compile for all that ask at the same time; who goes away does not take the plan from the others."""
        task = self._compiling.get(key)
        if task is None:
            task = asyncio.create_task(self._made(key, make), name="compile query plan")
            self._compiling[key] = task
            task.add_done_callback(_retrieved)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if task.cancelled() and not (asking and asking.cancelling()):  # by `stop`, not by who asks
                raise EngineUnavailable("The database client was stopped.") from None
            raise

    async def _made(self, key: Key, make: Callable[[], Awaitable[Any]]) -> Any:
        try:
            plan = await make()
        except Unsupported:
            plan = None
        finally:
            del self._compiling[key]
        if len(self._plans) >= _MAX_SHAPES:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = plan
        return plan

    async def _plan(self, arguments: dict[str, Any], document: Document) -> Plan | None:
        node = await self._ask(example(arguments), document)
        return None if node is None else compiled(node)

    async def _rows(self, row: Any, document: Document) -> Rows | None:
        """The statement for one row, and proof that the one for two rows is made of the same pieces."""
        one, two = await asyncio.gather(
            self._ask(rows_example([row]), document), self._ask(rows_example([row, row]), document)
        )
        if one is None or two is None:
            return None
        return _repeatable(written_rows(one), written_rows(two))

    async def _ask(self, asked: Example, document: Document) -> Any:
        request = CompileRequest.of(document(asked.literal), document(asked.template), asked.values)
        ready = self._ready.get(request.shape)
        return await self._compile(request) if ready is None else msgspec.json.decode(ready)


def _repeatable(one: Statement, two: Statement) -> Rows:
    count = len(one.arguments)
    if len(two.arguments) != 2 * count or count == 0:
        raise Unsupported
    head, *inner, tail = one.pieces
    between = two.pieces[count]
    if two.pieces != (head, *inner, between, *inner, tail):
        raise Unsupported
    # The second row's values come after those of the first one, in the same order.
    taken = sum(name is not None for name in one.names)
    later = tuple(name and f"{name[0]}{int(name[1:]) + taken}" for name in one.names)
    if two.names != one.names + later or len(set(one.names) - {None}) != taken:
        raise Unsupported
    return Rows(one.pieces, between, one.arguments)


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Take note of a failure that nobody waits for any more, so that asyncio does not log it as forgotten."""
    if not task.cancelled():
        task.exception()
