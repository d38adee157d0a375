"""Three nodes on one Redis and one PostgreSQL, each with its own way to Redis; and whether all agree on a room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos.meeting import program, visitor
from tests.chaos.people import Person
from tests.chaos.redis import Redis, redis_in
from tests.process.program import Program
from tests.process.visitor import Visitor
from tests.recovery.proxy import Proxy, proxied
from tests.store.password_server import free_port

NODES = 3
LEASE_SECONDS = 8.0
"""What the others wait before they take a node for dead (neuron_meet/cluster/nodes.py)."""
AGREE_SECONDS = 20.0


class Cluster:
    """Nodes by number, each with a visitor and a proxy between it and Redis."""

    def __init__(self, folder: Path, redis: Redis, database: asyncpg.Pool[Any], database_url: str) -> None:
        self.folder, self.redis, self.database = folder, redis, database
        self._database_url = database_url
        self._stack = AsyncExitStack()
        self.programs: list[Program] = []
        self.visitors: list[Visitor] = []
        self.ways: list[Proxy] = []
        self._ways: list[str] = []
        self.settings: dict[str, str] = {}

    async def start(self, **settings: str) -> None:
        """Start all nodes at the same time."""
        self.settings = settings
        for _ in range(NODES):
            way, url = await self._stack.enter_async_context(proxied(self.redis.url))
            self.ways.append(way)
            self._ways.append(url)
        ports = [free_port() for _ in range(NODES)]
        self.programs = list(
            await asyncio.gather(*(self._start(number, port) for number, port in enumerate(ports)))
        )
        for running in self.programs:
            self.visitors.append(await self._stack.enter_async_context(visitor(running.url)))
        await self.visitors[0].register()
        for other in self.visitors[1:]:
            other.token = self.visitors[0].token

    async def again(self, number: int) -> None:
        """Start a node that has ended once more, on its port."""
        port = int(self.programs[number].url.rsplit(":", 1)[1])
        self.programs[number] = await self._start(number, port)

    async def _start(self, number: int, port: int) -> Program:
        folder = self.folder / f"node{number}"
        folder.mkdir(exist_ok=True)
        environment = {
            "DATABASE_URL": self._database_url,
            "REDIS_URL": self._ways[number],
            "DATABASE_POOL_SIZE": "4",
        }
        return await self._stack.enter_async_context(program(folder, port, **environment, **self.settings))

    async def stop(self) -> None:
        await self._stack.aclose()

    # -- what each of them knows
    async def readiness(self, number: int) -> tuple[int, str]:
        """Status of a node's /api/ready, and what it says of Redis."""
        status, body = await self.visitors[number].call("GET", "/api/ready")
        return status, body["checks"]["redis"]

    async def until_ready(self, seconds: float, *numbers: int, expected: int = 200) -> float:
        """Return when these nodes (all by default) are ready, or are not: how long that took."""
        started = time.monotonic()
        for number in numbers or range(NODES):
            while (await self.readiness(number))[0] != expected:
                assert time.monotonic() - started < seconds, f"node {number}: no {expected} in time"
                await asyncio.sleep(0.05)
        return time.monotonic() - started

    async def shown(self, number: int, code: str) -> list[str]:
        """Names of those in a room, as a node's REST API has them."""
        status, listed = await self.visitors[number].call("GET", f"/api/rooms/code/{code}/participants")
        return sorted(person["displayName"] for person in listed) if status == 200 else [f"status {status}"]

    async def rows(self, room_id: str) -> list[str]:
        """Names in a room's open rows."""
        query = 'SELECT "guestName" FROM "Participant" WHERE "roomId" = $1 AND "isActive"'
        return sorted(row["guestName"] for row in await self.database.fetch(query, room_id))

    async def stored(self, room_id: str) -> list[str]:
        """Chat in a room, in the stored order."""
        query = 'SELECT content FROM "Message" WHERE "roomId" = $1 ORDER BY "createdAt", id'
        return [row["content"] for row in await self.database.fetch(query, room_id)]

    async def agree(
        self, room: dict[str, Any], people: Iterable[Person], nodes: Iterable[int] = range(NODES)
    ) -> float:
        """Return when all nodes, Redis, the rows and each one's book have just these people: how long that took."""
        present, started = list(people), time.monotonic()
        names, sids = sorted(one.name for one in present), {one.sid for one in present}
        while True:
            known = {f"node {number}": await self.shown(number, room["code"]) for number in nodes}
            known["rows"] = await self.rows(room["id"])
            kept = await self.redis.room(room["code"])
            known["redis"] = sorted(member.display_name for member in kept.members.values())
            books = {one.name: one.book()[0] for one in present}
            if (
                all(one == names for one in known.values())
                and kept.members.keys() == sids
                and not kept.reserved
                and all(book == sids for book in books.values())
            ):
                break
            if time.monotonic() - started > AGREE_SECONDS:
                differing = {where: one for where, one in known.items() if one != names}
                wrong = {name: (book - sids, sids - book) for name, book in books.items() if book != sids}
                raise AssertionError(
                    f"{names=} {differing=} {wrong=} {kept.reserved=} {kept.members.keys() ^ sids=}"
                )
            await asyncio.sleep(0.1)
        for one in present:
            assert one.book()[1] == [], (one.name, one.book()[1])
        return time.monotonic() - started


@asynccontextmanager
async def cluster_in(folder: Path, database_url: str, **settings: str) -> AsyncIterator[Cluster]:
    """Three running nodes."""
    async with redis_in(folder) as redis, asyncpg.create_pool(database_url, min_size=0, max_size=2) as pool:
        cluster = Cluster(folder, redis, pool, database_url)
        try:
            await cluster.start(**settings)
            yield cluster
            for running in cluster.programs:
                assert "Traceback" not in running.output
                assert "failed" not in running.output, running.output
        finally:
            redis.go_on()
            await cluster.stop()
