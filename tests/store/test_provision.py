"""A database ready for the server, embedded or given, and nothing left of one that failed."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from neuron_meet.settings import Settings
from neuron_meet.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.migrations import MigrationRefused
from neuron_meet.store.provision import opened, provide
from tests.store.former import MIGRATIONS, execute, value
from tests.store.password_server import free_port

USERS = 'SELECT count(*) FROM "User"'


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DIRECT_URL"):
        monkeypatch.delenv(name, raising=False)


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


async def test_embedded_with_all_tables_until_stopped(postgres_folder: Path) -> None:
    data, said = postgres_folder, list[str]()

    database = await provide(settings(neuron_meet_data_dir=data), said.append)
    try:
        assert await value(database.url, USERS) == 0
        assert said[0] == f"Starting the embedded PostgreSQL in {data} (DATABASE_URL is not set)."
        assert said[1].endswith(f": {', '.join(MIGRATIONS)}.")
    finally:
        await database.stop()

    assert await EmbeddedPostgres.running(data) is None
    with pytest.raises(OSError):
        await asyncpg.connect(database.url)


async def test_a_given_database_with_all_tables(empty_database_url: str) -> None:
    database = await provide(settings(database_url=empty_database_url), print)
    await database.stop()

    assert database.url == empty_database_url
    assert await value(database.url, USERS) == 0
    assert empty_database_url not in repr(database)


async def test_migrations_go_over_the_direct_url(empty_database_url: str) -> None:
    pooler = f"postgresql://u:p@127.0.0.1:{free_port()}/x"

    database = await provide(settings(database_url=pooler, direct_url=empty_database_url), print)

    assert database.url == pooler
    assert await value(empty_database_url, USERS) == 0


async def test_a_direct_url_alone_does_not_count(postgres_folder: Path, empty_database_url: str) -> None:
    data = postgres_folder

    async with opened(settings(direct_url=empty_database_url, neuron_meet_data_dir=data), print) as url:
        assert url.endswith(f"host={data}/postgres")


async def test_a_failed_deployment_leaves_nothing_running(postgres_folder: Path) -> None:
    data = postgres_folder
    embedded = EmbeddedPostgres(data)
    await execute(await embedded.start(), "CREATE TABLE invoices (id int PRIMARY KEY)")
    await embedded.stop()

    with pytest.raises(MigrationRefused):
        await provide(settings(neuron_meet_data_dir=data), print)

    assert not (data / "postgres" / "postmaster.pid").exists()
    await embedded.start()  # the data directory is free again
    await embedded.stop()


async def test_failures_are_the_operators_sentences(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DatabaseUnreachable, match="cannot be reached"):
        await provide(settings(database_url=f"postgresql://u:p@127.0.0.1:{free_port()}/x"), print)
    with pytest.raises(EmbeddedPostgresError, match="not writable"):
        await provide(settings(neuron_meet_data_dir=tmp_path / "file"), print)


async def test_a_db_command_shares_a_running_servers_postgresql(
    postgres_folder: Path,
) -> None:
    given = settings(neuron_meet_data_dir=postgres_folder)
    database = await provide(given, print)
    try:
        async with opened(given, print) as url:
            assert await value(url, USERS) == 0
        assert await value(database.url, USERS) == 0
    finally:
        await database.stop()
