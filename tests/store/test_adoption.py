"""Adopting the former server's database: recognised, left as it is, and everything else refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from neuron_meet.store.adoption import FORMER, OWN, OWN_INDEXES, listed
from neuron_meet.store.assets import migrations_dir, schema_file
from neuron_meet.store.catalog import read_catalog
from neuron_meet.store.client import Database
from neuron_meet.store.migrations import MigrationRefused, deploy, status
from neuron_meet.store.prisma_cli import PrismaCli
from tests.store.former import APPLIED, MIGRATIONS, dump, execute, make_former, value
from tests.store.password_server import PasswordServer

HISTORY = "SELECT string_agg(migration_name, ',' ORDER BY migration_name) FROM \"_prisma_migrations\""
FIRST = (migrations_dir() / "0_init" / "migration.sql").read_text()


@pytest.fixture
async def former_made_by_sql(empty_database_url: str) -> str:
    """A former database without rows."""
    await execute(empty_database_url, FIRST)
    return empty_database_url


async def test_what_is_compared_is_what_the_first_migration_and_the_former_server_make(
    former_made_by_sql: str, former_url: str
) -> None:
    for url in (former_made_by_sql, former_url):
        connection = await asyncpg.connect(url)
        try:
            assert await read_catalog(connection, "public", FORMER.tables, FORMER.enums) == FORMER
        finally:
            await connection.close()


async def test_the_former_servers_database_is_adopted_with_its_rows_and_without_any_program(
    former_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(former_url)
    said: list[str] = []

    async def none(*command: object, **_: object) -> Any:
        raise AssertionError(f"started {command}")

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "create_subprocess_exec", none)
        assert await deploy(former_url, said.append)

    assert dump(former_url) == before
    assert "Grüße 👋" in before
    assert await value(former_url, HISTORY) == APPLIED
    assert said[1].startswith("Adopted the former server's database ")
    assert said[1].endswith("migration 0_init counts as applied (table _prisma_migrations).")
    assert "its tables and rows are as they were" in said[1]
    assert said[2].endswith(f": {', '.join(MIGRATIONS[1:])}.")
    assert await value(former_url, 'SELECT count(*) FROM "RoomRemoval"') == 0
    assert not await deploy(former_url, said.append)
    assert await status(former_url, said.append)
    database = Database(former_url)
    await database.start()
    try:
        room = await database.prisma.room.find_unique(
            where={"code": "abc-def-ghi"}, include={"settings": True}
        )
        assert room is not None
        assert room.settings is not None
        assert (room.name, room.settings.maxParticipants) == ("Stand-up; daily", 5)
    finally:
        await database.stop()


async def test_on_an_external_server_over_tcp_with_a_user_who_may_not_create_databases(
    password_server: PasswordServer,
) -> None:
    await password_server.execute("CREATE DATABASE former OWNER meet")
    url = password_server.url(database="former")
    await make_former(url)
    before = dump(url)

    await deploy(url, print)

    assert dump(url) == before
    assert await value(url, HISTORY) == APPLIED


NEIGHBOURS = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
CREATE TYPE pair AS (a int, b int);
CREATE SEQUENCE tickets;
CREATE TABLE notes (id serial PRIMARY KEY, author text REFERENCES "User" (id), mood mood CHECK (mood <> 'bad'));
CREATE TABLE bookings (during tsrange, EXCLUDE USING gist (during WITH &&));
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9);
CREATE VIEW busy AS SELECT "roomId", count(*) AS members FROM "Participant" GROUP BY 1;
CREATE MATERIALIZED VIEW seen AS SELECT max("joinedAt") AS at FROM "Participant";
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER afar FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE abroad (id int NOT NULL CHECK (id > 0)) SERVER afar;
CREATE EXTENSION vector;
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, CHECK (id IS NOT NULL));
ALTER TABLE "User" ADD CONSTRAINT "User_email_check" CHECK (email LIKE '%@%');
ALTER TABLE "User" ADD COLUMN phone text, ADD COLUMN tier int NOT NULL DEFAULT 1,
  ADD COLUMN number int GENERATED ALWAYS AS IDENTITY, ADD COLUMN team int REFERENCES notes (id);
ALTER TABLE "Room" ADD CONSTRAINT "Room_times" EXCLUDE USING gist (tsrange("startedAt", "endedAt") WITH &&)
  WHERE (name = 'Boardroom');
CREATE INDEX "Message_roomId_createdAt" ON "Message" ("roomId", "createdAt");
CREATE UNIQUE INDEX "User_email_lower" ON "User" (lower(email));
CREATE INDEX open_rows ON "Participant" ("roomId") WHERE "isActive";
ALTER TABLE "Message" ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stamp BEFORE UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION nothing();
"""
LEFT_ALONE = (
    'column phone of User', 'column tier of User', 'column number of User', 'column team of User',
    'index User_email_lower of User',
    'foreign key (team) to notes (id) ON DELETE NO ACTION ON UPDATE NO ACTION of User',
    'index on (roomId, createdAt) of Message', 'index open_rows of Participant',
    'foreign table abroad', 'materialized view seen', 'sequence tickets', 'table bookings', 'table notes',
    'table parts', 'type pair', 'view busy', 'enum mood', 'type short',
    'constraint Room_times of Room', 'constraint User_email_check of User', 'trigger stamp of User',
    'row-level security of Message', 'extension vector',
)  # fmt: skip


async def test_servers_that_start_at_once_adopt_once_beside_what_others_have_added(former_url: str) -> None:
    """Constraints of any kind, also of foreign tables, views, extensions, indexes, columns that need no value."""
    await execute(former_url, NEIGHBOURS)
    before, said = dump(former_url), list[str]()

    done = await asyncio.gather(*(deploy(former_url, said.append) for _ in range(3)))

    assert sorted(done) == [False, False, True]
    assert await value(former_url, HISTORY) == APPLIED
    assert dump(former_url) == before
    [adopted] = [text for text in said if text.startswith("Adopted")]
    named_there = re.fullmatch(r".*\. Left alone: (.*)\.", adopted)
    assert named_there is not None
    for text in LEFT_ALONE:
        assert text in named_there[1], text
    assert sorted(_items(named_there[1])) == sorted(_items(", ".join(LEFT_ALONE)))


def _items(text: str) -> list[str]:
    return re.split(r", (?![^(]*\))", text)


def test_of_many_things_the_first_are_named() -> None:
    assert listed(tuple(f"table t{number}" for number in range(1000))).endswith("table t39 and 960 more")


DIFFERENCES = {
    'ALTER TABLE "Room" DROP COLUMN "isLocked"': "Room: the column isLocked is missing",
    'ALTER TABLE "User" ADD COLUMN age int NOT NULL': "User: the column age is added, must not be NULL and has no "
    "default: no row could be written",
    'ALTER TABLE "Message" ALTER content TYPE varchar(10)': "Message: the column content is character varying(10) "
    "instead of text",
    'ALTER TABLE "RoomSettings" ALTER "maxParticipants" SET DEFAULT 9': "RoomSettings: the column maxParticipants has "
    "the default 9 instead of 100",
    'ALTER TABLE "Room" ALTER "isActive" DROP DEFAULT': "Room: the column isActive has the default none instead of "
    "true",
    "ALTER TYPE \"MessageType\" ADD VALUE 'VIDEO'": "MessageType: the enum has TEXT, SYSTEM, FILE, VIDEO instead of "
    "TEXT, SYSTEM, FILE",
    'ALTER TABLE "Message" ALTER content DROP NOT NULL': "Message: the column content may be NULL",
    'ALTER TABLE "Message" ALTER "senderName" SET NOT NULL': "Message: the column senderName must not be NULL",
    'DROP INDEX "Room_hostId_idx"': "Room: the index on (hostId) is missing",
    'DROP INDEX "User_email_key"': "User: the unique index on (email) is missing",
    'DROP INDEX "Message_createdAt_idx"; CREATE INDEX "Message_createdAt_idx" ON "Message" ("createdAt") '
    "WHERE type = 'TEXT'": "Message: the index on (createdAt) is missing",
    'ALTER TABLE "Message" DROP CONSTRAINT "Message_roomId_fkey", ADD CONSTRAINT "Message_roomId_fkey" '
    'FOREIGN KEY ("roomId") REFERENCES "Room" (id) ON DELETE RESTRICT ON UPDATE CASCADE': "Message: the foreign key "
    "(roomId) to Room (id) ON DELETE CASCADE ON UPDATE CASCADE is missing: there is (roomId) to Room (id) ON DELETE "
    "RESTRICT ON UPDATE CASCADE",
    'ALTER TABLE "Participant" DROP CONSTRAINT "Participant_userId_fkey"': "Participant: the foreign key (userId) to "
    "User (id) ON DELETE SET NULL ON UPDATE CASCADE is missing",
    'ALTER TABLE "Participant" DROP CONSTRAINT "Participant_pkey"': "Participant: the primary key is () instead of "
    "(id)",
    'DROP TABLE "RoomSettings"': "RoomSettings: the table is missing",
    'ALTER TABLE "RoomSettings" RENAME TO settings; CREATE VIEW "RoomSettings" AS SELECT * FROM settings': "Room"
    "Settings: the table is missing",
}  # fmt: skip


@pytest.mark.parametrize("change", DIFFERENCES)
async def test_a_database_that_differs_is_refused_untouched(change: str, former_made_by_sql: str) -> None:
    await execute(former_made_by_sql, change)
    before = dump(former_made_by_sql)

    with pytest.raises(MigrationRefused) as caught:
        await deploy(former_made_by_sql, print)

    assert str(caught.value).splitlines()[1:] == [f"  {DIFFERENCES[change]}"]
    assert "was left as it is" in str(caught.value)
    assert dump(former_made_by_sql) == before
    assert await value(former_made_by_sql, "SELECT to_regclass('_prisma_migrations')") is None


async def test_every_difference_is_named(former_made_by_sql: str) -> None:
    await execute(former_made_by_sql, 'DROP INDEX "Room_hostId_idx"; DROP TABLE "RoomSettings", "Message"')

    with pytest.raises(MigrationRefused) as caught:
        await deploy(former_made_by_sql, print)

    assert len(str(caught.value).splitlines()) == 4


SAME = [
    'ALTER TABLE "User" ALTER "createdAt" SET DEFAULT now()',
    'ALTER INDEX "Room_hostId_idx" RENAME TO rooms_of_hosts',
    'DROP INDEX "User_email_key"; ALTER TABLE "User" ADD CONSTRAINT one_address UNIQUE (email)',
    'CREATE TABLE t (LIKE "Room"); ALTER TABLE "Room" DROP COLUMN name; ALTER TABLE "Room" ADD COLUMN name text '
    "NOT NULL",
]


@pytest.mark.parametrize("change", SAME)
async def test_what_makes_no_difference_is_adopted(change: str, former_made_by_sql: str) -> None:
    await execute(former_made_by_sql, change)

    assert await deploy(former_made_by_sql, print)


async def test_in_a_schema_of_its_own_beside_one_that_is_not(
    database_urls: Callable[..., Awaitable[str]],
) -> None:
    url = await database_urls(migrated=False)
    await execute(
        url, f'CREATE TABLE "User" (id int); CREATE SCHEMA "of Meet"; SET search_path = "of Meet"; {FIRST}'
    )

    assert await deploy(f"{url}&schema=of%20Meet", print)

    names = (
        'SELECT string_agg(migration_name, \',\' ORDER BY migration_name) FROM "of Meet"."_prisma_migrations"'
    )
    assert await value(url, names) == APPLIED
    with pytest.raises(MigrationRefused):
        await deploy(url, print)


async def test_a_database_of_something_else_is_refused_untouched(empty_database_url: str) -> None:
    await execute(empty_database_url, "CREATE TABLE invoices (id int PRIMARY KEY)")
    before = dump(empty_database_url)

    with pytest.raises(MigrationRefused, match=r"another schema of it \(\?schema=name\)"):
        await deploy(empty_database_url, print)

    assert dump(empty_database_url) == before
    assert await value(empty_database_url, "SELECT to_regclass('_prisma_migrations')") is None


async def test_a_history_of_the_former_servers_own_is_kept(empty_database_url: str) -> None:
    """It had `prisma migrate dev` too, with migrations that are not ours."""
    await deploy(empty_database_url, print)
    await execute(
        empty_database_url,
        """
        DROP TABLE "RoomRemoval"; DELETE FROM _prisma_migrations WHERE migration_name <> '0_init';
        UPDATE _prisma_migrations SET migration_name = '20240101000000_theirs'
        """,
    )

    await deploy(empty_database_url, print)

    assert await value(empty_database_url, HISTORY) == ",".join(
        sorted([*MIGRATIONS, "20240101000000_theirs"])
    )


async def test_what_this_servers_own_push_has_made_is_adopted_as_a_whole(empty_database_url: str) -> None:
    pushed = await PrismaCli(empty_database_url).output(
        "db", "push", "--skip-generate", "--schema", str(schema_file())
    )
    assert pushed.code == 0, pushed.complaint
    said: list[str] = []
    assert await deploy(empty_database_url, said.append)
    assert await value(empty_database_url, HISTORY) == APPLIED
    assert f"the migrations {', '.join(MIGRATIONS)} count as applied" in said[-1]
    assert not await deploy(empty_database_url, said.append)


async def test_what_is_compared_of_this_servers_own_is_what_its_migrations_make(
    empty_database_url: str,
) -> None:
    await deploy(empty_database_url, print)
    connection = await asyncpg.connect(empty_database_url)
    try:
        found = await read_catalog(connection, "public", OWN.tables, OWN.enums, without=OWN_INDEXES)
        assert found == OWN
    finally:
        await connection.close()
