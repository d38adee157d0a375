"""Attendance: whatever happens to the engine or the database, a row that was opened is closed in the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from neuron_meet.rooms.removals import Removals
from neuron_meet.signaling.attendance import Attendance
from neuron_meet.signaling.presence.memory import MemoryPresence
from neuron_meet.signaling.reconciliation import Reconciliation
from neuron_meet.store.client import Database
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.generated.client import Prisma
from neuron_meet.store.models import Participant, Room
from neuron_meet.store.participants import Participants
from tests.process.program import slowness
from tests.store.password_server import PasswordServer
from tests.store.seeds import NOON, a_room, all_statements_done, nobody_writes

SECOND = timedelta(seconds=1)


@pytest.fixture
def database(own_database: Database) -> Database:
    """A client of the test's own: its engine is killed, and others lock the database's tables."""
    return own_database


class Watched(Participants):
    """The real queries; remembers how many rows each statement closed, and can be waited for."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.groups: list[int] = []
        self.failed = asyncio.Event()

    async def close(self, record_ids: Sequence[str], left_at: datetime) -> int:
        self.groups.append(len(record_ids))
        try:
            return await super().close(record_ids, left_at)
        except EngineUnavailable:
            self.failed.set()
            raise


async def opened(attendance: Attendance, room: Room, count: int) -> list[str]:
    record_ids = [attendance.new_record_id() for _ in range(count)]
    for record_id in record_ids:
        await attendance.open(
            record_id=record_id,
            room_id=room.id,
            user_id=None,
            guest_name="Gus",
            is_host=False,
            joined_at=NOON - SECOND,
        )
    return record_ids


async def rows(prisma: Prisma) -> dict[str, Participant]:
    return {row.id: row for row in await prisma.participant.find_many()}


async def test_those_who_leave_together_are_written_together(database: Database) -> None:
    watched = Watched(database)
    attendance = Attendance(watched, "0123456789")
    record_ids = await opened(attendance, await a_room(database.prisma), 9)
    moments = [NOON + SECOND * (n % 3) + timedelta(milliseconds=n) for n in range(9)]
    for record_id, moment in zip(record_ids, moments, strict=True):
        attendance.close(record_id, moment)
    attendance.close(record_ids[0], NOON + timedelta(hours=1))  # a second way of going does not count
    assert attendance.unwritten == 9
    assert await attendance.drain(10) == 0
    assert watched.groups == [3, 3, 3]
    stored = await rows(database.prisma)
    for record_id, moment in zip(record_ids, moments, strict=True):
        left_at = stored[record_id].leftAt
        assert left_at is not None
        assert moment <= left_at < moment + SECOND
        assert left_at.replace(microsecond=0) == moment.replace(microsecond=0)
        assert not stored[record_id].isActive
    assert await attendance.drain(10) == 0


async def test_who_leaves_while_rows_are_written_is_not_forgotten(
    database: Database, database_url: str
) -> None:
    watched = Watched(database)
    attendance = Attendance(watched, "0123456789")
    record_ids = await opened(attendance, await a_room(database.prisma), 5)
    async with nobody_writes(database_url, "Participant"):
        attendance.close(record_ids[0], NOON)
        while not watched.groups:
            await asyncio.sleep(0)
        for record_id in record_ids[1:]:
            attendance.close(record_id, NOON)
    assert await attendance.drain(10) == 0
    assert not any(row.isActive for row in (await rows(database.prisma)).values())


async def test_a_close_survives_the_engines_kill(database: Database) -> None:
    attendance = Attendance(Participants(database), "0123456789")
    record_ids = await opened(attendance, await a_room(database.prisma), 20)
    for n, record_id in enumerate(record_ids):
        attendance.close(record_id, NOON + SECOND * n)
        if n == 10:
            assert database.engine_pid is not None
            os.kill(database.engine_pid, signal.SIGKILL)
        if n % 3 == 0:
            await asyncio.sleep(0)  # the writer gets its turns
    assert await attendance.drain(30) == 0
    async with asyncio.timeout(30):
        while database.engine_restarts == 0:
            await asyncio.sleep(0.01)
    stored = await rows(database.prisma)
    assert [stored[record_id].leftAt for record_id in record_ids] == [NOON + SECOND * n for n in range(20)]


async def test_a_close_waits_for_a_database_that_is_away(password_server: PasswordServer) -> None:
    for file in sorted(Path("migrations").glob("*/migration.sql")):
        await password_server.execute(file.read_text())
    await password_server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO meet")
    database = Database(password_server.url(), timeout_seconds=2)
    await database.start()
    try:
        watched = Watched(database)
        attendance = Attendance(watched, "0123456789")
        record_ids = await opened(attendance, await a_room(database.prisma), 2)
        await password_server.stop()
        attendance.close(record_ids[0], NOON)
        async with asyncio.timeout(60):
            await watched.failed.wait()
        assert await attendance.drain(0.05) == 1
        attendance.close(record_ids[1], NOON + SECOND)
        assert attendance.unwritten == 2
        await password_server.start()
        assert await attendance.drain(20) == 0
        stored = await rows(database.prisma)
        assert [stored[record_id].leftAt for record_id in record_ids] == [NOON, NOON + SECOND]
    finally:
        await database.stop()


async def test_more_leave_at_once_than_one_statement_takes(database: Database) -> None:
    """Prisma refuses more than 32767 parameters in one statement."""
    attendance = Attendance(Participants(database), "0123456789")
    room, record_ids = await a_room(database.prisma), [attendance.new_record_id() for _ in range(33_000)]
    await database.prisma.execute_raw(
        """INSERT INTO "Participant" ("id", "roomId", "guestName")
           SELECT id, $1, 'Gus' FROM unnest(string_to_array($2, ',')) AS id""",
        room.id,
        ",".join(record_ids),
    )
    for record_id in record_ids:
        attendance.close(record_id, NOON)
    try:
        assert await attendance.drain(30) == 0
    finally:
        await attendance.stop()
    assert await database.prisma.participant.count(where={"isActive": True}) == 0


async def test_a_stop_gives_up_at_once(database: Database, database_url: str) -> None:
    attendance = Attendance(Participants(database), "0123456789")
    record_ids = await opened(attendance, await a_room(database.prisma), 1)
    async with nobody_writes(database_url, "Participant"):
        attendance.close(record_ids[0])
        assert await attendance.drain(0.05) == 1
        async with asyncio.timeout(slowness()):
            await attendance.stop()
        assert attendance.unwritten == 1


async def test_the_moment_of_a_close_is_now_unless_told(database: Database) -> None:
    attendance = Attendance(Participants(database), "0123456789")
    (record_id,) = await opened(attendance, await a_room(database.prisma), 1)
    before = datetime.now(UTC).replace(microsecond=0)
    attendance.close(record_id)
    assert await attendance.drain(10) == 0
    left_at = (await rows(database.prisma))[record_id].leftAt
    assert left_at is not None
    assert before <= left_at <= datetime.now(UTC)


@pytest.mark.parametrize("looked_meanwhile", [False, True])
async def test_a_row_whose_answer_came_too_late_is_closed_all_the_same(
    database: Database, database_url: str, looked_meanwhile: bool
) -> None:
    """The room's row is locked, so that the insert outlives its deadline; closing meets no row yet."""
    participants = Participants(database)
    attendance = Attendance(participants, "0123456789")
    reconciliation = Reconciliation(MemoryPresence(Removals(), Removals()), participants, attendance)
    room, record_id = await a_room(database.prisma), attendance.new_record_id()
    blocker = await asyncpg.connect(database_url)
    try:
        async with blocker.transaction():
            await blocker.execute('SELECT 1 FROM "Room" WHERE id = $1 FOR UPDATE', room.id)
            with pytest.raises(EngineUnavailable):
                await attendance.open(
                    record_id=record_id,
                    room_id=room.id,
                    user_id=None,
                    guest_name="Gus",
                    is_host=False,
                    joined_at=NOON,
                )
            attendance.close(record_id, NOON + SECOND)
            if looked_meanwhile:
                assert await attendance.drain(30) == 0
                await reconciliation.compare()
    finally:
        await blocker.close()
    await all_statements_done(database_url)
    await reconciliation.compare()
    assert await attendance.drain(30) == 0
    assert await database.prisma.participant.count(where={"isActive": True}) == 0


async def test_rows_are_compared_again_after_whatever_went_wrong(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    participants = Participants(database)
    presence = MemoryPresence(Removals(), Removals())
    reconciliation = Reconciliation(presence, participants, Attendance(participants, "0123456789"))
    compared, failures = asyncio.Event(), iter([EngineUnavailable("foreseen"), RuntimeError("unforeseen")])

    async def compare() -> None:
        for failure in failures:
            raise failure
        compared.set()

    monkeypatch.setattr(reconciliation, "compare", compare)
    reconciliation.start(0.001)
    async with asyncio.timeout(30):
        await compared.wait()
    await reconciliation.stop()
