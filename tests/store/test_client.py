"""Start and stop of the database client: sentences for what is wrong, no process left, the loop never held up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.errors import DatabaseUnreachable, EngineUnavailable
from tests.process.program import slowness
from tests.store.password_server import ENCODED, PASSWORD, PasswordServer, free_port


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if "host.mjs" in " ".join(child.cmdline())}


async def refusal(url: str, **settings: float) -> str:
    """The sentence with which a start is refused; within 10 s, leaving nothing behind."""
    before = children()
    database = Database(url, **settings)  # pyright: ignore
    start = time.monotonic()
    with pytest.raises(DatabaseUnreachable) as error:
        await database.start()
    assert time.monotonic() - start < 10 * slowness()
    assert children() <= before
    with pytest.raises(EngineUnavailable):
        await database.ping()
    assert PASSWORD not in str(error.value)
    assert ENCODED not in str(error.value)
    return str(error.value)


async def test_nothing_listens() -> None:
    port = free_port()
    message = await refusal(f"postgresql://meet:{ENCODED}@127.0.0.1:{port}/meet")
    assert message.startswith(f'The database "meet" at 127.0.0.1:{port} cannot be reached.')
    assert "DATABASE_URL" in message


async def test_a_socket_folder_without_a_server(tmp_path: Path) -> None:
    assert "cannot be reached" in await refusal(f"postgresql://postgres:@/postgres?host={tmp_path}")


async def test_an_unknown_host() -> None:
    message = await refusal(f"postgresql://meet:{ENCODED}@host.invalid:5432/meet")
    assert message.startswith('The database "meet" at host.invalid:5432 ')


@pytest.mark.parametrize("sslmode", ["prefer", "disable"])
async def test_a_server_that_never_answers(sslmode: str) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        message = await refusal(
            f"postgresql://a:{ENCODED}@127.0.0.1:{port}/a?sslmode={sslmode}", timeout_seconds=60
        )
    assert "did not answer within 7 s" in message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://a:b@c/d", "not a PostgreSQL address"),
        ("postgresql://a:s3cret@c:port/d", "not a valid address"),
        ("postgresql://a:s3cret@[c/d", "not a valid address"),
        ("postgresql://a:s3cret@c/d?sslcert=/nowhere/ca.pem", "does not exist: /nowhere/ca.pem"),
    ],
)
async def test_an_address_that_is_none(url: str, reason: str) -> None:
    message = await refusal(url)
    assert reason in message
    assert "s3cret" not in message


async def test_wrong_password_unknown_database_and_no_tables(password_server: PasswordServer) -> None:
    assert "refused the user name or password" in await refusal(password_server.url(password="wrong"))
    assert "refused the user name or password" in await refusal(password_server.url(user="nobody"))
    assert f'"none" at 127.0.0.1:{password_server.port} does not exist' in await refusal(
        password_server.url(database="none")
    )
    assert "Run: neuron-meet db deploy" in await refusal(password_server.url())
    assert "could not be reached over TLS" in await refusal(password_server.url(more="?sslmode=require"))


async def test_tables_without_a_column_of_the_schema(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute('ALTER TABLE "Participant" DROP COLUMN "leftAt"')
    await connection.close()
    assert "Run: neuron-meet db deploy" in await refusal(database_url)


async def test_no_node(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url, node=tmp_path / "node")
    with pytest.raises(DatabaseUnreachable, match="could not be started"):
        await database.start()


async def test_a_schema_that_prisma_cannot_read(database_url: str, tmp_path: Path) -> None:
    before = children()
    database = Database(database_url, schema=tmp_path / "schema.prisma")
    with pytest.raises(DatabaseUnreachable, match=r"query engine ended while it started\. .*ENOENT"):
        await database.start()
    (tmp_path / "schema.prisma").write_text("model {")
    with pytest.raises(DatabaseUnreachable, match="cannot be used"):
        await database.start()
    assert children() <= before


async def test_start_and_stop_again_and_again(database_url: str) -> None:
    database = Database(database_url)
    assert database.engine_pid is None
    await database.stop()
    for _ in range(2):
        await database.start()
        await database.start()
        assert database.engine_pid in children()
        await database.ping()
        await database.stop()
        await database.stop()
        assert database.engine_pid is None
        with pytest.raises(EngineUnavailable, match="not started"):
            await database.ping()
    assert database.engine_restarts == 0


async def test_parameters_of_prismas_urls_are_understood(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute('ALTER SCHEMA public RENAME TO "my own"; CREATE SCHEMA public')
    await connection.close()
    database = Database(
        f"{database_url}&schema=my%20own&connection_limit=2&pool_timeout=0&connect_timeout=1&sslmode=prefer&nonsense=1"
    )
    await database.start()
    await database.prisma.user.create({"email": "a", "name": "b", "password": "c"})
    assert await database.prisma.query_raw('SELECT email FROM "User"') == [{"email": "a"}]
    rows = await database.prisma.query_raw("SELECT current_setting('application_name') AS name")
    assert rows == [{"name": "neuron-meet"}]
    await asyncio.gather(*(database.prisma.user.count() for _ in range(20)))
    rows = await database.prisma.query_raw(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'neuron-meet'"
        " AND datname = current_database()"
    )
    assert rows[0]["n"] <= 2
    await database.stop()


async def test_pool_size_is_the_settings(database_url: str) -> None:
    database = Database(database_url, pool_size=3)
    await database.start()
    await asyncio.gather(*(database.prisma.query_raw("SELECT 1 AS a FROM pg_sleep(0.05)") for _ in range(12)))
    rows = await database.prisma.query_raw(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'neuron-meet'"
    )
    assert rows == [{"n": 3}]
    await database.stop()


@contextlib.contextmanager
def ticking() -> Iterator[list[int]]:
    """Counts turns of the event loop."""
    ticks = [0]

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.005)
            ticks[0] += 1

    task = asyncio.create_task(tick())
    try:
        yield ticks
    finally:
        task.cancel()


async def test_the_event_loop_goes_on_during_start_queries_and_stop(database_url: str) -> None:
    database = Database(database_url)
    with ticking() as ticks:
        await database.start()
        after_start = ticks[0]
        await database.prisma.query_raw("SELECT 1 AS a FROM pg_sleep(0.2)")
        after_query = ticks[0]
        pid = database.engine_pid
        assert pid
        psutil.Process(pid).suspend()  # the stop has to wait for it, and then to use force
        await database.stop()
        after_stop = ticks[0]
    # Each of these lasts 0.2 s or more: 40 turns on an idle machine, none if the loop were blocked.
    assert after_start >= 5
    assert after_query - after_start >= 5
    assert after_stop - after_query >= 5
    assert not psutil.pid_exists(pid)
