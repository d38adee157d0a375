"""Adopting the former server's database: recognised, left as it is, and everything else refused."""

from __future__ import annotations

import asyncio

import pytest

from neuron_meet.store.adoption import judge_difference
from neuron_meet.store.assets import schema_file
from neuron_meet.store.client import Database
from neuron_meet.store.migrations import MigrationRefused, deploy, status
from neuron_meet.store.prisma_cli import PrismaCli
from tests.store.former import APPLIED, MIGRATIONS, dump, execute, make_former, value
from tests.store.password_server import PasswordServer

HISTORY = "SELECT string_agg(migration_name, ',' ORDER BY migration_name) FROM \"_prisma_migrations\""
OURS = frozenset({"User", "Room"})


async def test_the_former_servers_database_is_adopted_with_its_rows(former_url: str) -> None:
    before = dump(former_url)
    said: list[str] = []

    assert await deploy(former_url, said.append)

    assert dump(former_url) == before
    assert "Grüße 👋" in before
    assert await value(former_url, HISTORY) == APPLIED
    assert said[1].startswith("Adopted the former server's database ")
    assert "its tables and rows are as they were, and the migration 0_init counts as applied" in said[1]
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


async def test_servers_that_start_at_once_adopt_once_beside_tables_of_others(former_url: str) -> None:
    await execute(
        former_url,
        """
        CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE TABLE notes (id serial PRIMARY KEY, author text REFERENCES "User" (id), mood mood);
        CREATE SCHEMA auth;
        CREATE TABLE auth.users (id uuid PRIMARY KEY, CHECK (id IS NOT NULL));
        """,
    )
    before, said = dump(former_url), list[str]()

    done = await asyncio.gather(*(deploy(former_url, said.append) for _ in range(3)))

    assert sorted(done) == [False, False, True]
    assert await value(former_url, HISTORY) == APPLIED
    assert dump(former_url) == before
    assert said[1].endswith("Other tables and types in it are left alone: mood, notes.")


DIFFERENCES = [
    # Each database differs in several things, every one of which has to be named: reading one costs Prisma 3 s of a
    # core. No two of a database make the same sentence.
    {
        'ALTER TABLE "Room" DROP COLUMN "isLocked"': "Changed the `Room` table\n  [-] Removed column `isLocked`",
        'ALTER TABLE "User" ADD COLUMN age int': "Changed the `User` table\n  [+] Added column `age`",
        'ALTER TABLE "Message" ALTER content TYPE varchar(10)': "Altered column `content`",
        'ALTER TABLE "RoomSettings" ALTER "maxParticipants" SET DEFAULT 9': "Altered column `maxParticipants`",
        "ALTER TYPE \"MessageType\" ADD VALUE 'VIDEO'": "Changed the `MessageType` enum",
    },
    {
        'ALTER TABLE "Message" ALTER content DROP NOT NULL': "Altered column `content`",
        'DROP INDEX "Room_hostId_idx"': "Removed index on columns (hostId)",
        'DROP INDEX "User_email_key"': "Removed unique index on columns (email)",
        'ALTER TABLE "Message" DROP CONSTRAINT "Message_roomId_fkey", ADD CONSTRAINT "Message_roomId_fkey" '
        'FOREIGN KEY ("roomId") REFERENCES "Room" (id) ON DELETE RESTRICT ON UPDATE CASCADE': "Removed foreign key "
        "on columns (roomId)",
        'DROP TABLE "RoomSettings"': "Removed tables\n  - RoomSettings",
    },
]


@pytest.mark.parametrize("differences", DIFFERENCES, ids=["one", "two"])
async def test_a_database_that_differs_is_refused_untouched(
    differences: dict[str, str], former_url: str
) -> None:
    await execute(former_url, ";".join(['TRUNCATE "Message"', *differences]))
    before = dump(former_url)

    with pytest.raises(MigrationRefused) as caught:
        await deploy(former_url, print)

    for change, difference in differences.items():
        assert difference in str(caught.value), change
    assert "was left as it is" in str(caught.value)
    assert dump(former_url) == before
    assert await value(former_url, "SELECT to_regclass('_prisma_migrations')") is None


async def test_a_database_of_something_else_is_refused_untouched(empty_database_url: str) -> None:
    await execute(empty_database_url, "CREATE TABLE invoices (id int PRIMARY KEY)")
    before = dump(empty_database_url)

    with pytest.raises(MigrationRefused, match=r"another schema of it \(\?schema=name\)"):
        await deploy(empty_database_url, print)

    assert dump(empty_database_url) == before
    assert await value(empty_database_url, "SELECT to_regclass('_prisma_migrations')") is None


async def test_a_history_of_the_former_servers_own_is_kept(empty_database_url: str) -> None:
    """It had `prisma migrate dev` too, with migrations that are not ours."""
    await make_former(empty_database_url)
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


@pytest.mark.parametrize(
    ("summary", "difference", "foreign"),
    [
        ("[+] Added tables\n  - a\n  - b\n", "", ("a", "b")),
        (
            "[+] Added tables\n  - a\n\n[*] Changed the `a` table\n  [+] Added foreign key on columns (u)\n",
            "",
            ("a",),
        ),
        ("[-] Removed tables\n  - User\n", "[-] Removed tables\n  - User", ()),
        ("[*] Changed the `b` table\n  [+] x\n", "[*] Changed the `b` table\n  [+] x", ()),
        (
            "[+] Added tables\n  - a\n\n[*] Changed the `User` table\n  [-] Removed column `x`\n",
            "[*] Changed the `User` table\n  [-] Removed column `x`",
            ("a",),
        ),
        ("[!] Something new\n", "[!] Something new", ()),
    ],
)
def test_what_matters_in_prismas_summary(summary: str, difference: str, foreign: tuple[str, ...]) -> None:
    found = judge_difference("\n\n" + summary, OURS)

    assert (found.difference, found.foreign) == (difference, foreign)
