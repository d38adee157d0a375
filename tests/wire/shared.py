"""One server, one cluster, one database and one Node.js process for each test worker.

Tests make accounts and rooms of their own. Fixtures of tests/conftest.py: the tests of the wire, of authority, of
recovery and of chaos share them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
import structlog.testing
from aiohttp import ClientSession

from neuron_meet.app import Server, running
from tests.postgres import named
from tests.redis_server import RedisServer
from tests.wire.clients import Driver, driving
from tests.wire.meeting import Meet, settings_for


@pytest.fixture(scope="session")
async def js() -> AsyncIterator[Driver]:
    """The official JavaScript client."""
    async with driving() as driver:
        yield driver


@pytest.fixture(scope="session")
async def shared_database(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of a migrated database for all wire tests of this worker."""
    name = f"wire_{uuid.uuid4().hex}"
    await _admin(postgres_server, f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield named(postgres_server, name)
    await _admin(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
async def pool(shared_database: str) -> AsyncIterator[Any]:
    """The tests' own connections to that database."""
    async with asyncpg.create_pool(shared_database, min_size=0, max_size=3) as pool:
        yield pool


@pytest.fixture(scope="session")
async def shared_server(shared_database: str) -> AsyncIterator[Server]:
    """A running server."""
    async with running(settings_for(), shared_database) as server:
        yield server


@pytest.fixture(scope="session")
async def shared_cluster(shared_database: str, redis_server: RedisServer) -> AsyncIterator[list[Server]]:
    """Three running servers that act as one."""
    settings = settings_for(redis_url=redis_server.new_url(), database_pool_size=4)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(settings, shared_database)) for _ in range(3)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that use `meet` run on one server, and with their clients spread over three nodes (see the markers)."""
    if "nodes" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker
        numbers = [1] if marked("one_node") else [3] if marked("three_nodes") else [1, 3]
        metafunc.parametrize("nodes", numbers, ids=lambda nodes: f"nodes{nodes}")


@pytest.fixture
def servers(request: pytest.FixtureRequest, nodes: int) -> Sequence[Server]:
    """The only server, or the nodes of the cluster."""
    if nodes == 1:
        return [request.getfixturevalue("shared_server")]
    return request.getfixturevalue("shared_cluster")


@pytest.fixture
async def meet(
    servers: Sequence[Server], pool: Any, js: Driver, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Meet]:
    """This test's view of the running server, which has nothing to report that it did not foresee."""
    with structlog.testing.capture_logs() as logged:
        async with ClientSession() as session:
            meet = Meet(servers, pool, js, session)
            yield meet
            meet.disconnect_all()
    assert [entry for entry in logged if entry["log_level"] in ("error", "critical")] == []
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    unforeseen = [record for record in records if record.levelno >= logging.ERROR]
    # engineio reports clients of another protocol version as errors.
    assert [record.getMessage() for record in unforeseen if not record.name.startswith("engineio")] == []


async def _admin(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
