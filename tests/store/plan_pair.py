"""The same database through two clients: one that runs query plans itself, one whose host runs everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.engine.plan_engine import NOT_HERE, PlanEngine
from neuron_meet.store.generated.client import Prisma

HOST_ONLY = 3
"""A pool so small that the host needs all of it (client.py, own_connections)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`here` runs plans in this process, `host` leaves everything to the query-engine host."""

    here: Database
    host: Database

    async def both(self, ask: Callable[[Prisma], Awaitable[Any]]) -> tuple[Any, Any]:
        """The same question to both."""
        return await ask(self.here.prisma), await ask(self.host.prisma)

    async def failures(self, ask: Callable[[Prisma], Awaitable[Any]]) -> tuple[Exception, Exception]:
        """What both raise."""
        with pytest.raises(Exception) as here:
            await ask(self.here.prisma)
        with pytest.raises(Exception) as host:
            await ask(self.host.prisma)
        return here.value, host.value


@asynccontextmanager
async def a_pair(url: str) -> AsyncIterator[Pair]:
    here = Database(url, timeout_seconds=30)
    host = Database(url, timeout_seconds=30, pool_size=HOST_ONLY)
    await here.start()
    await host.start()
    try:
        yield Pair(here, host)
    finally:
        await host.stop()
        await here.stop()


class RunHere:
    """Counts the queries that a client ran in this process, and those that it left to its host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here = 0
        self.host = 0
        original = PlanEngine.run

        async def run(engine: PlanEngine, query: Any) -> Any:
            result = await original(engine, query)
            if result is NOT_HERE:
                self.host += 1
            else:
                self.here += 1
            return result

        monkeypatch.setattr(PlanEngine, "run", run)
