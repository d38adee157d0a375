"""Indexes on large tables: built beside a server that serves, by one process of many, whatever happens to it."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bench.grown import grow
from neuron_meet.store.assets import migrations_dir
from neuron_meet.store.client import Database
from neuron_meet.store.indexes import WANTED, IndexBuilder, IndexesRefused, build, missing, missing_names
from neuron_meet.store.migrations import deploy, status
from neuron_meet.store.prisma_cli import PrismaCli
from tests.postgres import SharedPostgres, named
from tests.store.former import SCHEMA
from tests.store.password_server import PASSWORD, PasswordServer

BUILDER = Path(__file__).with_name("builder.py")
SCRIPT = (migrations_dir() / "20261128064500_indexes" / "migration.sql").read_text()
NAMES = [index.name for index in WANTED]
PATIENCE = 60


async def without_indexes(url: str) -> None:
    connection = await asyncpg.connect(url)
    for name in NAMES:
        await connection.execute(f'DROP INDEX IF EXISTS "{name}"')
    await connection.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What the condition gives, as soon as it gives something."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


async def a_row(connection: Any) -> None:
    await connection.execute(
        'INSERT INTO "Message" (id, "roomId", content) VALUES ($1, $2, $3)',
        uuid.uuid4().hex,
        "r1",
        "said meanwhile",
    )


@pytest.fixture
async def grown_url(
    database_urls: Callable[..., Awaitable[str]],
    postgres_server: str,
    migrated_template: str,
    shared_postgres: SharedPostgres,
) -> str:
    """A database of 100,000 messages without the indexes."""
    with shared_postgres.once("grown") as first:
        if first:
            async with connected(postgres_server) as admin:
                await admin.execute(f"CREATE DATABASE grown TEMPLATE {migrated_template}")
            async with connected(named(postgres_server, "grown")) as connection:
                await grow(connection, 100_000)
    url = await database_urls(template="grown")
    await without_indexes(url)
    return url


async def test_three_at_once_with_a_writer_and_one_that_is_killed_in_the_middle(grown_url: str) -> None:
    separator = "&" if "?" in grown_url else "?"
    nodes = {
        f"node-{number}": await asyncio.create_subprocess_exec(
            sys.executable, BUILDER, f"{grown_url}{separator}application_name=node-{number}"
        )
        for number in range(3)
    }
    async with connected(grown_url) as slow, connected(grown_url) as watching, connected(grown_url) as writer:

        async def building() -> list[Any]:
            return await watching.fetch(
                "SELECT a.pid, a.application_name AS node, p.phase FROM pg_stat_progress_create_index p "
                "JOIN pg_stat_activity a USING (pid) WHERE p.relid = '\"Message\"'::regclass "
                "AND phase LIKE 'waiting%'"
            )

        try:
            # A transaction that has written: the first index waits for its end.
            async with slow.transaction():
                await a_row(slow)
                [at_work] = await until(building)
                await writer.execute("SET lock_timeout = '20s'")
                await a_row(writer)
                # `npx prisma migrate deploy` and a deployment of ours, beside it.
                async with writer.transaction():
                    await writer.execute(SCRIPT)
                assert not await deploy(grown_url, print)
                nodes[at_work["node"]].send_signal(signal.SIGKILL)
                await nodes[at_work["node"]].wait()
                await a_row(writer)
                assert [each["pid"] for each in await building()] == [at_work["pid"]]  # PostgreSQL goes on
                await watching.execute("SELECT pg_terminate_backend($1)", at_work["pid"])

                async def given_up() -> bool:
                    return any(state.broken for state in await missing(watching, "public"))

                await until(given_up)
                await a_row(writer)
            async with asyncio.timeout(PATIENCE):
                codes = [await node.wait() for name, node in nodes.items() if name != at_work["node"]]
            assert codes == [0, 0]
        finally:
            for node in nodes.values():
                if node.returncode is None:
                    node.kill()
                    await node.wait()
        assert await missing(watching, "public") == []
        assert (
            await watching.fetchval("SELECT count(*) FROM \"Message\" WHERE content = 'said meanwhile'") == 4
        )


async def test_a_deployment_builds_what_is_missing_one_after_the_other(database_url: str) -> None:
    await without_indexes(database_url)
    async with connected(database_url) as connection:
        # As a build that was interrupted leaves it.
        await connection.execute('CREATE INDEX "Room_endedAt_idx" ON "Room" ("endedAt")')
        await connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"Room_endedAt_idx\"'::regclass"
        )
    said: list[str] = []

    assert sorted(await missing_names(database_url) or []) == sorted(NAMES)
    assert await build(database_url, said.append)

    assert await missing_names(database_url) == []
    assert [line for line in said if "left unfinished" in line] == [
        "The index Room_endedAt_idx was left unfinished: building it again."
    ]
    assert not await build(database_url, said.append)


async def test_what_the_former_push_drops_is_noticed_and_put_back(database_url: str) -> None:
    pushed = await PrismaCli(database_url).output("db", "push", "--skip-generate", "--schema", str(SCHEMA))
    assert pushed.code == 0, pushed.complaint
    said: list[str] = []

    lacking = await missing_names(database_url) or []
    assert "Message_roomId_createdAt_id_idx" in lacking
    await status(database_url, said.append)
    assert "Message_roomId_createdAt_id_idx" in said[-1]
    assert await deploy(database_url, said.append)  # the table of this server's own is gone too
    assert await build(database_url, said.append)

    assert await missing_names(database_url) == []
    assert not await deploy(database_url, said.append)
    database = Database(database_url)
    await database.start()
    await database.stop()


async def test_who_may_not_build_is_told_what_to_do_and_serves(password_server: PasswordServer) -> None:
    await password_server.execute("CREATE DATABASE meetings OWNER meet")
    await password_server.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    owner = password_server.url(database="meetings")
    await deploy(owner, print)
    await without_indexes(owner)
    async with connected(owner) as connection:
        await connection.execute(
            "GRANT USAGE ON SCHEMA public TO guest; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest"
        )
    url = password_server.url(user="guest", database="meetings")

    with pytest.raises(
        IndexesRefused, match=r"must be owner of table Room.*neuron-meet db deploy"
    ) as refused:
        await build(url, print)
    assert all(name in str(refused.value) for name in NAMES)
    builder = IndexBuilder(url)
    await builder.start()
    assert sorted(builder.missing) == sorted(NAMES)
    await builder.stop()


def test_the_migration_has_the_same_list() -> None:
    for index in WANTED:
        assert f"ARRAY['{index.name}', '{index.table}', '{index.keys}']" in SCRIPT
