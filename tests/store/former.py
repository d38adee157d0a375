"""A database as the former server left it, and what can be compared before and after."""

from __future__ import annotations

import re
import subprocess

import asyncpg

from neuron_meet.store.adoption import OWN_INDEXES
from neuron_meet.store.assets import migrations_dir
from neuron_meet.store.history import migrations_in
from neuron_meet.store.prisma_cli import PrismaCli
from tests.postgres import pgserver

MIGRATIONS = [migration.name for migration in migrations_in(migrations_dir())]
"""The names of all, in order."""
APPLIED = ",".join(MIGRATIONS)
"""The history of a database that has them all."""
SCHEMA = migrations_dir() / "0_init" / "schema.prisma"

ROWS = """
INSERT INTO "User" (id, email, name, password, "updatedAt") VALUES
  ('u1', 'ada@example.org', 'Ada', '$2b$10$x', '2024-01-02 03:04:05.678'),
  ('u2', 'bob@example.org', 'Bob', '$2b$10$y', '2024-01-02 03:04:05');
INSERT INTO "Room" (id, code, name, "hostId", "updatedAt") VALUES
  ('r1', 'abc-def-ghi', 'Stand-up; daily', 'u1', '2024-01-02 03:04:05');
INSERT INTO "RoomSettings" (id, "roomId", "maxParticipants") VALUES ('s1', 'r1', 5);
INSERT INTO "Participant" (id, "roomId", "userId", "guestName") VALUES
  ('p1', 'r1', 'u2', NULL), ('p2', 'r1', NULL, 'Guest');
INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, type) VALUES
  ('m1', 'r1', 'u1', 'Ada', 'Grüße 👋', 'TEXT'), ('m2', 'r1', NULL, NULL, 'Bob joined', 'SYSTEM');
"""


async def make_former(url: str) -> None:
    """Make the tables with `prisma db push`, as the former server did, with rows."""
    pushed = await PrismaCli(url).output("db", "push", "--skip-generate", "--schema", str(SCHEMA))
    assert pushed.code == 0, pushed.complaint
    await execute(url, ROWS)


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def value(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def dump(url: str) -> str:
    """Everything in a database, as pg_dump writes it, but for Prisma's history and what is this server's own."""
    program = pgserver().get_server.__globals__["POSTGRES_VERSIONS"][18] / "pg_dump"
    text = subprocess.run(
        [
            program,
            "--inserts",
            "--exclude-table=*._prisma_migrations",
            '--exclude-table=*."RoomRemoval"',
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # PostgreSQL 18 writes a random token into these two lines.
    text = "\n".join(
        line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))
    )
    # This server's own indexes on the former tables: nothing that a row could tell.
    return re.sub(
        rf"--\n-- Name: ({'|'.join(OWN_INDEXES)}); Type: INDEX.*\n--\n\nCREATE INDEX .*;\n+", "", text
    )
