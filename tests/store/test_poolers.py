"""PgBouncer between the server and PostgreSQL, named in the URL or not: found, told apart, and left as it was."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog.testing

from neuron_meet.app import running
from neuron_meet.doctor import examine
from neuron_meet.store import pooler
from neuron_meet.store.client import Database
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.ids import new_instance, participant_id
from neuron_meet.store.lease import Lease
from neuron_meet.store.migrations import deploy, status
from neuron_meet.store.participants import Participants
from neuron_meet.store.pooler import Pooling, pooling
from neuron_meet.store.session import address_of, session
from tests.pgbouncer import PROGRAM, pgbouncer
from tests.postgres import SharedPostgres
from tests.process.visitor import visiting
from tests.store.former import value
from tests.store.password_server import PASSWORD, PasswordServer
from tests.store.seeds import NOON, a_room
from tests.wire.meeting import settings_for

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no pgbouncer is installed: apt-get install pgbouncer"
)

HINT = "set DIRECT_URL to PostgreSQL itself, or to a pooler in session mode"
SETTINGS = (
    "SELECT name || '=' || setting FROM pg_settings WHERE name NOT IN ('application_name', 'transaction_read_only') "
    "UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements "
    "UNION ALL SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY 1"
)
"""What a client of the pool could see of another's: settings, prepared statements, locks."""


@pytest.fixture(scope="module")
async def server(shared_postgres: SharedPostgres, meetings_data: Path) -> AsyncIterator[PasswordServer]:
    """A running server on 127.0.0.1 with a database that has all migrations, for this file."""
    with tempfile.TemporaryDirectory(prefix="nm-", ignore_cleanup_errors=True) as folder:
        postgres = PasswordServer(Path(folder), meetings_data)
        postgres.database = "meetings"
        await postgres.start()
        yield postgres
        await postgres.stop()


Through = Callable[..., Awaitable[str]]


@pytest.fixture
async def through(server: PasswordServer) -> AsyncIterator[Through]:
    """The URL of the database through a PgBouncer: `await through("session", size=2)`."""
    async with AsyncExitStack() as stack:

        async def start(mode: str, size: int = 20, more: str = "", database: str = "") -> str:
            context = pgbouncer(
                server.port,
                user="meet",
                password=PASSWORD,
                database=database or server.database,
                mode=mode,
                size=size,
                more=more,
            )
            port = await stack.enter_async_context(context)
            return server.url(database=database).replace(f":{server.port}/", f":{port}/")

        yield start


@pytest.fixture
async def empty(server: PasswordServer) -> str:
    """The name of a database without any table."""
    name = f"t_{uuid.uuid4().hex}"
    await server.execute(f"CREATE DATABASE {name} OWNER meet")
    return name


async def found_before(url: str) -> Pooling:
    async with session(address_of(url)) as connection:
        return await pooling(address_of(url), connection)


async def test_postgresql_itself_is_no_pooler(server: PasswordServer) -> None:
    assert await found_before(server.url()) is Pooling.NONE


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
async def test_each_mode_is_told(mode: str, through: Through) -> None:
    assert (await found_before(await through(mode))).value == f"a pooler in {mode} mode"


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_transaction_mode_is_told_with_few_servers_given_out_in_turn(
    size: int, through: Through
) -> None:
    url = await through("transaction", size, "server_round_robin = 1")
    # All of them are there, so that they go round.
    connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(size)]
    for connection in connections:
        await connection.execute("BEGIN")
    for connection in connections:
        await connection.execute("COMMIT")

    assert await found_before(url) is Pooling.TRANSACTION

    for connection in connections:
        await connection.close()


async def test_the_modes_are_told_while_others_use_the_pool(through: Through) -> None:
    for mode in ("session", "transaction"):
        url = await through(mode, 30)
        others = await asyncpg.create_pool(url, min_size=0, max_size=6, statement_cache_size=0)
        working = [asyncio.create_task(work(others)) for _ in range(6)]
        for _ in range(5):
            assert mode in (await found_before(url)).value
        for task in working:
            task.cancel()
        await asyncio.wait(working)
        others.terminate()


async def work(pool: Any) -> None:
    """Make transactions until it is cancelled."""
    while True:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_sleep(0.001)")


async def test_a_pooler_that_has_no_second_connection_is_told(
    through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "_SECONDS", 0.3)
    url = await through("session", 1)

    with pytest.raises(DatabaseUnreachable, match=r"default_pool_size\) over DATABASE_POOL_SIZE \+ 2"):
        await found_before(url)


async def test_migrations_go_through_session_mode_and_not_through_transaction_mode(
    through: Through, empty: str, server: PasswordServer
) -> None:
    with pytest.raises(DatabaseUnreachable, match=HINT):
        await deploy(await through("transaction", database=empty), print)
    assert await value(server.url(database=empty), "SELECT to_regclass('_prisma_migrations')") is None

    url = await through("session", database=empty)
    assert await deploy(f"{url}?schema=app", print)
    assert await status(f"{url}?schema=app", print)
    # What is only read may go through any.
    assert await status(f"{await through('transaction', 2, database=empty)}?schema=app", print)


async def test_a_lease_lasts_through_session_mode_and_is_refused_in_transaction_mode(
    through: Through, server: PasswordServer
) -> None:
    with pytest.raises(DatabaseUnreachable, match=HINT):
        await Lease(await through("transaction"), new_instance()).start()

    database = Database(server.url())
    await database.start()
    living, ours = new_instance(), new_instance()
    first, second = Lease(await through("session"), living), Lease(server.url(), ours)
    await first.start()
    await second.start()
    room = await a_room(database.prisma)
    await Participants(database).open(
        record_id=participant_id(living),
        room_id=room.id,
        user_id=None,
        guest_name="Gus",
        is_host=False,
        joined_at=NOON,
    )
    assert await second.close_rows_of_the_dead(datetime.now(UTC)) == 0
    await first.stop()
    async with asyncio.timeout(30):  # the pooler lets go of the server a moment later
        while await second.close_rows_of_the_dead(datetime.now(UTC)) == 0:
            await asyncio.sleep(0.01)
    await second.stop()
    await database.stop()


async def serves(url: str, direct: str | None, pool_size: int = 10) -> None:
    """A server on that database does what needs one: an account, a room, a join, chat, and their REST."""
    settings = settings_for(database_url=url, direct_url=direct, database_pool_size=pool_size)
    async with running(settings, url) as server, visiting(server.url) as visitor:
        await visitor.register()
        room = await visitor.room()
        socket = await visitor.socket()
        joined = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Ada"})
        assert joined["success"], joined
        sent = await socket.ask("chat-message", {"roomId": room["id"], "content": "hello"})
        assert sent["success"], sent
        many = await asyncio.gather(
            *(visitor.call("GET", f"/api/rooms/code/{room['code']}") for _ in range(40))
        )
        assert {status for status, _ in many} == {200}
        assert (await visitor.call("GET", "/api/users/me/rooms"))[0] == 200


@pytest.mark.parametrize("schema", ["public", "app"])
async def test_a_server_through_transaction_mode_that_the_url_does_not_name(
    schema: str, through: Through, empty: str, server: PasswordServer
) -> None:
    """And another client of the pool finds everything as it was."""
    await deploy(f"{server.url(database=empty)}?schema={schema}", print)
    url = await through("transaction", 2, database=empty)
    before = await seen_by_another(url, 2)

    await serves(f"{url}?schema={schema}", f"{server.url(database=empty)}?schema={schema}")

    assert await seen_by_another(url, 2) == before


async def test_one_by_one_through_one_connection_each(
    through: Through, empty: str, server: PasswordServer
) -> None:
    await deploy(server.url(database=empty), print)
    url = await through("transaction", 1, database=empty)

    await serves(f"{url}?pgbouncer=true&connection_limit=1", await through("session", database=empty))


async def test_a_server_through_session_mode_alone(through: Through, empty: str) -> None:
    url = await through("session", database=empty, more="server_reset_query =")
    await deploy(url, print)
    before = await seen_by_another(url, 1)

    await serves(url, None)

    assert await seen_by_another(url, 1) == before


async def seen_by_another(url: str, servers: int) -> list[list[str]]:
    """What another client of the pool sees at each of its servers."""
    connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(servers)]
    try:
        for connection in connections:
            await connection.execute("BEGIN")
        return [[str(row[0]) for row in await connection.fetch(SETTINGS)] for connection in connections]
    finally:
        for connection in connections:
            await connection.close()


async def test_settings_in_the_url_that_a_pooler_refuses_are_told(through: Through) -> None:
    url = await through("transaction")
    database = Database(f"{url}?options=-c%20work_mem%3D64MB")
    with structlog.testing.capture_logs() as logged:
        await database.start()
    await database.stop()
    assert any("ALTER ROLE" in entry["event"] for entry in logged)
    assert not any(PASSWORD in str(entry) for entry in logged)


async def test_a_server_without_a_direct_connection_is_refused(through: Through) -> None:
    url = await through("transaction")
    with pytest.raises(DatabaseUnreachable, match=HINT):
        async with running(settings_for(database_url=url), url):
            pass


async def test_the_doctor_says_what_stands_before_the_database(
    through: Through, server: PasswordServer
) -> None:
    transaction, by_session = await through("transaction"), await through("session")

    async def findings(url: str, direct: str | None) -> dict[str, str]:
        found = await examine(settings_for(database_url=url, direct_url=direct))
        return {finding.subject: f"{finding.state}: {finding.text}" for finding in found}

    direct = await findings(transaction, by_session)
    assert direct["PostgreSQL"].endswith(", through a pooler in transaction mode")
    assert direct["DIRECT_URL"].endswith(", through a pooler in session mode")
    assert {
        direct[each].partition(":")[0] for each in ("PostgreSQL", "DIRECT_URL", "query engine", "clock")
    } == {"ok"}
    refused = await findings(server.url(), transaction)
    assert refused["DIRECT_URL"].startswith("failed: DIRECT_URL goes through a pooler in transaction mode")
    alone = await findings(transaction, None)
    assert "set DIRECT_URL as well" in alone["PostgreSQL"]
    statement = await findings(await through("statement"), server.url())
    assert "failed: DATABASE_URL goes through a pooler in statement mode" in statement["PostgreSQL"]
