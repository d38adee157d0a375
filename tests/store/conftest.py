"""A started database client for tests of the store."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.generated.client import Prisma
from tests.postgres import SharedPostgres, named
from tests.store.password_server import PASSWORD, PasswordServer
from tests.store.scratch import MakeScratch, Scratch

PATIENCE = 30.0
"""Seconds that a call may take where its deadline is not the subject."""


class Emptied:
    """A migrated database for all tests of a worker, which each of them finds empty."""

    def __init__(self, url: str, connection: asyncpg.Connection[Any]) -> None:
        self.url = url
        self._connection = connection

    async def empty(self) -> None:
        """Delete all rows."""
        await self._connection.execute(
            'TRUNCATE "User", "Room", "RoomSettings", "Participant", "Message" CASCADE'
        )


@pytest.fixture(scope="session")
async def emptied(postgres_server: str, migrated_template: str) -> AsyncIterator[Emptied]:
    """This worker's."""
    name = f"store_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_server)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    url = named(postgres_server, name)
    connection = await asyncpg.connect(url)
    yield Emptied(url, connection)
    await connection.close()
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="session")
async def shared_client(emptied: Emptied) -> AsyncIterator[Database]:
    """A started client of it."""
    database = Database(emptied.url, timeout_seconds=PATIENCE)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def database(shared_client: Database, emptied: Emptied) -> Database:
    """A started client on a migrated, empty database. Others use it before and after: see below."""
    await emptied.empty()
    return shared_client


@pytest.fixture
async def own_database(database_url: str) -> AsyncIterator[Database]:
    """The same for this test only, which may do to its engine and to `database_url` what it likes.

    A call's deadline is 2 s.
    """
    database = Database(database_url, timeout_seconds=2)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def prisma(database: Database) -> Prisma:
    """The connected Prisma client."""
    return database.prisma


@pytest.fixture
async def password_server(
    postgres_folder: Path, shared_postgres: SharedPostgres
) -> AsyncIterator[PasswordServer]:
    """A running server without any table, with the role `meet`."""
    server = PasswordServer(postgres_folder, shared_postgres.blank())
    await server.start()
    await server.execute(f"CREATE ROLE meet LOGIN PASSWORD '{PASSWORD}'")
    yield server
    await server.stop()


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> MakeScratch:
    """Makes checkouts of one's own; keyword arguments are settings."""
    return lambda **settings: Scratch(tmp_path_factory.mktemp("c") / "checkout", **settings)
