"""One database and one REST server for each test worker; tests keep apart by accounts and rooms of their own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from neuron_meet.store.client import Database
from tests.postgres import named
from tests.rest.server import Server, serving


@pytest.fixture(scope="session")
async def database(postgres_server: str, migrated_template: str) -> AsyncIterator[Database]:
    """A started client of a migrated database."""
    name = f"rest_{uuid.uuid4().hex}"
    await _admin(postgres_server, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    made = Database(named(postgres_server, name))
    await made.start()
    yield made
    await made.stop()
    await _admin(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def server(database: Database) -> AsyncIterator[Server]:
    """A running REST server in development mode."""
    async with serving(database) as running:
        yield running


async def _admin(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
