"""The query engine under the client: replaced when it dies or hangs, and what its callers are told."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.engine.process import HostProcess, Launch
from neuron_meet.store.errors import EngineUnavailable, StoreError, TransactionError
from neuron_meet.store.models import User

PATIENCE = 60.0


@pytest.fixture
def database(own_database: Database) -> Database:
    """A client of the test's own: its engine is killed, stopped and held up."""
    return own_database


def running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped by whoever adopted it does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    return False


async def ended(pid: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while running(pid):
                await asyncio.sleep(0.02)
    return not running(pid)


async def healed(database: Database, seconds: float = 30) -> None:
    """Returns when the database answers again."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(EngineUnavailable):
                return await database.ping()
            await asyncio.sleep(0.02)


async def asleep(database: Database, calls: int, seconds: float = 30) -> None:
    """Returns when so many of a database's calls sleep in PostgreSQL."""
    sleeping = (
        "SELECT count(*)::int AS n FROM pg_stat_activity "
        "WHERE wait_event = 'PgSleep' AND datname = current_database()"
    )
    async with asyncio.timeout(seconds):
        while (await database.prisma.query_raw(sleeping))[0]["n"] < calls:
            await asyncio.sleep(0.02)


def pid_of(database: Database) -> int:
    pid = database.engine_pid
    assert pid is not None
    return pid


PARENT = """
import asyncio, sys
from neuron_meet.store.client import Database

async def main():
    database = Database(sys.argv[1])
    await database.start()
    transaction = await database.prisma.tx().start()
    await transaction.user.create({"email": "a", "name": "b", "password": "c"})
    print(database.engine_pid, flush=True)
    await asyncio.gather(*(database.prisma.query_raw("SELECT 1 AS a FROM pg_sleep(60)") for _ in range(5)))

asyncio.run(main())
"""


async def test_no_engine_outlives_a_server_that_is_killed(database_url: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, database_url, stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert parent.stdout
    engine = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    assert running(engine)
    parent.kill()
    await parent.wait()
    assert await ended(engine, 10)


async def test_supervision_survives_a_start_that_fails_in_an_unforeseen_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = HostProcess.start
    failures = iter([RuntimeError("unforeseen"), EngineUnavailable("foreseen")])

    async def starts_in_the_end(launch: Launch) -> HostProcess:
        for failure in failures:
            raise failure
        return await start(launch)

    monkeypatch.setattr(HostProcess, "start", starts_in_the_end)
    psutil.Process(pid_of(database)).kill()
    await healed(database)
    assert database.engine_restarts == 1


async def test_whoever_waits_for_an_engine_that_does_not_start_is_told_why(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = HostProcess.start

    async def starts_no_more(_launch: Launch) -> HostProcess:
        raise EngineUnavailable("There is no Node.js.")

    monkeypatch.setattr(HostProcess, "start", starts_no_more)
    psutil.Process(pid_of(database)).kill()
    async with asyncio.timeout(30):
        while database.engine_pid is not None:
            await asyncio.sleep(0.01)
    with pytest.raises(EngineUnavailable, match=r"did not answer within 2 s\. There is no Node\.js\."):
        await database.prisma.query_raw("SELECT 1 AS a")
    monkeypatch.setattr(HostProcess, "start", start)
    await healed(database)


async def test_an_engine_that_dies_is_replaced(database_url: str) -> None:
    database = Database(
        database_url, timeout_seconds=30
    )  # not what is looked at: the next engine's start is in it
    await database.start()
    await database.prisma.user.create({"email": "a", "name": "b", "password": "c"})
    for n in (1, 2):
        first = pid_of(database)
        psutil.Process(first).kill()
        # Reads are sent again to the next engine: the caller does not notice. (A prefix is no plan of this process.)
        found = await database.prisma.user.find_many(where={"email": {"startswith": "a"}})
        assert len(found) == 1
        assert pid_of(database) != first
        assert database.engine_restarts == n
        assert not running(first)
    assert (await database.prisma.user.find_first_or_raise()).email == "a"
    await database.stop()


@pytest.fixture
async def patient(database_url: str) -> AsyncIterator[Database]:
    """A database whose calls may take long: what ends before that was ended by something else. Five of its
    connections are the engine's.
    """
    database = Database(database_url, pool_size=25, timeout_seconds=PATIENCE)
    await database.start()
    yield database
    await database.stop()


async def test_what_is_under_way_when_the_engine_dies_ends_clearly(patient: Database) -> None:
    prisma = patient.prisma
    transaction = await prisma.tx().start()
    await transaction.user.create({"email": "open", "name": "b", "password": "c"})
    slow = [asyncio.ensure_future(prisma.query_raw("SELECT 1 AS a FROM pg_sleep(60)")) for _ in range(2)]
    await asleep(patient, len(slow))  # what was not sent yet goes to the next engine, and sleeps there
    writes = [
        asyncio.ensure_future(prisma.user.create({"email": str(n), "name": "b", "password": "c"}))
        for n in range(30)
    ]
    await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
    psutil.Process(pid_of(patient)).kill()
    start = time.monotonic()
    outcomes = await asyncio.gather(*slow, *writes, return_exceptions=True)
    assert time.monotonic() - start < PATIENCE / 2  # by the engine's death, not by their deadline
    assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes[:2])
    stored = [outcome.email for outcome in outcomes[2:] if isinstance(outcome, User)]
    assert stored
    assert all(isinstance(outcome, User | EngineUnavailable) for outcome in outcomes[2:])
    await healed(patient)
    with pytest.raises(TransactionError):
        await transaction.user.count()
    # What was acknowledged is there; the open transaction is undone.
    emails = {user.email for user in await prisma.user.find_many()}
    assert emails >= set(stored)
    assert "open" not in emails


async def test_calls_to_an_engine_that_hangs_end_by_their_deadline_and_it_is_replaced(
    database: Database,
) -> None:
    hanging = pid_of(database)
    psutil.Process(hanging).suspend()
    start = time.monotonic()
    with pytest.raises(EngineUnavailable, match="did not answer within 2 s"):
        await database.ping()
    assert time.monotonic() - start < 20  # or never
    await healed(database)
    assert pid_of(database) != hanging
    assert not running(hanging)
    assert database.engine_restarts == 1


async def test_a_slow_database_does_not_cost_the_engine_its_life(database: Database) -> None:
    engine = pid_of(database)
    with pytest.raises(EngineUnavailable) as error:
        await database.prisma.query_raw("SELECT 1 AS a FROM pg_sleep(10)")
    assert error.value.code in {"P1008", None}
    waiting = [database.prisma.query_raw("SELECT 1 AS a FROM pg_sleep(10)") for _ in range(30)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes)
    await healed(database)
    assert (pid_of(database), database.engine_restarts) == (engine, 0)


async def test_a_panic_of_the_query_compiler_costs_one_engine_only(database: Database) -> None:
    engine = pid_of(database)
    unknown_action = '{"action":"none","query":{"arguments":{},"selection":{}}}'
    with pytest.raises(StoreError):
        await database.prisma._engine.query(unknown_action, tx_id=None)  # pyright: ignore
    assert await ended(engine, 5)
    await healed(database)
    assert database.engine_restarts == 1


async def test_stop_while_the_engine_is_being_replaced_leaves_nothing(database_url: str) -> None:
    database = Database(database_url)
    await database.start()
    before = pid_of(database)
    psutil.Process(before).kill()
    await asyncio.sleep(0)
    await database.stop()
    mine = [child for child in psutil.Process().children() if "host.mjs" in " ".join(child.cmdline() or [])]
    assert before not in {child.pid for child in mine}
    assert database.engine_pid is None


async def test_the_log_holds_no_text_of_queries(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    database = Database(database_url, timeout_seconds=2)
    await database.start()
    await database.prisma.user.create(
        {"email": "a-private-address", "name": "b", "password": "a-private-hash"}
    )
    for statement in ("SELECT 'a-private-address'::int AS a", "SELECT broken"):
        with pytest.raises(Exception, match="Raw query failed"):
            await database.prisma.query_raw(statement)
    psutil.Process(pid_of(database)).kill()
    await healed(database)
    await database.stop()
    captured = capfd.readouterr()
    assert "query engine ended" in captured.out + captured.err
    assert "a-private" not in captured.out + captured.err
