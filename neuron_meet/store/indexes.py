"""The indexes that the server's queries need beside the former server's, and how a large table gets them.

A small table gets them from a migration. On a large one CREATE INDEX would keep everybody from writing for as long as
it takes, so there each is built with CREATE INDEX CONCURRENTLY: by `neuron-meet db deploy` at once, and by a server in
the background, while it serves. Of several servers one builds: it has an advisory lock for its session, which the
others try again now and then. Nobody waits for that lock: a statement that waits holds a snapshot, and CREATE INDEX
CONCURRENTLY waits for all snapshots older than its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from neuron_meet.failure import ForeseenFailure, place
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.session import address_of, session

log = structlog.get_logger(__name__)

POLL_SECONDS = 5.0
"""How often a server looks whether the one that builds is done or gone."""
RETRY_SECONDS = 30.0
"""How long it leaves a database alone that is away, or that has refused an index (no room on the disk, no right to)."""
_NOT_THE_OWNER = "42501"
"""PostgreSQL's code for a missing right (its manual, appendix A)."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is wanted. `keys`: what stands between its parentheses, in SQL."""

    name: str
    table: str
    keys: str


WANTED = (
    # The newest messages of a room, and each page before them.
    Index("Message_roomId_createdAt_id_idx", "Message", '"roomId", "createdAt" DESC, "id" DESC'),
    # Rows that are open: of a room, and of all rooms at a start. There are as many as people in meetings.
    Index("Participant_isActive_roomId_idx", "Participant", '"isActive", "roomId"'),
    # Where an account has been, the newest first.
    Index("Participant_userId_joinedAt_id_idx", "Participant", '"userId", "joinedAt" DESC, "id" DESC'),
    # Whether an account has been in a room, and in which ones.
    Index("Participant_userId_roomId_joinedAt_idx", "Participant", '"userId", "roomId", "joinedAt" DESC'),
    # An account's newest rooms, and how many are open.
    Index(
        "Room_hostId_isActive_createdAt_id_idx", "Room", '"hostId", "isActive", "createdAt" DESC, "id" DESC'
    ),
    # The newest rooms of all.
    Index("Room_isActive_createdAt_id_idx", "Room", '"isActive", "createdAt" DESC, "id" DESC'),
    # What may be deleted.
    Index("Room_endedAt_idx", "Room", '"endedAt"'),
    # Addresses in any casing. An expression: schema.prisma has no word for it, and `db push` does not look at it.
    Index("User_email_lower_idx", "User", 'lower("email")'),
)
"""Those of schema.prisma that the former server has not, and one more; the migration `…_indexes` has the same list."""

_STATES = """
SELECT x.relname::text AS name, i.indisvalid AS valid, EXISTS (
    SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.oid) AS in_work
FROM pg_class x
JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_index i ON i.indexrelid = x.oid
WHERE n.nspname = $1 AND x.relname = ANY($2::text[])
"""
_TABLES = """
SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname = ANY($2::text[])
"""


class IndexesRefused(ForeseenFailure):
    """PostgreSQL has refused to build indexes. The message names them, says why and what to do."""


@dataclass(frozen=True, slots=True)
class State:
    """An index that is not there, or not valid. `broken`: a build of it was interrupted; `in_work`: somebody builds."""

    index: Index
    broken: bool = False
    in_work: bool = False


async def missing(connection: Any, schema: str, wanted: Sequence[Index] = WANTED) -> list[State]:
    """What is missing in a schema, over an `asyncpg.Connection` in no transaction or in one.

    Tables that are not there are left out: migrations are not ours. Raises what asyncpg raises.
    """
    tables = {row["name"] for row in await connection.fetch(_TABLES, schema, [each.table for each in wanted])}
    found = {
        row["name"]: row for row in await connection.fetch(_STATES, schema, [each.name for each in wanted])
    }
    states: list[State] = []
    for index in wanted:
        row = found.get(index.name)
        if index.table in tables and (row is None or not row["valid"]):
            states.append(State(index, row is not None, row is not None and row["in_work"]))
    return states


async def missing_names(url: str) -> list[str] | None:
    """Names of the indexes that are missing in the database at `url`; None where there are no tables.

    Raises DatabaseUnreachable.
    """
    address = address_of(url)
    async with session(address) as connection, connection.transaction(readonly=True):
        if not await connection.fetch(_TABLES, address.schema, [each.table for each in WANTED]):
            return None
        return [state.index.name for state in await missing(connection, address.schema)]


async def build(url: str, say: Callable[[str], None], wanted: Sequence[Index] = WANTED) -> bool:
    """Build what is missing, one after the other, and wait where another process is at it. Returns whether any was.

    Each statement may take as long as it takes (some ten seconds for a million messages); everybody may write
    meanwhile. Raises DatabaseUnreachable, IndexesRefused.
    """
    address = address_of(url)
    built = False
    while True:
        async with session(address) as connection:
            states = await missing(connection, address.schema, wanted)
            if not states:
                return built
            async with _alone(connection, address.schema) as alone:
                if alone:
                    built = await _build(connection, address, wanted, say) or built
                    if not await missing(connection, address.schema, wanted):
                        return built
        say("Another process is building indexes: waiting for it.")
        await asyncio.sleep(POLL_SECONDS)


class IndexBuilder:
    """Sees, in the background, that the indexes are there; one server of all builds them."""

    def __init__(
        self, url: str, wanted: Sequence[Index] = WANTED, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        """`url`: the database itself, or a pooler in session mode (as for store/lease.py).

        Raises DatabaseUnreachable for a URL that is none.
        """
        self._url = url
        self._address = address_of(url)
        self._wanted = wanted
        self._poll_seconds = poll_seconds
        self._task: asyncio.Task[None] | None = None
        self.missing: tuple[str, ...] = ()
        """Names of those that were not there when this was last looked at; empty before the start."""

    async def start(self) -> None:
        """Look at what is there, and begin where something is missing. Raises DatabaseUnreachable."""
        async with session(self._address) as connection:
            states = await missing(connection, self._address.schema, self._wanted)
        self._note(state.index for state in states)
        if states:
            log.warning("indexes are missing: queries are slow until they are built", indexes=self.missing)
            self._task = asyncio.create_task(self._run(), name="indexes")

    async def stop(self) -> None:
        """End it. PostgreSQL goes on with an index that it is building; the next start finds it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def built(self) -> None:
        """Wait until nothing is missing."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def _note(self, indexes: Iterable[Index]) -> None:
        self.missing = tuple(index.name for index in indexes)

    async def _run(self) -> None:
        while self.missing:
            pause = self._poll_seconds
            try:
                await self._once()
            except ForeseenFailure as error:
                log.error("indexes not built", reason=str(error))  # noqa: TRY400 -- the sentence is the reason
                pause = RETRY_SECONDS
            except Exception as error:  # the next round tries again
                log.error("indexes not built", **place(error))  # noqa: TRY400 -- may quote content
                pause = RETRY_SECONDS
            if self.missing:
                await asyncio.sleep(pause)

    async def _once(self) -> None:
        async with _interruptible(self._address) as connection:
            schema = self._address.schema
            async with _alone(connection, schema) as alone:
                if alone:
                    await _build(connection, self._address, self._wanted, log.info, self._note)
            self._note(state.index for state in await missing(connection, schema, self._wanted))
            if not self.missing:
                log.info("all indexes are there")


@asynccontextmanager
async def _interruptible(address: DatabaseAddress) -> AsyncGenerator[Any]:
    """A connection that is cut where the block is cancelled: to say goodbye would wait for the end of the statement."""
    async with session(address) as connection:
        try:
            yield connection
        except asyncio.CancelledError:
            connection.terminate()
            raise


@asynccontextmanager
async def _alone(connection: Any, schema: str) -> AsyncGenerator[bool]:
    """Whether this session is the one that builds, for as long as the block lasts."""
    digest = hashlib.sha256(f"neuron-meet/indexes/{schema}".encode()).digest()
    key = int.from_bytes(digest[:8], "big") >> 1
    alone: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1)", key)
    try:
        yield alone
    finally:
        if alone and not connection.is_closed():
            with contextlib.suppress(Exception):  # it goes with the session
                await connection.execute("SELECT pg_advisory_unlock($1)", key)


async def _build(
    connection: Any,
    address: DatabaseAddress,
    wanted: Sequence[Index],
    say: Callable[[str], None],
    note: Callable[[Iterable[Index]], None] = lambda _missing: None,
) -> bool:
    """Build what is missing and nobody else builds; the connection has the lock. Returns whether anything was built.

    One that is refused does not keep the others from being built. Raises IndexesRefused at the end.
    """
    refused: dict[Index, str] = {}
    built = False
    # Taken back at the end: a pooler in session mode may give the session to another client.
    await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    try:
        states = await missing(connection, address.schema, wanted)
        for number, state in enumerate(states):
            note([*refused, *(each.index for each in states[number:])])
            if state.in_work:
                continue
            try:
                await _build_one(connection, address, state, say)
                built = True
            except asyncpg.PostgresError as error:
                if connection.is_closed():
                    raise
                refused[state.index] = _reason(error, address)
        note(refused)
    finally:
        if not connection.is_closed():
            with contextlib.suppress(Exception):
                await connection.execute("RESET statement_timeout; RESET lock_timeout")
    if refused:
        raise IndexesRefused(
            "\n".join(f"The index {each.name} cannot be built: {refused[each]}" for each in refused)
        )
    return built


async def _build_one(
    connection: Any, address: DatabaseAddress, state: State, say: Callable[[str], None]
) -> None:
    schema, index = address.quoted_schema, state.index
    if state.broken:
        say(f"The index {index.name} was left unfinished: building it again.")
        await connection.execute(f'DROP INDEX CONCURRENTLY IF EXISTS {schema}."{index.name}"')
    say(f"Building the index {index.name}; everybody may write meanwhile.")
    await connection.execute(
        f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{index.name}" ON {schema}."{index.table}" ({index.keys})'
    )


def _reason(error: Exception, address: DatabaseAddress) -> str:
    reason = str(error).splitlines()[0].rstrip(".")
    if getattr(error, "sqlstate", None) == _NOT_THE_OWNER:
        return (
            f"{reason}. Run `neuron-meet db deploy` with the URL of the tables' owner, or make the user {address.user} "
            "a member of that role."
        )
    return f"{reason}. Queries are slow until it is there; `neuron-meet db deploy` builds it too."
