"""Leases: rows of a run that is no more are closed, those of one that lives are not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any

import asyncpg
import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.direct import connect
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.ids import new_id, new_instance, participant_id
from neuron_meet.store.lease import Lease
from neuron_meet.store.participants import Participants
from tests.store.password_server import PasswordServer, free_port
from tests.store.seeds import NOON, a_room

LEFT = NOON + timedelta(hours=1)

HOLDER = """
import asyncio, sys
from neuron_meet.store.lease import Lease

async def main():
    await Lease(sys.argv[1], sys.argv[2]).start()
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def database(own_database: Database) -> Database:
    """A client of the test's own: others open the same database by its URL."""
    return own_database


class Rooms:
    """One room whose rows different runs open."""

    def __init__(self, database: Database, room_id: str) -> None:
        self._database, self._room_id = database, room_id

    async def joined(self, *record_ids: str) -> None:
        for record_id in record_ids:
            await Participants(self._database).open(
                record_id=record_id,
                room_id=self._room_id,
                user_id=None,
                guest_name="Gus",
                is_host=False,
                joined_at=NOON,
            )

    async def open_ids(self) -> set[str]:
        rows = await self._database.prisma.participant.find_many(where={"isActive": True})
        assert all(row.leftAt is None for row in rows)
        return {row.id for row in rows}


@pytest.fixture
async def rooms(database: Database) -> Rooms:
    return Rooms(database, (await a_room(database.prisma)).id)


async def test_a_live_servers_rows_stay_and_a_stopped_ones_are_closed(
    rooms: Rooms, database: Database, database_url: str
) -> None:
    one, other = new_instance(), new_instance()
    first, second = Lease(database_url, one), Lease(database_url, other)
    await first.start()
    await second.start()
    mine, theirs = participant_id(one), participant_id(other)
    await rooms.joined(mine, theirs)
    assert await second.close_rows_of_the_dead(LEFT) == 0
    assert await rooms.open_ids() == {mine, theirs}
    await first.stop()
    assert await second.close_rows_of_the_dead(LEFT) == 1
    assert await rooms.open_ids() == {theirs}
    closed = await database.prisma.participant.find_unique(where={"id": mine})
    assert closed is not None
    assert closed.leftAt == LEFT
    assert await second.close_rows_of_the_dead(LEFT + timedelta(hours=1)) == 0
    closed = await database.prisma.participant.find_unique(where={"id": mine})
    assert closed is not None
    assert closed.leftAt == LEFT
    await second.stop()


async def test_a_killed_servers_rows_are_closed(rooms: Rooms, database_url: str) -> None:
    instance = new_instance()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, database_url, instance, stdout=asyncio.subprocess.PIPE
    )
    lease = Lease(database_url, new_instance())
    await lease.start()
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        record_id = participant_id(instance)
        await rooms.joined(record_id)
        assert await lease.close_rows_of_the_dead(LEFT) == 0
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        async with asyncio.timeout(60):  # PostgreSQL notices the end of the connection by itself
            while await lease.close_rows_of_the_dead(LEFT) == 0:
                await asyncio.sleep(0.01)
        assert await rooms.open_ids() == set()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await lease.stop()


async def test_the_former_servers_rows_are_closed_whatever_their_ids(rooms: Rooms, database_url: str) -> None:
    lease = Lease(database_url, instance := new_instance())
    await lease.start()
    mine = participant_id(instance)
    former = [
        "clh3k2l9a0000qz1z8g7h6j5k",  # Prisma's cuid
        new_id(),
        "n" * 24,  # n, as ours, but too short
        "n" * 26,
        "N" + "a" * 24,
        "n" + "A" * 24,
        "018f6f0e-9c1a-7000-8000-000000000000",
        "x",
    ]
    await rooms.joined(mine, *former)
    assert await lease.close_rows_of_the_dead(LEFT) == len(former)
    assert await rooms.open_ids() == {mine}
    await lease.stop()


async def test_many_runs_at_once_close_each_row_once(rooms: Rooms, database_url: str) -> None:
    dead = [participant_id(new_instance()) for _ in range(10)] + [new_id() for _ in range(10)]
    leases = [Lease(database_url, new_instance()) for _ in range(4)]
    await asyncio.gather(*(lease.start() for lease in leases))
    await rooms.joined(*dead)
    closed = await asyncio.gather(*(lease.close_rows_of_the_dead(LEFT) for lease in leases))
    assert await rooms.open_ids() == set()
    assert sum(closed) == len(dead)
    await asyncio.gather(*(lease.stop() for lease in leases))


@pytest.mark.parametrize("failure", [None, OSError("foreseen"), RuntimeError("unforeseen")])
async def test_a_lease_that_is_lost_is_taken_again(
    rooms: Rooms, database_url: str, failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = new_instance()
    lease, other = Lease(database_url, instance), Lease(database_url, new_instance())
    await lease.start()
    failures = iter([failure] if failure else [])

    async def connect_in_the_end(address: DatabaseAddress) -> Any:
        for each in failures:
            raise each
        return await connect(address)

    monkeypatch.setattr("neuron_meet.store.lease.connect", connect_in_the_end)
    mine = participant_id(instance)
    await rooms.joined(mine)
    admin = await asyncpg.connect(database_url)
    try:
        lost = await admin.fetch(
            "SELECT pid, pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert len(lost) == 1
        async with asyncio.timeout(30):
            while not await admin.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> $1 AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())",
                lost[0]["pid"],
            ):
                await asyncio.sleep(0.01)
    finally:
        await admin.close()
    await other.start()
    assert await other.close_rows_of_the_dead(LEFT) == 0
    assert await rooms.open_ids() == {mine}
    assert await lease.close_rows_of_the_dead(LEFT) == 0
    await lease.stop()
    assert await other.close_rows_of_the_dead(LEFT) == 1
    await other.stop()


async def test_leases_of_different_databases_do_not_meet(
    database_urls: Callable[..., Awaitable[str]],
) -> None:
    instance = new_instance()
    leases = [Lease(await database_urls(), instance) for _ in range(2)]
    async with asyncio.timeout(60):  # with one lock for both the second would wait
        for lease in leases:
            await lease.start()
    for lease in leases:
        await lease.stop()


async def test_no_database_no_lease() -> None:
    lease = Lease(f"postgresql://a:b@127.0.0.1:{free_port()}/c", new_instance())
    with pytest.raises(DatabaseUnreachable, match=r"DIRECT_URL.* cannot be reached \(.*refused\)"):
        await lease.start()
    await lease.stop()


async def test_times_are_stored_in_utc(rooms: Rooms, database: Database, database_url: str) -> None:
    record_id = participant_id(new_instance())
    await rooms.joined(record_id)
    lease = Lease(database_url, new_instance())
    await lease.start()
    assert await lease.close_rows_of_the_dead(LEFT) == 1
    await lease.stop()
    row = await database.prisma.participant.find_unique(where={"id": record_id})
    assert row is not None
    assert row.leftAt is not None
    assert row.leftAt.astimezone(UTC) == LEFT


async def test_connections_that_are_used_up_are_named_as_that(password_server: PasswordServer) -> None:
    await password_server.execute("CREATE DATABASE meetings OWNER meet")
    await password_server.execute("ALTER ROLE meet CONNECTION LIMIT 0")
    lease = Lease(password_server.url(database="meetings"), new_instance())
    with pytest.raises(
        DatabaseUnreachable, match=r"has no connection left .*raise PostgreSQL's max_connections"
    ):
        await lease.start()
