"""What the soak runs on: PostgreSQL, Redis, three nodes and nginx in front of them, each a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import redis.asyncio

from local_cluster.children import end
from local_cluster.nginx import nginx
from local_cluster.redis import redis as running_redis
from tests.process.program import Program, serving
from tests.store.password_server import PASSWORD, PasswordServer, free_port

NODES = 3
SETTINGS = {
    "NODE_ENV": "production",
    "HOST": "127.0.0.1",
    "JWT_SECRET": "a-secret-of-the-soak-with-32-bytes-or-more",
    "TRUSTED_PROXIES": "127.0.0.1",
    "DRAIN_SECONDS": "5",
    # Everybody comes from one address, faster than usual.
    "LIMIT_CONNECTIONS_ADDRESS": "1000000 per minute",
    "LIMIT_JOINS_ADDRESS": "1000000 per minute",
    "LIMIT_LOOKUPS_ADDRESS": "1000000 per minute",
    "MAX_OPEN_ROOMS": "100000",
}


class World:
    """The nodes by number, and where everything is."""

    def __init__(self, folder: Path, url: str, redis_url: str, database: PasswordServer) -> None:
        self.folder, self.url = folder, url
        self._redis = redis.asyncio.Redis.from_url(redis_url)
        self._redis_url, self._database = redis_url, database
        self._pool: asyncpg.Pool[Any] | None = None
        self._nginx: asyncio.subprocess.Process | None = None
        self._stack = AsyncExitStack()
        self.ports = [free_port() for _ in range(NODES)]
        self.admin_ports = [free_port() for _ in range(NODES)]
        self.stores = {database.port, int(redis_url.rpartition(":")[2])}
        """The ports of PostgreSQL and Redis."""
        self.nodes: list[Program | None] = [None] * NODES
        self.output: list[str] = []
        """Of the nodes that have ended."""

    async def start(self, number: int) -> None:
        """Start a node that does not run."""
        folder = self.folder / f"node{number}"
        folder.mkdir(exist_ok=True)
        given = {
            "PORT": str(self.ports[number]),
            "ADMIN_PORT": str(self.admin_ports[number]),
            "DATABASE_URL": self._database.url(),
            "REDIS_URL": self._redis_url,
        }
        self.nodes[number] = await self._stack.enter_async_context(serving(folder, **{**SETTINGS, **given}))

    async def stop(self, number: int) -> None:
        """As an operator does: it drains."""
        node, self.nodes[number] = self.nodes[number], None
        assert node is not None
        assert await node.stop() == 0, node.output
        self.output.append(node.output)

    async def kill(self, number: int) -> None:
        """kill -9."""
        node, self.nodes[number] = self.nodes[number], None
        assert node is not None
        await node.kill()
        self.output.append(node.output)

    async def close_door(self) -> None:
        """End nginx, and with it the idle connections that it keeps to the nodes."""
        assert self._nginx is not None
        await end(self._nginx)

    async def open_rows(self) -> int:
        """Participant rows that say that somebody is there."""
        assert self._pool is not None
        return int(await self._pool.fetchval('SELECT count(*) FROM "Participant" WHERE "isActive"'))

    async def redis_keys(self) -> int:
        """How much Redis holds that does not expire by itself."""
        counted: dict[str, Any] = (await self._redis.info("keyspace")).get("db0", {"keys": 0, "expires": 0})
        return int(counted["keys"]) - int(counted["expires"])

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, blank: Path) -> AsyncIterator[World]:
        """All of it, for the length of the block. `blank`: as in PasswordServer."""
        database = PasswordServer(folder, blank)
        await database.start()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.stop)
            await database.execute(f"CREATE ROLE meet LOGIN PASSWORD '{PASSWORD}'")
            await database.execute("GRANT ALL ON SCHEMA public TO meet")
            server = await stack.enter_async_context(running_redis(folder))
            port = free_port()
            world = cls(folder, f"http://127.0.0.1:{port}", server.url, database)
            stack.push_async_callback(world._redis.aclose)
            world._pool = await stack.enter_async_context(
                asyncpg.create_pool(database.url(), min_size=0, max_size=2)
            )
            await stack.enter_async_context(world._stack)
            for number in range(NODES):
                await world.start(number)
            nodes = [f"127.0.0.1:{node}" for node in world.ports]
            world._nginx = await stack.enter_async_context(nginx(folder, nodes, port))
            yield world
            for number, node in enumerate(world.nodes):
                if node is not None:
                    await world.stop(number)
