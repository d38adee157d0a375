"""This process's own connections: shared out, cut, cancelled, closed."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import asyncpg
import psutil
import pytest

from neuron_meet.store.client import Database, own_connections
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.engine.pool import Pool, is_served
from neuron_meet.store.entrance import Entrance
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.messages import Messages
from neuron_meet.store.participants import Participants
from neuron_meet.store.rehearsal import rehearse
from tests.process.program import slowness
from tests.store.plan_pair import RunHere
from tests.store.seeds import NOON, a_message, a_room, a_user, all_statements_done, nobody_writes

OWN = own_connections(10)
"""Of the ten that a client has by default."""
OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def database(own_database: Database) -> Database:
    """A client of the test's own: its connections are counted and cut."""
    return own_database


async def connections(url: str) -> int:
    """How many connections the client under test has."""
    admin = await asyncpg.connect(url)
    try:
        return await admin.fetchval(f"SELECT count(*) FROM ({OTHERS}) AS others")
    finally:
        await admin.close()


async def cut(url: str) -> None:
    """End all connections of the client under test."""
    admin = await asyncpg.connect(url)
    await admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({OTHERS}) AS others")
    await admin.close()


async def somebody_waits(url: str) -> None:
    """Return when a statement of the client under test waits for a lock."""
    admin = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(30):
            while not await admin.fetch(f"{OTHERS} AND wait_event_type = 'Lock'"):
                await asyncio.sleep(0.005)
    finally:
        await admin.close()


@pytest.fixture
def pool_of(database: Database) -> Pool:
    engine: Any = database.prisma._engine  # pyright: ignore[reportPrivateUsage]
    return engine._pool


async def test_the_limit_holds_for_this_process_and_the_host_together(database_url: str) -> None:
    database = Database(database_url, pool_size=6)
    await database.start()
    prisma = database.prisma
    await asyncio.gather(
        *(prisma.user.count() for _ in range(50)),
        *(prisma.query_raw("SELECT 1 AS a FROM pg_sleep(0.02)") for _ in range(20)),
    )
    assert await connections(database_url) == 6
    await database.stop()
    assert await connections(database_url) == 0


@pytest.mark.parametrize(("limit", "own"), [(1, 0), (2, 0), (3, 0), (4, 2), (5, 3), (10, 8), (50, 40)])
def test_shares(limit: int, own: int) -> None:
    assert own_connections(limit) == own


@pytest.mark.parametrize(
    ("more", "served"), [("", True), ("?sslmode=require", True), ("?pgbouncer=true", False)]
)
def test_which_databases_are_served(more: str, served: bool) -> None:
    assert is_served(DatabaseAddress.parse(f"postgresql://a:b@c/d{more}")) is served


async def test_through_a_pooler_the_host_runs_everything(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"{database_url}&pgbouncer=true")
    await database.start()
    counted = RunHere(monkeypatch)
    assert await database.prisma.user.count() == 0
    assert (counted.here, counted.host) == (0, 1)
    await database.ping()
    await database.stop()


async def test_reads_survive_cut_connections(database: Database, database_url: str) -> None:
    await a_user(database.prisma)
    for _ in range(5):
        await asyncio.gather(*(database.prisma.user.count() for _ in range(10)))
        await cut(database_url)
        assert await asyncio.gather(*(database.prisma.user.count() for _ in range(10))) == [1] * 10


async def test_a_write_on_a_cut_connection_is_not_made_twice(database: Database, database_url: str) -> None:
    room = await a_room(database.prisma)
    messages = Messages(database)
    await messages.append([a_message(room.id, "before")])
    async with nobody_writes(database_url, "Message"):
        write = asyncio.ensure_future(messages.append([a_message(room.id, "lost")]))
        admin = await asyncpg.connect(database_url)
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        async with asyncio.timeout(30):
            while not await admin.fetch(waiting):
                await asyncio.sleep(0.005)
        await admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) AS waiting")
        await admin.close()
        with pytest.raises(EngineUnavailable) as error:
            await write
        assert error.value.code == "P1017"
    await messages.append([a_message(room.id, "after")])
    assert sorted(m.content for m in await database.prisma.message.find_many()) == ["after", "before"]


async def test_a_write_that_waits_too_long_fails_and_never_appears(
    database: Database, database_url: str, pool_of: Pool
) -> None:
    room = await a_room(database.prisma)
    messages = Messages(database)
    async with nobody_writes(database_url, "Message"):
        start = time.monotonic()
        many = [messages.append([a_message(room.id, str(n))]) for n in range(12)]
        outcomes = await asyncio.gather(*many, return_exceptions=True)
        assert time.monotonic() - start < 4 * slowness()
        assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes)
        # Reads go on meanwhile.
        assert await database.prisma.message.count() == 0
    await all_statements_done(database_url)
    assert await database.prisma.message.count() == 0
    await messages.append([a_message(room.id, "now")])
    assert pool_of.open <= OWN


async def test_calls_that_are_cancelled_cost_no_connection_and_mix_no_answers(
    database: Database, database_url: str, pool_of: Pool
) -> None:
    users = [await a_user(database.prisma, id=f"user{n}") for n in range(5)]
    room = await a_room(database.prisma, users[0])
    participants = Participants(database)

    async def open_row(number: int) -> None:
        user = users[number % 5]
        account = await participants.open(
            record_id=f"p{number}",
            room_id=room.id,
            user_id=user.id,
            guest_name=None,
            is_host=False,
            joined_at=NOON,
        )
        assert account is not None
        assert account.id == user.id

    await open_row(1000)
    for turn in range(6):
        tasks = [asyncio.ensure_future(open_row(turn * 20 + n)) for n in range(20)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [o for o in outcomes if o is not None and not isinstance(o, asyncio.CancelledError)]
        found = await asyncio.gather(*(database.prisma.user.find_unique(where={"id": u.id}) for u in users))
        assert [user.id for user in found if user] == [user.id for user in users]
    await all_statements_done(database_url)
    assert pool_of.open <= OWN
    # No transaction is left open, whose locks would hold this up.
    await database.prisma.participant.delete_many()


async def test_callers_cancelled_while_they_wait_for_a_connection_lose_none(
    database: Database, database_url: str
) -> None:
    room = await a_room(database.prisma)
    messages = Messages(database)
    await messages.append([a_message(room.id, "first")])
    async with nobody_writes(database_url, "Message"):
        holding = [asyncio.ensure_future(messages.append([a_message(room.id, "held")])) for _ in range(5)]
        waiting = [asyncio.ensure_future(database.prisma.user.count()) for _ in range(20)]
        await asyncio.sleep(0)
        for task in waiting[:15]:
            task.cancel()
    await asyncio.gather(*holding)
    assert await asyncio.gather(*waiting[15:]) == [1] * 5
    assert await asyncio.gather(*(database.prisma.user.count() for _ in range(20))) == [1] * 20


async def test_the_frequent_queries_need_no_host_once_they_are_compiled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await a_user(database.prisma)
    room = await a_room(database.prisma, user)
    await rehearse(database, newest_messages=50)
    counted = RunHere(monkeypatch)
    pid = database.engine_pid
    assert pid
    host = psutil.Process(pid)
    host.suspend()
    try:
        now = datetime.now(UTC)
        participants = Participants(database)
        for number, user_id in enumerate((user.id, None)):
            assert await Entrance(database).room(room.code, newest_messages=50)
            await participants.open(
                record_id=f"p{number}",
                room_id=room.id,
                user_id=user_id,
                guest_name="Zoë",
                is_host=False,
                joined_at=now,
            )
        for count in (1, 2, 17, 64):
            written = [a_message(room.id, "x", user_id=(user.id, None)[n % 2]) for n in range(count)]
            await Messages(database).append(written)
        assert await participants.close(["p0", "p1", "none"], now) == 2
        assert await participants.close(["p0"], now) == 0
    finally:
        host.resume()
    assert (counted.here, counted.host) == (0, 0), (
        "all of it are statements of our own, which no host compiles"
    )
    assert database.engine_restarts == 0
    found = await Entrance(database).room(room.code, newest_messages=50)
    assert found
    assert len(found.messages) == 50


async def test_rehearsing_writes_and_asks_nothing(database: Database) -> None:
    await rehearse(database, newest_messages=50)
    assert await database.prisma.participant.count() == 0
    assert await database.prisma.message.count() == 0


async def test_readiness_asks_both_the_host_and_this_process(database: Database, pool_of: Pool) -> None:
    await database.ping()
    taken = [await pool_of.take() for _ in range(OWN)]
    with pytest.raises(EngineUnavailable):
        await database.ping()
    for connection in taken:
        pool_of.give_back(connection)
    await database.ping()


@pytest.mark.parametrize("moment", ["asked", "written"])
async def test_stop_with_queries_under_way(database_url: str, moment: str) -> None:
    """Just asked for, and already with PostgreSQL: whoever waits is told, in the words for it."""
    database = Database(database_url, timeout_seconds=30)
    await database.start()
    room = await a_room(database.prisma)
    async with nobody_writes(database_url, "Message"):
        writes = [
            asyncio.ensure_future(Messages(database).append([a_message(room.id, "x")])) for _ in range(8)
        ]
        await (somebody_waits(database_url) if moment == "written" else asyncio.sleep(0))
        assert not any(write.done() for write in writes)
        await database.stop()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {EngineUnavailable}
    assert await connections(database_url) == 0
