"""A server's host is there only while it is needed: started by the first who needs it, ended when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import chain
from pathlib import Path

import psutil
import pytest

from neuron_meet.chat.routes import Page
from neuron_meet.commands.meetings import list_rooms
from neuron_meet.rooms import service
from neuron_meet.signaling.operator import HISTORY_ROWS
from neuron_meet.signaling.presence.room import REPLAYED_MESSAGES
from neuron_meet.store import rehearsal
from neuron_meet.store.attendance import Attendance
from neuron_meet.store.client import Database
from neuron_meet.store.compiling import compiled_now
from neuron_meet.store.engine.ready_plans import ReadyPlans
from neuron_meet.store.errors import DatabaseUnreachable, EngineUnavailable, StoreError
from neuron_meet.store.generated.client import PACKAGED_SCHEMA_PATH
from neuron_meet.store.messages import Messages
from neuron_meet.store.node import NodeMissing
from neuron_meet.store.users import Users
from tests.store.password_server import PasswordServer, free_port
from tests.store.seeds import a_message, a_room, a_user

IDLE = 0.2
LONG = 60.0


@pytest.fixture
async def resting(database_url: str) -> AsyncIterator[Database]:
    """A client whose host nobody has needed yet; it would stay for a minute."""
    database = Database(database_url, timeout_seconds=20, host_idle_seconds=LONG)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def brief(database_url: str) -> AsyncIterator[Database]:
    """A client whose host ends a moment after its last call."""
    database = Database(database_url, timeout_seconds=20, host_idle_seconds=IDLE)
    await database.start()
    yield database
    await database.stop()


elsewhere: set[int] = set()
"""Hosts of what this worker shares with other tests."""


@pytest.fixture(autouse=True)
def hosts_elsewhere() -> None:
    elsewhere.clear()
    elsewhere.update(hosts())


def hosts() -> list[int]:
    """Hosts that this test has started."""
    found: list[int] = []
    for child in psutil.Process().children():
        if child.pid in elsewhere:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):  # ended while looked at
            if "host.mjs" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


async def at_rest(database: Database) -> None:
    """Return when there is no host any more."""
    async with asyncio.timeout(60):
        while database.engine_pid is not None or hosts():
            await asyncio.sleep(0.01)


async def test_the_servers_own_queries_start_no_host(resting: Database, database: Database) -> None:
    await a_room(database.prisma, await a_user(database.prisma))
    await resting.ping()
    frequent, others = rehearsal._frequent, rehearsal._others  # pyright: ignore[reportPrivateUsage]
    for query in chain(frequent(resting, REPLAYED_MESSAGES), others(resting)):
        with contextlib.suppress(StoreError):
            await query
        assert resting.engine_pid is None, query


def test_the_numbers_in_the_shapes_are_those_that_the_server_asks_with() -> None:
    assert (REPLAYED_MESSAGES, service.NEWEST_ROOMS) == (rehearsal.NEWEST_MESSAGES, rehearsal.NEWEST_ROOMS)
    listed = next(option for option in list_rooms.params if option.name == "limit")
    assert (listed.default, HISTORY_ROWS) == (rehearsal.NEWEST_OF_ALL, rehearsal.HISTORY_ROWS)


async def test_without_nodejs_it_serves_all_the_same(
    database_url: str, own_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await a_user(own_database.prisma)

    def find_none() -> Path:
        raise NodeMissing("Node.js was not found: install it.")

    monkeypatch.setattr("neuron_meet.store.engine.process.find_node", find_none)
    served = Database(database_url, host_idle_seconds=LONG)
    await served.start()
    try:
        assert await Users(served).find(user.id)
        with pytest.raises(EngineUnavailable):
            await served.prisma.query_raw("SELECT 1 AS one")
    finally:
        await served.stop()
    pooled = Database(f"{database_url}&pgbouncer=true", host_idle_seconds=LONG)
    with pytest.raises(DatabaseUnreachable, match=r"Node\.js was not found"):
        await pooled.start()


async def test_pages_of_messages_of_any_length_start_no_host(
    resting: Database, own_database: Database
) -> None:
    room = await a_room(own_database.prisma, await a_user(own_database.prisma))
    written = [a_message(room.id, "text") for _ in range(12)]
    await Messages(own_database).append(written)
    ids = [message.id for message in written]
    attendance = Attendance(resting)
    newest = await attendance.messages(room.id, limit=1, before=None)
    for limit in (1, 3, 10, 11, 51, 101, Page().limit, 200):
        page = await attendance.messages(room.id, limit=limit, before=None)
        assert [message.id for message in page] == ids[-limit:]
        page = await attendance.messages(room.id, limit=limit, before=newest[0])
        assert [message.id for message in page] == ids[:-1][-limit:]
    assert resting.engine_pid is None


async def test_ready_plans_are_what_the_host_compiles_now() -> None:
    now = ReadyPlans.of(await compiled_now(), PACKAGED_SCHEMA_PATH)
    ready = ReadyPlans.read(PACKAGED_SCHEMA_PATH, "public")
    assert ready.schema == now.schema
    assert ready.plans.keys() == now.plans.keys()
    assert all(bytes(ready.plans[shape]) == bytes(now.plans[shape]) for shape in now.plans)


def test_plans_are_for_their_schema_and_namespace_only(tmp_path: Path) -> None:
    assert ReadyPlans.read(PACKAGED_SCHEMA_PATH, "public").plans
    assert not ReadyPlans.read(PACKAGED_SCHEMA_PATH, "other").plans
    edited = tmp_path / "schema.prisma"
    edited.write_text(PACKAGED_SCHEMA_PATH.read_text() + "\n// edited")
    assert not ReadyPlans.read(edited, "public").plans
    for text in ("", "{}", "[1]", '{"schema": 1, "plans": []}'):
        (tmp_path / "plans.json").write_text(text)
        assert not ReadyPlans.read(PACKAGED_SCHEMA_PATH, "public", tmp_path / "plans.json").plans
    assert not ReadyPlans.read(PACKAGED_SCHEMA_PATH, "public", tmp_path / "none.json").plans


async def test_all_who_need_a_host_at_the_same_time_get_one(resting: Database) -> None:
    prisma = resting.prisma

    async def transaction(n: int) -> None:
        async with prisma.tx() as tx:
            await tx.user.create({"email": str(n), "name": "b", "password": "c"})

    batch = prisma.batch_()
    batch.user.create({"email": "batch", "name": "b", "password": "c"})
    await asyncio.gather(
        *(transaction(n) for n in range(8)),
        *(prisma.query_raw("SELECT 1 AS a") for _ in range(8)),
        *(prisma.user.find_many(where={"email": {"startswith": "a"}}) for _ in range(8)),
        batch.commit(),
    )
    assert hosts() == [resting.engine_pid]
    assert resting.engine_restarts == 0
    assert await prisma.user.count() == 9


async def test_it_ends_when_nobody_needs_it_and_comes_again(brief: Database) -> None:
    for _ in range(2):
        assert await brief.prisma.query_raw("SELECT 1 AS a") == [{"a": 1}]
        assert brief.engine_pid in hosts()
        await at_rest(brief)
        await brief.ping()
        assert brief.engine_pid is None
    assert brief.engine_restarts == 0


async def test_what_takes_longer_than_it_would_be_kept_is_not_cut_off(brief: Database) -> None:
    slow = f"SELECT 1 AS a FROM pg_sleep({5 * IDLE})"
    assert await brief.prisma.query_raw(slow) == [{"a": 1}]
    async with brief.prisma.tx(timeout=timedelta(seconds=20)) as tx:
        await tx.user.create({"email": "a", "name": "b", "password": "c"})
        host = brief.engine_pid
        await asyncio.sleep(5 * IDLE)  # nothing is under way, and the transaction is open
        assert await tx.user.count() == 1
        assert brief.engine_pid == host
    assert brief.engine_restarts == 0
    assert await brief.prisma.user.count() == 1


async def test_calls_at_the_moment_of_its_end_get_another_one(brief: Database) -> None:
    for _ in range(6):
        await brief.prisma.query_raw("SELECT 1 AS a")
        async with asyncio.timeout(60):
            while brief.engine_pid is not None:  # from one turn of the loop to the next it is retired
                await asyncio.sleep(0)
        assert await brief.prisma.query_raw("SELECT 2 AS a") == [{"a": 2}]
    assert brief.engine_restarts == 0


async def test_one_that_dies_while_it_is_kept_is_replaced_and_counts(resting: Database) -> None:
    await resting.prisma.query_raw("SELECT 1 AS a")
    host = resting.engine_pid
    assert host
    psutil.Process(host).kill()
    assert await resting.prisma.user.find_many(where={"email": {"startswith": "a"}}) == []
    assert resting.engine_pid != host
    assert resting.engine_restarts == 1


async def test_stop_while_it_starts_leaves_nothing(database_url: str) -> None:
    database = Database(database_url, timeout_seconds=20, host_idle_seconds=LONG)
    await database.start()
    call = asyncio.ensure_future(database.prisma.query_raw("SELECT 1 AS a"))
    async with asyncio.timeout(60):
        while not hosts():
            await asyncio.sleep(0)
    await database.stop()
    with pytest.raises(EngineUnavailable):
        await call
    assert hosts() == []


async def test_a_start_that_fails_says_the_same_without_a_host(
    password_server: PasswordServer, database_url: str
) -> None:
    async def refusal(url: str) -> str:
        database = Database(url, host_idle_seconds=LONG)
        with pytest.raises(DatabaseUnreachable) as error:
            await database.start()
        assert hosts() == []
        return str(error.value)

    nobody = f"postgresql://meet@127.0.0.1:{free_port()}/meet"
    assert "cannot be reached" in await refusal(nobody)
    assert "refused the user name or password" in await refusal(password_server.url(password="wrong"))
    assert "does not exist" in await refusal(password_server.url(database="none"))
    assert "Run: neuron-meet db deploy" in await refusal(password_server.url())
    assert "could not be reached over TLS" in await refusal(password_server.url(more="?sslmode=require"))
    listening = socket.create_server(("127.0.0.1", 0))  # takes connections and never answers
    with listening:
        port = listening.getsockname()[1]
        assert "did not answer " in await refusal(f"postgresql://a@127.0.0.1:{port}/a")
