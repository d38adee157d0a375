"""Transactions on this process's own connections, begun with a statement of SQL; and what the server does in them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.engine.prisma import Rehearsed
from neuron_meet.store.errors import (
    DataError,
    EngineUnavailable,
    ForeignKeyViolationError,
    TransactionError,
    UniqueViolationError,
)
from neuron_meet.store.generated.client import Prisma
from neuron_meet.store.ids import new_id
from neuron_meet.store.models import Room
from neuron_meet.store.rooms import Rooms
from neuron_meet.store.users import Users
from tests.store.former import execute

PASS = "SELECT 1 AS one"


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Database]:
    """A client whose host nobody has needed yet. A call's deadline is 2 s."""
    database = Database(database_url, timeout_seconds=2, host_idle_seconds=60)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def prepared(here: Database) -> Database:
    """The same, with the plans of these tests' own queries."""
    rehearsal = here.rehearsal().prisma
    async with asyncio.timeout(60):
        for ask in (lambda: register(rehearsal, "a"), rehearsal.user.count):
            with pytest.raises(Rehearsed):
                while True:
                    with contextlib.suppress(EngineUnavailable):  # goes on behind a caller who has given up
                        await ask()
    return here


async def an_account(database: Database, email: str = "ada@example.org") -> str:
    account = await Users(database).create(email=email, display_name="Ada", password_hash="hash")
    return account.id


async def a_room(database: Database, host: str, code: str, *, most_open: int | None = None) -> Room | None:
    return await Rooms(database).create(
        code=code, name="R", host_id=host, waiting_room=True, max_participants=7, most_open=most_open
    )


async def register(prisma: Prisma, email: str) -> None:
    await prisma.user.create({"id": new_id(), "email": email, "name": "x", "password": "x"})


async def test_a_rooms_whole_life_needs_no_host(here: Database) -> None:
    rooms, host = Rooms(here), await an_account(here)
    made = await a_room(here, host, "abc-def-ghi", most_open=1)
    assert made is not None
    assert made.settings is not None
    assert (made.host and made.host.id, made.settings.waitingRoom, made.settings.maxParticipants) == (
        host,
        True,
        7,
    )
    assert await a_room(here, host, "abc-def-ghj", most_open=1) is None
    for most in (2, 99, 2**31 - 1):  # a number is no part of a plan
        changed = await rooms.change_settings(
            made.id, {"maxParticipants": most, "allowChat": False}, is_locked=True
        )
        assert changed is not None
        assert changed.settings is not None
        settings = changed.settings
        assert (settings.maxParticipants, settings.allowChat, settings.waitingRoom) == (most, False, True)
        assert changed.isLocked
        assert settings.isLocked
    ended = await rooms.end(made.id, datetime.now(UTC))
    assert ended is not None
    assert not ended.isActive
    assert await a_room(here, host, "abc-def-ghj", most_open=1) is not None
    assert await rooms.change_settings("none", {"allowChat": True}, is_locked=False) is None
    with pytest.raises(ForeignKeyViolationError):
        await a_room(here, "nobody", "abc-def-ghk", most_open=1)
    with pytest.raises(UniqueViolationError):
        await a_room(here, host, "abc-def-ghj", most_open=5)
    assert here.engine_pid is None


async def test_settings_are_made_where_a_former_room_has_none(here: Database, database_url: str) -> None:
    made = await a_room(here, await an_account(here), "abc-def-ghi")
    assert made is not None
    await execute(database_url, 'DELETE FROM "RoomSettings"')
    changed = await Rooms(here).change_settings(made.id, {"allowChat": False}, is_locked=None)
    assert changed is not None
    assert changed.settings is not None
    assert (changed.settings.allowChat, changed.settings.maxParticipants) == (False, 100)


async def test_an_account_makes_no_room_too_many_however_many_at_once(here: Database) -> None:
    host, other = await an_account(here), await an_account(here, "bob@example.org")
    made = await asyncio.gather(
        *(a_room(here, host, f"aaa-{n}", most_open=3) for n in range(20)),
        *(a_room(here, other, f"bbb-{n}", most_open=3) for n in range(5)),
    )
    assert [sum(room is not None for room in part) for part in (made[:20], made[20:])] == [3, 3]


async def test_a_block_that_raises_undoes_it(prepared: Database) -> None:
    with pytest.raises(LookupError):
        async with prepared.transaction(PASS) as tx:
            await register(tx, "a")
            assert await tx.user.count() == 1
            assert await prepared.prisma.user.count() == 0
            raise LookupError
    assert await prepared.prisma.user.count() == 0
    assert prepared.pool_use.busy == 0


async def test_a_failed_query_that_is_passed_over_undoes_it(prepared: Database) -> None:
    with pytest.raises(TransactionError, match="rolled back"):
        async with prepared.transaction(PASS) as tx:
            await register(tx, "a")
            with pytest.raises(UniqueViolationError):
                await register(tx, "a")
    assert await prepared.prisma.user.count() == 0
    assert prepared.pool_use.busy == 0


async def test_a_query_for_the_host_is_refused_in_it(prepared: Database) -> None:
    with pytest.raises(RuntimeError, match="cannot be run"):
        async with prepared.transaction(PASS) as tx:
            await tx.user.create({"email": "a", "name": "x", "password": "x"})  # with an id of Prisma's
    with pytest.raises(RuntimeError, match="cannot be run"):
        async with prepared.transaction(PASS) as tx:
            await tx.query_raw("SELECT 1 AS one")
    assert prepared.pool_use.busy == 0


async def test_a_statement_that_is_wrong_and_one_that_takes_too_long(prepared: Database) -> None:
    for statement, error in (("SELECT nonsense", DataError), ("SELECT pg_sleep(60)", EngineUnavailable)):
        with pytest.raises(error):
            async with prepared.transaction(statement):
                raise AssertionError("it has not begun")
    assert await prepared.prisma.user.count() == 0


async def test_a_block_that_takes_too_long_is_cut_off(prepared: Database) -> None:
    with pytest.raises(EngineUnavailable, match="did not answer"):
        async with prepared.transaction(PASS) as tx:
            await register(tx, "a")
            await asyncio.Event().wait()
    assert await prepared.prisma.user.count() == 0


async def test_who_gives_up_leaves_nothing(prepared: Database) -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        async with prepared.transaction(PASS) as tx:
            await register(tx, "a")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await prepared.prisma.user.count() == 0
    assert prepared.pool_use.busy == 0


async def test_connections_that_broke_while_they_waited_are_replaced(
    prepared: Database, database_url: str
) -> None:
    await prepared.prisma.user.count()
    await execute(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    async with prepared.transaction(PASS) as tx:
        await register(tx, "a")
    assert await prepared.prisma.user.count() == 1


async def test_a_batch_is_done_as_a_whole_or_not_at_all(prepared: Database) -> None:
    with pytest.raises(UniqueViolationError):
        async with prepared.prisma.batch_() as batch:
            batch.user.create({"id": "1", "email": "a", "name": "x", "password": "x"})
            batch.user.create({"id": "2", "email": "a", "name": "x", "password": "x"})
    assert await prepared.prisma.user.count() == 0
    async with prepared.prisma.batch_() as batch:
        batch.user.create({"id": "1", "email": "a", "name": "x", "password": "x"})
        batch.user.update(where={"id": "1"}, data={"name": "y"})
    [user] = await prepared.prisma.user.find_many()
    assert (user.name, prepared.pool_use.busy) == ("y", 0)
