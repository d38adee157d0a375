"""Fixtures for all tests: one real PostgreSQL per session, and a migrated database of its own for each test."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
import uvloop

from neuron_meet import repeats
from neuron_meet.settings import Settings
from neuron_meet.store.migrations import deploy
from neuron_meet.store.provision import provide
from tests.order import in_order
from tests.postgres import SharedPostgres, named
from tests.redis_server import RedisServer
from tests.store.former import execute, make_former
from tests.store.password_server import PASSWORD, PasswordServer
from tests.wire.shared import (
    js,
    meet,
    pool,
    pytest_generate_tests,
    servers,
    shared_cluster,
    shared_database,
    shared_server,
)

__all__ = [
    "js",
    "meet",
    "pool",
    "pytest_generate_tests",
    "servers",
    "shared_cluster",
    "shared_database",
    "shared_server",
]

TEMPLATE = "migrated"
FORMER = "former"

# How long an example takes says something of the machine: others use it too.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

_shared = pytest.StashKey[SharedPostgres]()


@pytest.fixture(autouse=True)
def _nothing_was_logged_yet() -> None:
    """What one test has logged is no repetition for the next."""
    repeats.LOG.flush()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the event loop that the program runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[_shared] = (
        SharedPostgres.in_new_folder() if worker is None else SharedPostgres(Path(worker["postgres_folder"]))
    )


def pytest_configure_node(node: Any) -> None:
    """pytest-xdist's hook: tell a new worker where the shared server is."""
    node.workerinput["postgres_folder"] = str(node.config.stash[_shared].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and _shared in config.stash:
        config.stash[_shared].stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only where several share the work: alone, the order makes no difference."""
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        items[:] = in_order(items, worker["workercount"])


@pytest.fixture
def long() -> bool:
    """Whether this is the long form (`CHAOS=long`)."""
    return os.environ.get("CHAOS") == "long"


@pytest.fixture(scope="session")
def shared_postgres(pytestconfig: pytest.Config) -> SharedPostgres:
    """The session's PostgreSQL and its once-only steps."""
    return pytestconfig.stash[_shared]


@pytest.fixture(scope="session")
def postgres_server(shared_postgres: SharedPostgres) -> str:
    """URL of the session's PostgreSQL (superuser, database `postgres`, over a unix socket)."""
    return shared_postgres.start()


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config, shared_postgres: SharedPostgres) -> Iterator[RedisServer]:
    """A running Redis of this test worker's."""
    worker: dict[str, Any] = getattr(pytestconfig, "workerinput", {})
    server = RedisServer(shared_postgres.folder / f"redis-{worker.get('workerid', 'main')}")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of an empty Redis database for this test only."""
    return redis_server.new_url()


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """A new folder for the data of a PostgreSQL of this test's own.

    Not one of pytest's: their path may be too long for a unix socket, and each pytest that starts takes everybody
    else's right to enter them, also that of the user under whom PostgreSQL runs where the tests run as root.
    """
    with tempfile.TemporaryDirectory(prefix="nm-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
async def migrated_template(postgres_server: str, shared_postgres: SharedPostgres) -> str:
    """Name of a database that has all migrations; made by the session's first user."""
    with shared_postgres.once("template") as first:
        if first:
            await _admin(postgres_server, f"CREATE DATABASE {TEMPLATE}")
            await deploy(named(postgres_server, TEMPLATE), lambda _: None)
    return TEMPLATE


@pytest.fixture(scope="session")
async def embedded_data(shared_postgres: SharedPostgres) -> Path:
    """The embedded PostgreSQL's data as a first start leaves it, to be copied; made by the session's first user."""
    folder = shared_postgres.folder / "embedded"
    with shared_postgres.once("embedded") as first:
        if first:
            given: Any = {"database_url": None, "direct_url": None, "neuron_meet_data_dir": folder}
            database = await provide(Settings(_env_file=None, **given), lambda _: None)  # type: ignore[call-arg]
            await database.stop()
    return folder / "postgres"


@pytest.fixture(scope="session")
async def meetings_data(shared_postgres: SharedPostgres) -> Path:
    """Data of a server whose database `meetings` is the role `meet`'s and has all migrations, to be copied."""
    folder = shared_postgres.folder / "meetings"
    with shared_postgres.once("meetings") as first:
        if first:
            folder.mkdir()
            server = PasswordServer(folder, shared_postgres.blank())
            await server.start()
            await server.execute(f"CREATE ROLE meet LOGIN PASSWORD '{PASSWORD}'")
            await server.execute("CREATE DATABASE meetings OWNER meet")
            await deploy(server.url(database="meetings"), lambda _: None)
            await server.stop("fast")
    return folder / "pg"


@pytest.fixture
async def database_urls(
    postgres_server: str, migrated_template: str
) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Makes databases for this test: `await database_urls()` is migrated; `(migrated=False)` is not."""
    made: list[str] = []

    async def make(*, migrated: bool = True, template: str | None = None) -> str:
        name = f"t_{uuid.uuid4().hex}"
        template = template or (migrated_template if migrated else "template0")
        await _admin(postgres_server, f"CREATE DATABASE {name} TEMPLATE {template}")
        made.append(name)
        return named(postgres_server, name)

    yield make
    for name in made:
        await _admin(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def database_url(database_urls: Callable[..., Awaitable[str]]) -> str:
    """URL of a migrated, empty database for this test only."""
    return await database_urls()


@pytest.fixture
async def empty_database_url(database_urls: Callable[..., Awaitable[str]]) -> str:
    """URL of a database without any table, for this test only."""
    return await database_urls(migrated=False)


async def _admin(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def former_url(
    postgres_server: str, shared_postgres: SharedPostgres, database_urls: Callable[..., Awaitable[str]]
) -> str:
    """A former database with rows, for this test only; `prisma db push` makes it once a session."""
    with shared_postgres.once(FORMER) as first:
        if first:
            await execute(postgres_server, f"CREATE DATABASE {FORMER}")
            await make_former(named(postgres_server, FORMER))
    return await database_urls(template=FORMER)


@pytest.fixture
def redis_urls(redis_server: RedisServer) -> list[str]:
    """URLs of two empty Redis databases for this test only."""
    return [redis_server.new_url(), redis_server.new_url()]
