"""Which run of which server opened a Participant row, and whether that run is still alive.

The five models have no column for it (and stay as they are), so the row's id tells the run (store/ids.py), and
the run holds a PostgreSQL advisory lock for as long as its process lives: the database itself lets go of it
when the process is gone, however it went. A start closes the open rows of every run whose lock it can take.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any

import structlog

from neuron_meet.failure import place
from neuron_meet.store.direct import DIRECT_ERRORS, connect
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.ids import INSTANCE_LENGTH, PARTICIPANT_PREFIX
from neuron_meet.store.pooler import require_session
from neuron_meet.store.session import address_of, complaint

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
CLOSE_TIMEOUT_SECONDS = 2.0
_OURS = f"^{PARTICIPANT_PREFIX}[0-9a-z]{{24}}$"


StillThere = Callable[[str], Awaitable[Collection[str]]]
"""The rows of those who are in a room now, at any node."""


class Lease:
    """The advisory lock of one run of one server, on a connection of its own, taken again when that breaks."""

    def __init__(self, url: str, instance: str) -> None:
        """`url`: the database itself, or a pooler in session mode; one in transaction mode would share the lock around.

        Raises DatabaseUnreachable for a URL that is none.
        """
        self._address = address_of(url)
        self._instance = instance
        self._connection: Any = None
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self, *, alone: bool = False) -> None:
        """Take the lock and keep it. Where this server is `alone`, runs that are no more can have nobody in a room
        elsewhere: their rows are closed at once.

        Raises DatabaseUnreachable, also where a pooler lets go of locks.
        """
        closed = 0
        try:
            await self._take(first=True)
            self._keeper = asyncio.create_task(self._keep(), name="lease")
            if alone:
                closed = await self.close_rows_of_the_dead(
                    await self._connection.fetchval("SELECT clock_timestamp()")
                )
        except DIRECT_ERRORS as error:
            raise DatabaseUnreachable(
                f"No direct connection for the lease (DIRECT_URL, or DATABASE_URL where that is not set). The database "
                f"{self._address} {complaint(self._address, error)}"
            ) from error
        if closed:
            log.info("closed participant rows of servers that are no more", rows=closed)

    async def stop(self) -> None:
        """Let go of the lock."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close(timeout=CLOSE_TIMEOUT_SECONDS)

    async def close_rows_of_the_dead(self, left_at: datetime, alive: StillThere | None = None) -> int:
        """Close the open rows of runs that are no more, the former server's among them. Returns how many.

        Rows of a live run on the same database are not touched: its lock is held. `alive` is asked, by room code,
        which rows are of participants who have come to another node.
        """
        connection = self._connection
        runs = await connection.fetch(
            f"""SELECT DISTINCT CASE WHEN id ~ '{_OURS}' THEN substr(id, 2, {INSTANCE_LENGTH}) END AS run
                FROM {self._table("Participant")} WHERE "isActive" """
        )
        closed = 0
        for row in runs:
            run: str | None = row["run"]
            if run == self._instance:
                continue
            if run is not None:
                if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _lock_key(run)):
                    continue
                await connection.execute("SELECT pg_advisory_unlock($1)", _lock_key(run))
            spared = await self._spared(run, alive) if run is not None and alive is not None else []
            done = await connection.execute(
                f"""UPDATE {self._table("Participant")} SET "isActive" = false, "leftAt" = $1
                    WHERE "isActive" AND id <> ALL($3::text[]) AND CASE WHEN $2::text IS NULL THEN id !~ '{_OURS}'
                                              ELSE substr(id, 2, {INSTANCE_LENGTH}) = $2 AND id ~ '{_OURS}' END""",
                left_at.replace(tzinfo=None),
                run,
                spared,
            )
            closed += int(done.rsplit(" ", 1)[-1])
        return closed

    async def _spared(self, run: str, alive: StillThere) -> list[str]:
        """Open rows of a run whose participants are somewhere."""
        rooms = await self._connection.fetch(
            f"""SELECT DISTINCT (SELECT r.code FROM {self._table("Room")} r WHERE r.id = p."roomId") AS code
                FROM {self._table("Participant")} p WHERE p."isActive" AND p.id LIKE $1""",
            f"{PARTICIPANT_PREFIX}{run}%",
        )
        return [record_id for room in rooms for record_id in await alive(room["code"])]

    async def _take(self, *, first: bool = False) -> None:
        connection = await connect(self._address)
        try:
            if first:
                await require_session(self._address, connection)
            await connection.execute("SELECT pg_advisory_lock($1)", _lock_key(self._instance))
        except BaseException:
            connection.terminate()
            raise
        self._lost.clear()
        connection.add_termination_listener(self._on_end)
        self._connection = connection

    def _table(self, name: str) -> str:
        return f'{self._address.quoted_schema}."{name}"'

    def _on_end(self, _connection: object) -> None:
        self._lost.set()

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            log.warning("database lease lost, taking it again")
            try:
                await self._take()
            except DIRECT_ERRORS:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:  # the lock is asked for again: without it the rows are closed
                log.error("database lease not taken", **place(error))  # noqa: TRY400 -- may quote content
                await asyncio.sleep(RETRY_SECONDS)


def _lock_key(instance: str) -> int:
    """A run's advisory lock: 63 bits of a hash, so that it meets no other program's small numbers."""
    digest = hashlib.sha256(b"neuron-meet/" + instance.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
