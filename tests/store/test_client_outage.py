"""A database that goes away under a running client, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import time

import asyncpg
import pytest

from neuron_meet.store.assets import migrations_dir
from neuron_meet.store.client import Database
from neuron_meet.store.errors import EngineUnavailable
from tests.store.password_server import PasswordServer


async def test_postgresql_goes_away_and_comes_back(password_server: PasswordServer) -> None:
    migrations = sorted(migrations_dir().glob("*/migration.sql"))
    assert migrations
    for file in migrations:
        await password_server.execute(file.read_text())
    await password_server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO meet")
    database = Database(password_server.url(), timeout_seconds=2, pool_size=2)
    await database.start()
    prisma = database.prisma
    await prisma.user.create({"email": "a", "name": "b", "password": "c"})
    transaction = await prisma.tx().start()
    await transaction.user.create({"email": "open", "name": "b", "password": "c"})

    await password_server.stop()
    with pytest.raises(EngineUnavailable):
        await transaction.user.count()
    for _ in range(3):
        start = time.monotonic()
        with pytest.raises(EngineUnavailable) as error:
            await prisma.user.create({"email": "lost", "name": "b", "password": "c"})
        assert time.monotonic() - start < 20  # or never
        assert error.value.code in {"P1001", "P1017", None}
        with pytest.raises(EngineUnavailable):
            async with prisma.tx() as tx:
                await tx.user.count()

    await password_server.start()
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(EngineUnavailable):
                await database.ping()
                break
    assert [user.email for user in await prisma.user.find_many()] == ["a"]
    async with prisma.tx() as tx:
        await tx.user.create({"email": "b", "name": "b", "password": "c"})
    assert database.engine_restarts == 0
    await database.stop()


async def test_connections_cut_in_the_midst_of_transactions_are_not_lost_to_the_pool(
    database_url: str,
) -> None:
    database = Database(database_url, pool_size=2, timeout_seconds=2)
    await database.start()
    prisma = database.prisma
    admin = await asyncpg.connect(database_url)
    for n in range(4):
        manager = prisma.tx()
        transaction = await manager.start()
        await transaction.user.create({"email": str(n), "name": "b", "password": "c"})
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with pytest.raises(EngineUnavailable):
            async with asyncio.timeout(30):
                await transaction.user.count()
        with contextlib.suppress(EngineUnavailable):
            await (manager.commit() if n % 2 else manager.rollback())
    await admin.close()
    assert await asyncio.gather(*(prisma.user.count() for _ in range(6))) == [0] * 6
    await database.stop()
