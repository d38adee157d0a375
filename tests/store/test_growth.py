"""Queries stay as quick as they were when the tables grow: each reads the rows that it needs, and no others."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from bench.asked import Asked, asked_by_server, explained, explaining
from bench.grown import grow
from tests.postgres import SharedPostgres, named

MESSAGES = 100_000
MOST_ROWS = 500
"""What a statement may read for 50 messages with their authors, 50 rooms with settings and hosts, 50 rows that are
open. The tables have from 2,000 rows (accounts) to 100,000."""
BATCHES = {"prune": 3000}


@pytest.fixture(scope="module")
async def asked(
    postgres_server: str, migrated_template: str, shared_postgres: SharedPostgres
) -> AsyncIterator[tuple[str, list[Asked]]]:
    """A grown database, and what a server asked a copy of it."""
    admin = await asyncpg.connect(postgres_server)
    name = "grown"
    with shared_postgres.once(name) as first:
        if first:
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
            connection = await asyncpg.connect(named(postgres_server, name))
            await grow(connection, MESSAGES)
            await connection.close()
    copy = f"grown_{uuid.uuid4().hex}"
    await admin.execute(f"CREATE DATABASE {copy} TEMPLATE {name} STRATEGY file_copy")
    try:
        yield named(postgres_server, name), await asked_by_server(named(postgres_server, copy))
    finally:
        await admin.execute(f"DROP DATABASE {copy} WITH (FORCE)")
        await admin.close()


async def test_no_statement_reads_more_rows_than_it_needs(asked: tuple[str, list[Asked]]) -> None:
    url, statements = asked
    too_many: list[str] = []
    async with explaining(url) as connection:
        for each in statements:
            if each.is_about_tables:
                run = await explained(connection, each)
                if run.rows > BATCHES.get(each.what, MOST_ROWS):
                    too_many.append(f"{each.what}: {', '.join(run.read)}\n{each.statement}")
    assert too_many == []
    assert len({each.what for each in statements}) > 35


PASSWORD_NAMED = ("look at the tables",)
"""Names the column to see that it is there, and reads no row."""
PASSWORD_READ = ("sign in", "sign in, another casing")
PASSWORD_WRITTEN = ("register", "password", "disable")


async def test_nothing_but_signing_in_reads_the_hash(asked: tuple[str, list[Asked]]) -> None:
    """What others look at is its first letter, which says whether the account is disabled."""
    _, statements = asked
    for each in statements:
        others = re.sub(r"\(left\([au]\.password, 1\) = '!'\)", "", each.statement)
        if "password" in others:
            assert each.what in (*PASSWORD_NAMED, *PASSWORD_READ, *PASSWORD_WRITTEN), each
        assert not re.search(r'\b[au]\.\*|\* FROM \S*"User"', others), each


async def test_of_other_accounts_is_read_what_is_shown_of_them(asked: tuple[str, list[Asked]]) -> None:
    """Fifty pictures of 95 kB, which nobody is sent, would be 5 MB for each join."""
    _, statements = asked
    read = {
        (each.what, columns)
        for each in statements
        for columns in re.findall(r'SELECT ((?:u\."\w+"(?:, )?)+)', each.statement)
    }
    others = {what: set(re.findall(r'u\."(\w+)"', columns)) for what, columns in read}
    assert others.pop("rooms list") == others.pop("rooms list --all") == {"email"}
    for what, columns in others.items():
        if what.startswith(("join: room", "chat")):
            assert columns == {"id", "name", "displayName"}, what
        else:
            assert columns == {"id", "displayName", "avatarUrl"}, what
    assert len(others) > 8
