"""Bringing a database up to date: applying migrations, and adopting what the former server left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg

from neuron_meet.failure import ForeseenFailure
from neuron_meet.store import assets
from neuron_meet.store.adoption import FORMER, OWN, compare, listed
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.history import (
    HISTORY_TABLE,
    Contents,
    Migration,
    Verdict,
    edited,
    judge,
    migrations_in,
    read_contents,
)
from neuron_meet.store.indexes import missing
from neuron_meet.store.pooler import require_session
from neuron_meet.store.scripts import ScriptFailed, apply, open_history, record_applied, run_again
from neuron_meet.store.session import address_of, session

LOCK_KEY = 72_707_369
"""The advisory lock of a deployment: Prisma's own (prisma-engines), so that its CLI waits too."""

LOCK_SECONDS = 120
"""How long to wait for another server's deployment of the same database, in seconds."""

LOCK_NOT_AVAILABLE = "55P03"
"""SQLSTATE when `lock_timeout` has passed (PostgreSQL's manual, appendix A)."""

OWN_TABLES = {"RoomRemoval": "20261128025500_room_removal"}
"""Tables that the former server does not know, and the migrations that make them and nothing else."""

Say = Callable[[str], None]


class MigrationRefused(ForeseenFailure):
    """The database was left as it is. The message says why and what to do."""


async def deploy(url: str, say: Say) -> bool:
    """Apply the migrations that the database at `url` does not have, and adopt it if the former server made it.

    Says each step in a sentence. Costs some 20 ms when there is nothing to do. Servers that start at the same time
    take turns. Returns whether anything was done. Needs neither Node.js nor the Prisma CLI.

    Raises MigrationRefused, and DatabaseUnreachable, also where `url` leads to a pooler that shares sessions around.
    """
    address = address_of(url)
    migrations = migrations_in(assets.migrations_dir())
    async with session(address) as connection:
        await require_session(address, connection)
        contents = await read_contents(connection, address.schema)
        if judge(migrations, contents) is Verdict.CURRENT and not lost(contents):
            _warn_of_edits(migrations, contents, say)
            return False
        # Held by a transaction rather than the session: it ends however the transaction does.
        async with connection.transaction():
            await _lock(connection, address)
            contents = await read_contents(connection, address.schema)
            # The answer's portal would keep a snapshot meanwhile, for which CREATE INDEX CONCURRENTLY waits for ever.
            await connection.execute("SELECT 1")
            return await _bring_up_to_date(address, migrations, contents, say)


async def _lock(connection: Any, address: DatabaseAddress) -> None:
    """Wait for the deployment's lock, which the connection's transaction then holds."""
    try:
        # The role's own limit is for queries, which are quicker.
        await connection.execute(
            f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"
        )
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY, timeout=LOCK_SECONDS + 5)
    except asyncpg.PostgresError as error:
        if getattr(error, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise MigrationRefused(
            f"Another process has been migrating the database {address} for {LOCK_SECONDS} s: "
            "start again when it is done."
        ) from None


async def status(url: str, say: Say) -> bool:
    """Say which migrations the database at `url` has, and which indexes it lacks; whether it is up to date. Changes
    nothing.

    Raises DatabaseUnreachable.
    """
    address = address_of(url)
    migrations = migrations_in(assets.migrations_dir())
    # One transaction: a pooler may give each its own server.
    async with session(address) as connection, connection.transaction(readonly=True):
        contents = await read_contents(connection, address.schema)
        lacking = [state.index.name for state in await missing(connection, address.schema)]
    verdict = judge(migrations, contents)
    states = {record.name: "applied" if record.finished else "FAILED" for record in contents.history or ()}
    say(f"Database {address}:")
    for migration in migrations:
        say(f"  {migration.name}: {states.get(migration.name, 'not applied')}")
    for name in states.keys() - {migration.name for migration in migrations}:
        say(f"  {name}: {states[name]}, but not in {assets.migrations_dir().name}/")
    _warn_of_edits(migrations, contents, say)
    say(
        {
            Verdict.CURRENT: "The database is up to date.",
            Verdict.BEHIND: "Migrations are missing: `neuron-meet db deploy` applies them (and so does serve).",
            Verdict.UNKNOWN: "There are tables but no history of ours: `neuron-meet db deploy` adopts them if they are "
            "the former server's.",
            Verdict.FAILED: "A migration failed half-way: `neuron-meet db deploy` says what to do.",
        }[verdict]
    )
    if lacking and verdict is Verdict.CURRENT:
        say(
            f"Indexes are missing: {', '.join(lacking)}. `neuron-meet db deploy` builds them, and so does a server "
            "while it serves."
        )
    return verdict is Verdict.CURRENT


async def _bring_up_to_date(
    address: DatabaseAddress, migrations: tuple[Migration, ...], contents: Contents, say: Say
) -> bool:
    verdict = judge(migrations, contents)
    if verdict is Verdict.FAILED:
        names = ", ".join(record.name for record in contents.history or () if not record.finished)
        raise MigrationRefused(
            f"Migration {names} failed or was cut off in the database {address}. See whether its changes are there, "
            f'then say so: prisma migrate resolve --applied "{names}" if they are, --rolled-back "{names}" if not.'
        )
    if verdict is Verdict.CURRENT:
        return await _put_back(address, migrations, lost(contents), say)
    # A connection of its own: the other one's transaction holds the lock.
    async with session(address) as connection:
        applied = {record.name for record in contents.history or ()}
        missing = [migration for migration in migrations if migration.name not in applied]
        if verdict is Verdict.UNKNOWN:
            missing = await _adopt(address, connection, missing, say)
        if missing:
            say(f"Applying to the database {address}: {', '.join(migration.name for migration in missing)}.")
            await open_history(connection, address)
        for migration in missing:
            await _apply(connection, address, migration)
    return True


def lost(contents: Contents) -> tuple[str, ...]:
    """Tables of this server's own that are gone though their migration is applied. Pure.

    The former server's `prisma db push` drops what its schema does not have, without a word where there is no row.
    """
    return tuple(table for table in OWN_TABLES if table not in contents.tables)


async def _put_back(
    address: DatabaseAddress, migrations: tuple[Migration, ...], tables: tuple[str, ...], say: Say
) -> bool:
    """Make tables again by the scripts of their migrations, which stay on record as they are."""
    again = {OWN_TABLES[table] for table in tables}
    async with session(address) as connection:
        for migration in migrations:
            if migration.name in again:
                say(
                    f"The database {address} has lost {', '.join(tables)} (the former server's `prisma db push` "
                    f"drops what it does not know): making it again, without rows, by {migration.name}."
                )
                await run_again(connection, address, migration, assets.migrations_dir())
    return bool(again)


async def _apply(connection: Any, address: DatabaseAddress, migration: Migration) -> None:
    try:
        await apply(connection, address, migration, assets.migrations_dir())
    except ScriptFailed as error:
        raise MigrationRefused(f"The migration {migration.name} failed: {error}") from None


async def _adopt(
    address: DatabaseAddress, connection: Any, missing: list[Migration], say: Say
) -> list[Migration]:
    """Record as applied what the tables that are there are the result of: the first migration for the former server's,
    all of them where `db push` has made this server's. Refuses everything else. Returns what is left to apply.
    """
    say(f"The database {address} has tables but no history of ours: comparing it with the former server's.")
    found = await compare(connection, address.schema)
    pushed = any(f"table {name}" in found.left_alone for name in OWN.tables.keys() - FORMER.tables.keys())
    if not found.differences and pushed:
        found = await compare(connection, address.schema, OWN)
    if found.differences:
        raise MigrationRefused(
            f"The database {address} is neither empty nor the former server's, and was left as it is. Use another "
            "database, or another schema of it (?schema=name), or make it equal first. It differs in this:\n"
            + "\n".join(f"  {difference}" for difference in found.differences)
        )
    done = missing if pushed else missing[:1]
    async with connection.transaction():
        await open_history(connection, address)
        for migration in done:
            await record_applied(connection, address, migration)
    whose, counts = ("the", "count") if pushed else ("the former server's", "counts")
    names = ", ".join(migration.name for migration in done)
    say(
        f"Adopted {whose} database {address}: its tables and rows are as they were, and the "
        f"migration{'s' if pushed else ''} {names} {counts} as applied (table {HISTORY_TABLE})."
        + (f" Left alone: {listed(found.left_alone)}." if found.left_alone else "")
    )
    return missing[len(done) :]


def _warn_of_edits(migrations: tuple[Migration, ...], contents: Contents, say: Say) -> None:
    for name in edited(migrations, contents):
        say(f"Warning: the migration {name} was edited after it was applied; write a new one instead.")
