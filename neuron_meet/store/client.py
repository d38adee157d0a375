"""The database: the life cycle of the Prisma client and its engine."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from neuron_meet.store.clock import DatabaseClock
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.engine.calls import Calls
from neuron_meet.store.engine.plan_engine import PlanEngine
from neuron_meet.store.engine.pool import Pool, is_served
from neuron_meet.store.engine.prisma import Sql, connected_client, fetch, rehearsing_client, transaction
from neuron_meet.store.engine.process import Launch
from neuron_meet.store.engine.ready_plans import ReadyPlans
from neuron_meet.store.engine.supervisor import EngineSupervisor
from neuron_meet.store.errors import DatabaseUnreachable, DataError, EngineUnavailable, TableNotFoundError
from neuron_meet.store.generated.client import PACKAGED_SCHEMA_PATH, Prisma
from neuron_meet.store.models import Message, Participant, Room, RoomRemoval, RoomSettings, User
from neuron_meet.store.pooler import is_pooled
from neuron_meet.store.session import session

_CHECK_SECONDS = 7.0
"""A start must have failed within 10 s; the engine needs one of them at most to come up, and two to end."""
_LOOK_SECONDS = 3.0
"""Of these, what the look for a pooler may take."""
_READ_ONLY = "25006"
"""PostgreSQL's code for a write where none may be (its manual, appendix A)."""
_REASONS = {
    "P1000": "refused the user name or password",
    "P1001": "cannot be reached",
    "P1003": "does not exist",
    "P1008": "did not answer in time",
    "P1010": "denies access to this user",
    "P1011": "could not be reached over TLS",
    "P2024": "did not answer in time",
    "P2037": "has no free connection left",
    _READ_ONLY: "takes no writes",
}
_ADVICE = {
    "P1000": "Check the user and password in DATABASE_URL.",
    "P1003": "Create it, or check the name in DATABASE_URL.",
    "P1010": "Grant the user access, or check DATABASE_URL.",
    "P1011": "Check sslmode and the certificates in DATABASE_URL.",
    "P2037": "Lower DATABASE_POOL_SIZE, or raise PostgreSQL's max_connections.",
    _READ_ONLY: "Name the primary in DATABASE_URL, not a standby.",
}
IDLE_SECONDS = 60.0
"""A server's host is kept so long after its last call: it costs 75 MB, and 0.3 s of CPU to start again."""
_LOOK = """SELECT current_setting('transaction_read_only') AS read_only,
to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS') || 'Z' AS now"""
_MISSING_COLUMN = "P2022"
_MODELS = {model.__name__: model for model in (User, Room, RoomSettings, Participant, Message, RoomRemoval)}
_MAX_STATEMENTS = 500
"""The server has some thirty; a limit that an operator types makes one more."""
_SHARED_FROM = 4

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections that are there, those that work, and callers that wait for one."""

    open: int
    busy: int
    waiting: int


def own_connections(limit: int) -> int:
    """How many of `limit` connections are this process's own; the others are the host's.

    Four of five: the host runs what nothing in serving asks for. Of fewer than four it needs all, and runs everything
    then.
    """
    return limit - max(2, limit // 5) if limit >= _SHARED_FROM else 0


class Database:
    """A PostgreSQL database, used through Prisma Client Python.

    `prisma` is the generated client. Its queries end within `timeout_seconds`; they raise the exceptions in
    :mod:`neuron_meet.store.errors`.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        timeout_seconds: float = 5.0,
        host_idle_seconds: float | None = None,
        node: Path | None = None,
        schema: Path | None = None,
        slow_seconds: float = math.inf,
    ) -> None:
        """`node` and `schema` default to the Node.js that is found and the schema that the client was made from.

        With `host_idle_seconds` the engine's host, a Node.js process, is there only while something needs it, and
        so long after. None keeps it from start to stop. Calls that take longer than `slow_seconds` are logged.
        """
        self._url = url
        self._pool_size = pool_size
        self._timeout = timeout_seconds
        self._host_idle = host_idle_seconds
        self._node = node
        self._slow_seconds = slow_seconds
        self._schema = schema or PACKAGED_SCHEMA_PATH
        self._supervisor: EngineSupervisor | None = None
        self._engine: PlanEngine | None = None
        self._prisma: Prisma | None = None
        self._namespace = '"public"'
        self._tables = {name: self.table(name) for name in _MODELS}
        self._statements: dict[tuple[str | int, ...], str] = {}

    async def start(self) -> None:
        """Start the engine, reach the database and find the tables in it; 10 s at most.

        Raises DatabaseUnreachable, whose message says what is wrong and what to do; nothing is left running then.
        """
        if self._supervisor is not None:
            return
        try:
            address = DatabaseAddress.parse(self._url)
        except ValueError as error:
            raise DatabaseUnreachable(str(error)) from None
        begun = asyncio.get_running_loop().time()
        address = await _as_found(address)
        self._namespace = address.quoted_schema
        self._tables = {name: self.table(name) for name in _MODELS}
        self._statements.clear()
        limit = min(self._pool_size, address.connection_limit or self._pool_size)
        own = own_connections(limit) if is_served(address) else 0
        launch = Launch(self._node, self._schema, address, limit - own, self._timeout)
        supervisor = EngineSupervisor(launch, self._host_idle)
        pool = Pool(address, own, self._timeout) if own else None
        ready = ReadyPlans.read(self._schema, address.schema) if pool else ReadyPlans.none()
        self._engine = engine = PlanEngine(supervisor, self._timeout, pool, ready.plans)
        engine.calls = Calls(self._slow_seconds)
        try:
            if self._host_idle is not None and pool is not None and ready.plans:
                supervisor.start_at_rest()
            else:
                await supervisor.start()
            self._prisma = connected_client(engine)
            taken = asyncio.get_running_loop().time() - begun
            await self._check(address, engine, supervisor, _CHECK_SECONDS - min(taken, _LOOK_SECONDS))
        except BaseException as error:
            self._prisma = self._engine = None
            await engine.close_pool()
            await supervisor.stop()
            if isinstance(error, EngineUnavailable):
                raise DatabaseUnreachable(str(error)) from None
            raise
        self._supervisor = supervisor

    async def stop(self) -> None:
        """Close all connections and end the engine; returns when no process is left. May be called again."""
        supervisor, self._supervisor = self._supervisor, None
        engine, self._engine = self._engine, None
        self._prisma = None
        if engine is not None:
            await engine.close_pool()
        if supervisor is not None:
            await supervisor.stop()

    @property
    def prisma(self) -> Prisma:
        """The connected client. Raises EngineUnavailable before the start and after the stop."""
        if self._prisma is None:
            raise EngineUnavailable("The database client is not started.")
        return self._prisma

    async def ping(self) -> None:
        """A round trip to the database from this process itself, and one through the engine's host if there is one.

        A host that was ended because nobody needed it is not started for this.
        Raises EngineUnavailable when one of them is not done within the deadline, and when the database takes no
        writes: a standby cannot be used.
        """
        prisma, engine, supervisor = self.prisma, self._engine, self._supervisor
        takes_writes = True
        if supervisor is not None and not supervisor.at_rest:
            takes_writes = await self._look(prisma)
        if engine is not None:
            takes_writes = await engine.ping() and takes_writes
        if not takes_writes:
            raise EngineUnavailable("The database is read-only.", _READ_ONLY)

    async def _look(self, prisma: Prisma) -> bool:
        """A round trip through the host: whether the database takes writes. Its clock is learnt from it."""
        before = time.monotonic()
        [state] = await prisma.query_raw(_LOOK)
        self.clock.learn(datetime.fromisoformat(state["now"]), before, time.monotonic())
        return state["read_only"] == "off"

    @property
    def clock(self) -> DatabaseClock:
        """The database's clock, looked at by each ping."""
        return self._engine.clock if self._engine else DatabaseClock()

    async def read(
        self, statement: str, *values: str | None, operation: str, model: str, **parts: str | int
    ) -> list[str]:
        """The column `found`, a text, of the rows of a statement of SQL that only reads; values are texts.

        `{Room}` in it is that model's table, and `{name}` the part `name`: for what makes another statement, such as a
        limit. It is run a second time where its connection breaks. `operation` and `model` are what it is counted and
        logged as. Raises StoreError.
        """
        sql = self._sql(statement, parts)
        return await fetch(self.prisma, Sql(sql, values, operation, model, repeatable=True))

    async def write(
        self,
        statement: str,
        *values: str | None,
        operation: str,
        model: str,
        within: Prisma | None = None,
        **parts: str | int,
    ) -> list[str]:
        """The same for a statement that writes: it is run once, `within` a :meth:`transaction` if given."""
        sql = self._sql(statement, parts)
        return await fetch(within or self.prisma, Sql(sql, values, operation, model, repeatable=False))

    def _sql(self, statement: str, parts: Mapping[str, str | int]) -> str:
        key = (statement, *parts.values())
        sql = self._statements.get(key)
        if sql is None:
            # Parts may name tables too.
            sql = _with_names(statement, parts).format_map(self._tables)
            if len(self._statements) >= _MAX_STATEMENTS:
                self._statements.clear()
            self._statements[key] = sql
        return sql

    def transaction(self, statement: str, *values: str) -> AbstractAsyncContextManager[Prisma]:
        """A transaction of Prisma's queries that begins with a statement of SQL, such as a lock.

        It ends within `timeout_seconds`. Raises StoreError.
        """
        return transaction(self.prisma, statement, *values)

    def table(self, name: str) -> str:
        """A table's name as SQL writes it, with its schema: through a pooler the search path is not ours."""
        return f'{self._namespace}."{name}"'

    def rehearsal(self) -> Database:
        """This database for queries that are to be compiled and not run (store/rehearsal.py)."""
        if self._engine is None:
            raise EngineUnavailable("The database client is not started.")
        return self.rehearsing(self._engine)

    @classmethod
    def rehearsing(cls, engine: PlanEngine) -> Database:
        """A database whose queries are compiled by `engine` and not run."""
        rehearsal = cls("")
        rehearsal._prisma = rehearsing_client(engine)
        return rehearsal

    @property
    def engine_pid(self) -> int | None:
        """The engine's process id; None while there is no engine."""
        return self._supervisor.pid if self._supervisor else None

    @property
    def engine_restarts(self) -> int:
        """How often the engine has died and been started again."""
        return self._supervisor.restarts if self._supervisor else 0

    @property
    def calls(self) -> Calls:
        """What was asked since the start."""
        return self._engine.calls if self._engine else Calls()

    @property
    def pool_use(self) -> PoolUse:
        """This process's own connections now; zeros where it has none (the engine's host has the others)."""
        pool = self._engine.pool if self._engine else None
        return PoolUse(pool.open, pool.busy, pool.waiting) if pool else PoolUse(0, 0, 0)

    async def look_at_each_table(self) -> None:
        """See that each table is there with its columns. Raises StoreError."""
        await self.read(_LOOK_AT_COLUMNS, operation="look", model="")

    async def _check(
        self, address: DatabaseAddress, engine: PlanEngine, supervisor: EngineSupervisor, seconds: float
    ) -> None:
        """Reach the database and read a row of each table."""
        try:
            async with asyncio.timeout(seconds):
                if not (supervisor.at_rest and await engine.reaches()):
                    await self._look(self.prisma)
                    await engine.open()
                await self.look_at_each_table()
        except EngineUnavailable as error:
            code = error.code or ""
            reason = _REASONS.get(code, "did not answer in time" if not code else "cannot be used")
            advice = _ADVICE.get(code, "Check DATABASE_URL and that PostgreSQL runs there.")
            raise DatabaseUnreachable(f"The database {address} {reason}. {advice}") from None
        except TimeoutError:
            raise DatabaseUnreachable(
                f"The database {address} did not answer within {_CHECK_SECONDS:.0f} s. "
                "Check DATABASE_URL and that PostgreSQL runs there."
            ) from None
        except DataError as error:
            if not isinstance(error, TableNotFoundError) and error.code != _MISSING_COLUMN:
                raise DatabaseUnreachable(f"The database {address} cannot be used. {error}") from None
            raise DatabaseUnreachable(
                f"The database {address} lacks tables or columns of this server. Run: neuron-meet db deploy"
            ) from None


async def _as_found(address: DatabaseAddress) -> DatabaseAddress:
    """The address as what answers there must be spoken to: a pooler need not be named in the URL (`pgbouncer=true`).

    An address that cannot be looked at stays as it is: whoever uses it says what is wrong.
    """
    if address.pooled:
        return address
    try:
        async with asyncio.timeout(_LOOK_SECONDS), session(address) as connection:
            if not await is_pooled(connection):
                return address
    except (DatabaseUnreachable, TimeoutError, OSError):
        return address
    log.info("a pooler stands before the database: connections bring no settings", database=str(address))
    if address.options:
        log.warning(
            "settings in the database's URL are not used through a pooler: give them to the role (ALTER ROLE … SET)",
            database=str(address),
        )
    return address.through_pooler()


def _with_names(statement: str, parts: Mapping[str, str | int]) -> str:
    for name, part in parts.items():
        statement = statement.replace(f"{{{name}}}", str(part))
    return statement


def _look_at_columns() -> Iterator[str]:
    """For each model a statement that names its columns and reads no row: Prisma has none that does not."""
    for name, model in _MODELS.items():
        fields = model.model_fields.items()
        named = ", ".join(f'"{field}"' for field, info in fields if "models." not in str(info.annotation))
        yield f"SELECT NULL::text AS found FROM (SELECT {named} FROM {{{name}}} LIMIT 0) AS columns"


_LOOK_AT_COLUMNS = " UNION ALL ".join(_look_at_columns())
