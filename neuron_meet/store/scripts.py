"""Migration scripts, applied and recorded as Prisma's own `migrate deploy` does it, without its CLI.

So a server migrates its database with what is in its package, and a database is the same whoever migrated it: each
script goes to PostgreSQL whole, and `_prisma_migrations` says when it was done, or why it failed. Better than there, a
script and its record are one transaction.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import asyncpg

from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.history import HISTORY_TABLE, Migration

_TABLE = """
CREATE TABLE IF NOT EXISTS {} (
    id VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    finished_at TIMESTAMPTZ,
    migration_name VARCHAR(255) NOT NULL,
    logs TEXT,
    rolled_back_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
)
"""
"""The table of prisma-engines' SQL flavour for PostgreSQL, word for word."""


NO_TRANSACTION = "25001"
"""SQLSTATE of a statement that cannot run inside a transaction (PostgreSQL's manual, appendix A)."""


class ScriptFailed(Exception):
    """PostgreSQL refused a script. The message is PostgreSQL's."""


async def open_history(connection: Any, address: DatabaseAddress) -> None:
    """See that the schema of `address` and its history are there. Like all here it leaves no setting behind."""
    # Asked first: who may not make schemas may still have been given one.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", address.schema
    ):
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {address.quoted_schema}")
    if await connection.fetchval("SELECT to_regclass($1)", _history(address)) is None:
        await connection.execute(_TABLE.format(_history(address)))


async def apply(connection: Any, address: DatabaseAddress, migration: Migration, folder: Path) -> None:
    """Run a migration's script and record it, after :func:`open_history`. What interrupts it leaves no trace.

    Names without a schema mean that of `address`. Raises ScriptFailed; nothing of the script is left then, but the
    failure is on record.
    """
    script = (folder / migration.name / "migration.sql").read_text()
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL search_path = {address.quoted_schema}")
            await connection.execute("SET LOCAL statement_timeout = 0")  # the role's is for queries
            await connection.execute(script)
            await _record(connection, address, migration, finished=True)
    except asyncpg.PostgresError as error:
        if getattr(error, "sqlstate", None) == NO_TRANSACTION:
            await _apply_alone(connection, address, migration, script)
            return
        if connection.is_closed():
            raise
        await _record(connection, address, migration, finished=False, logs=str(error))
        raise ScriptFailed(str(error)) from None


async def run_again(connection: Any, address: DatabaseAddress, migration: Migration, folder: Path) -> None:
    """Run the script of a migration that is on record already, in one transaction."""
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL search_path = {address.quoted_schema}; SET LOCAL statement_timeout = 0"
        )
        await connection.execute((folder / migration.name / "migration.sql").read_text())


async def _apply_alone(connection: Any, address: DatabaseAddress, migration: Migration, script: str) -> None:
    """For a statement that cannot be part of a transaction (CREATE INDEX CONCURRENTLY), as Prisma does with all.

    Where it is interrupted or fails, its record stays unfinished: somebody must look.
    """
    record = await _record(connection, address, migration, finished=False)
    try:
        # For the session, as there is no transaction; and taken back, as a pooler may give it to another client.
        await connection.execute(f"SET search_path = {address.quoted_schema}; SET statement_timeout = 0")
        await connection.execute(script)
        await connection.execute("RESET search_path; RESET statement_timeout")
    except asyncpg.PostgresError as error:
        if not connection.is_closed():
            await connection.execute("RESET search_path; RESET statement_timeout")
            await connection.execute(
                f"UPDATE {_history(address)} SET logs = $2 WHERE id = $1",
                record,
                str(error),
            )
        raise ScriptFailed(str(error)) from None
    await connection.execute(
        f"UPDATE {_history(address)} SET finished_at = now(), applied_steps_count = 1 WHERE id = $1",
        record,
    )


async def record_applied(connection: Any, address: DatabaseAddress, migration: Migration) -> None:
    """Record a migration as applied that was not run here (`prisma migrate resolve --applied`)."""
    await _record(connection, address, migration, finished=True, steps=0)


async def _record(
    connection: Any,
    address: DatabaseAddress,
    migration: Migration,
    *,
    finished: bool,
    steps: int = 1,
    logs: str | None = None,
) -> str:
    record = str(uuid.uuid4())
    await connection.execute(
        f"INSERT INTO {_history(address)} (id, checksum, migration_name, logs, finished_at, applied_steps_count) "
        "VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END, $6)",
        record,
        migration.checksum,
        migration.name,
        logs,
        finished,
        steps if finished else 0,
    )
    return record


def _history(address: DatabaseAddress) -> str:
    return f'{address.quoted_schema}."{HISTORY_TABLE}"'
