"""Where a program keeps its data, and a PostgreSQL of the test's own, that it may stop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from tests.postgres import SharedPostgres, copied
from tests.process.outside_database import OutsideDatabase
from tests.process.program import postmaster
from tests.store.password_server import PASSWORD


@pytest.fixture
def folder(postgres_folder: Path) -> Iterator[Path]:
    """The folder that a program works in; an embedded PostgreSQL that a failed test left there is ended."""
    yield postgres_folder
    with contextlib.suppress(FileNotFoundError, psutil.Error):
        left = postmaster(postgres_folder)
        if left.name().startswith("postgres"):
            left.kill()
            left.wait(10)


@pytest.fixture
def used_folder(folder: Path, embedded_data: Path) -> Path:
    """The same folder as a first start, long ended, left it: PostgreSQL's data is there, and all migrations."""
    copied(embedded_data, folder / "data" / "postgres")
    return folder


@pytest.fixture
async def meetings(postgres_folder: Path, meetings_data: Path) -> AsyncIterator[OutsideDatabase]:
    """A running server on 127.0.0.1 with a database that has all migrations."""
    server = OutsideDatabase(postgres_folder, meetings_data)
    server.database = "meetings"
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def postgres(postgres_folder: Path, shared_postgres: SharedPostgres) -> AsyncIterator[OutsideDatabase]:
    """A running server on 127.0.0.1 without any table, whose role `meet` may make them."""
    server = OutsideDatabase(postgres_folder, shared_postgres.blank())
    await server.start()
    await server.execute(f"CREATE ROLE meet LOGIN PASSWORD '{PASSWORD}'")
    await server.execute("GRANT ALL ON SCHEMA public TO meet")
    try:
        yield server
    finally:
        await server.stop()
