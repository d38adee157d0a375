"""Which migrations a database has, read directly: much faster than asking the Prisma CLI at every start."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

HISTORY_TABLE = "_prisma_migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration in `migrations/`: its folder's name and the SHA-256 of its script, as Prisma records them."""

    name: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Record:
    """A row of `_prisma_migrations` that was not rolled back. Not `finished`: it failed or was cut off."""

    name: str
    checksum: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a database's schema: its tables without the history's, and the history (None: there is none)."""

    tables: frozenset[str]
    history: tuple[Record, ...] | None


class Verdict(Enum):
    """What is to be done with a database."""

    CURRENT = auto()
    """Every migration is applied: nothing."""
    BEHIND = auto()
    """Empty, or some migrations are missing: apply them."""
    UNKNOWN = auto()
    """Tables that no migration of ours made: adopt them if they are the former server's, else refuse."""
    FAILED = auto()
    """A migration failed half-way: somebody must look."""


def migrations_in(folder: Path) -> tuple[Migration, ...]:
    """The migrations of a folder, in the order in which Prisma applies them (by name)."""
    scripts = sorted(folder.glob("*/migration.sql"), key=lambda script: script.parent.name)
    return tuple(Migration(s.parent.name, hashlib.sha256(s.read_bytes()).hexdigest()) for s in scripts)


def judge(migrations: tuple[Migration, ...], contents: Contents) -> Verdict:
    """What is to be done with a database of these `contents`. Pure."""
    history = contents.history or ()
    if any(not record.finished for record in history):
        return Verdict.FAILED
    applied = {record.name for record in history}
    if applied.issuperset(migration.name for migration in migrations):
        return Verdict.CURRENT
    if contents.tables and migrations[0].name not in applied:
        return Verdict.UNKNOWN
    return Verdict.BEHIND


def edited(migrations: tuple[Migration, ...], contents: Contents) -> tuple[str, ...]:
    """Names of the migrations whose script is not the one that was applied."""
    applied = {record.name: record.checksum for record in contents.history or ()}
    return tuple(m.name for m in migrations if applied.get(m.name, m.checksum) != m.checksum)


async def read_contents(connection: Any, schema: str) -> Contents:
    """The contents of `schema`, over an `asyncpg.Connection`. Other schemas (Supabase keeps many) do not matter."""
    rows = await connection.fetch(
        "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')",
        schema,
    )
    tables = {str(row["name"]) for row in rows}
    if HISTORY_TABLE not in tables:
        return Contents(frozenset(tables), None)
    quoted = '"' + schema.replace('"', '""') + '"'
    records = await connection.fetch(
        "SELECT migration_name, checksum, finished_at IS NOT NULL AS finished "
        f'FROM {quoted}."{HISTORY_TABLE}" WHERE rolled_back_at IS NULL ORDER BY started_at'
    )
    return Contents(
        frozenset(tables - {HISTORY_TABLE}),
        tuple(Record(str(r["migration_name"]), str(r["checksum"]), bool(r["finished"])) for r in records),
    )
