"""Two nodes on real processes, people who come and go there all the while, and a Prometheus with quicker rules."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import ClientError

from tests.chaos.meeting import enter, visitor
from tests.chaos.postgres import Postgres
from tests.chaos.redis import redis_in
from tests.ops.prometheus import RULES, Prometheus, prometheus
from tests.process.program import ALL_BY_THE_ENGINE, Program, serving
from tests.process.visitor import Visitor
from tests.recovery.proxy import Proxy, proxied
from tests.store.password_server import free_port

WINDOW = "8s"
HOLD = "1s"
PATIENCE_SECONDS = 75.0
"""For the slowest, reconciliation, which is once a minute."""
QUIET_SECONDS = 12.0
"""How long all is watched while nothing is wrong."""
POOLS = ({"DATABASE_POOL_SIZE": "4"}, ALL_BY_THE_ENGINE)
"""The second node runs its queries in the query engine: too few connections for its own (docs/architecture.md)."""
SETTINGS = {
    "DATABASE_TIMEOUT_SECONDS": "30",
    "RECOVERY_GRACE_SECONDS": "1",
    "DRAIN_SECONDS": "0",
    "MAX_OPEN_ROOMS": "1000",
    "LIMIT_CONNECTIONS_ADDRESS": "100000 per minute",
    "LIMIT_JOINS_ADDRESS": "100000 per minute",
    "LIMIT_LOOKUPS_ADDRESS": "100000 per minute",
    "LIMIT_JOINS": "100000 per minute",
}
AWAY = (AssertionError, ClientError, OSError, TimeoutError, ValueError)


def quicker_rules() -> str:
    """The rules of deploy/ with windows of 8 s instead of 2 minutes to 1 hour, and 1 s instead of each `for`."""
    text = re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", RULES.read_text())
    return re.sub(r"for: \d+[ms]", f"for: {HOLD}", text)


class Stage:
    """What a fault is done to: node A by all that are not a node's own end, node B by that."""

    def __init__(
        self,
        *,
        nodes: list[Program],
        who: Visitor,
        way: Proxy,
        postgres: Postgres,
        asked: Prometheus,
        target: str,
    ) -> None:
        self.node, self.other = nodes
        self.target = target
        """Node A's admin address, which Prometheus names it by."""
        self.who, self.way, self.postgres, self.asked = who, way, postgres, asked

    async def until_firing(self, expected: frozenset[str]) -> tuple[set[str], float]:
        """Return when all expected alerts fire, or will not: what has fired meanwhile, and how long that took."""
        started = time.monotonic()
        seen: set[str] = set()
        while not expected <= seen and time.monotonic() - started < PATIENCE_SECONDS:
            await asyncio.sleep(0.2)
            seen |= await self.asked.firing()
        return seen, time.monotonic() - started

    async def until_quiet(self) -> None:
        """Return when nothing fires any more."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.asked.firing():
                await asyncio.sleep(0.2)


async def coming_and_going(who: Visitor) -> None:
    """Somebody joins, says something, and leaves, again and again, for ever."""
    room: dict[str, Any] = {}
    while True:
        with suppress(*AWAY):
            room = room or await who.room()
            socket = await who.socket(guest=True)
            try:
                await enter(socket, room["code"])
                await socket.ask("chat-message", {"roomId": room["id"], "content": "Good morning"})
                await socket.ask("leave-room", {"roomId": room["id"]})
            finally:
                await socket.close()
        await asyncio.sleep(0.1)


@asynccontextmanager
async def meanwhile(work: Any) -> AsyncIterator[None]:
    """Do something besides, for the length of the block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@asynccontextmanager
async def staged(folder: Path, postgres: Postgres) -> AsyncIterator[Stage]:
    """All of it."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_in(folder))
        nodes, ways = list[Program](), list[Proxy]()
        admin_ports = [free_port(), free_port()]
        for number, (admin_port, pool) in enumerate(zip(admin_ports, POOLS, strict=True)):
            way, url = await stack.enter_async_context(proxied(redis.url))
            place = folder / f"node{number}"
            place.mkdir()
            given = {
                "DATABASE_URL": postgres.url(),
                "REDIS_URL": url,
                "JWT_SECRET": "a-secret-of-these-tests-of-32-bytes-or-more",
                "ADMIN_PORT": str(admin_port),
            }
            nodes.append(await stack.enter_async_context(serving(place, **SETTINGS, **given | pool)))
            ways.append(way)
        who = await stack.enter_async_context(visitor(nodes[0].url))
        await who.register()
        (folder / "prometheus").mkdir()
        targets = [f"127.0.0.1:{port}" for port in admin_ports]
        asked = await stack.enter_async_context(
            prometheus(folder / "prometheus", targets, interval="1s", rules=quicker_rules())
        )
        await stack.enter_async_context(meanwhile(coming_and_going(who)))
        yield Stage(
            nodes=nodes,
            who=who,
            way=ways[0],
            postgres=postgres,
            asked=asked,
            target=targets[0],
        )
