"""What is looked at every few seconds: memory, files, threads, tasks of each node; people, rows, Redis' keys of all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import click
import psutil
from aiohttp import ClientError

from tests.ops.scrape import Scrape, scrape
from tests.process.program import Program
from tests.soak.world import World

PERIOD_SECONDS = 2.0
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class NodeSample:
    """One node at one moment. Memory in megabytes; `engine` is that of its query engine's processes, if it has any."""

    memory: float
    engine: float
    files: int
    stores: int
    """Of the files, connections to PostgreSQL and Redis: pools grow to the most that was asked at once, and stay."""
    threads: int
    tasks: int
    connections: int
    participants: int


@dataclass(frozen=True)
class Sample:
    """Everything at one moment, `seconds` from the start; None for a node that does not run.

    `redis_keys` are those that do not expire by themselves.
    """

    seconds: float
    nodes: list[NodeSample | None]
    rows: int
    redis_keys: int

    @property
    def participants(self) -> int:
        """People in rooms, by presence of all nodes."""
        return sum(node.participants for node in self.nodes if node)


@dataclass
class Samples:
    """All of a run."""

    world: World
    taken: list[Sample] = field(default_factory=list[Sample])
    events: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """What was done to the nodes, and when."""
    _began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        """Seconds from the start."""
        return time.monotonic() - self._began

    def note(self, what: str) -> None:
        """Something was done to a node."""
        self.events.append((round(self.now, 1), what))
        click.echo(f"{self.now:6.1f} s  {what}")

    async def take(self) -> Sample:
        """Look now."""
        nodes = await asyncio.gather(*(self._node(number) for number in range(len(self.world.nodes))))
        sample = Sample(
            round(self.now, 1), nodes, await self.world.open_rows(), await self.world.redis_keys()
        )
        self.taken.append(sample)
        return sample

    async def _node(self, number: int) -> NodeSample | None:
        node = self.world.nodes[number]
        if node is None:
            return None
        with suppress(ClientError, OSError, psutil.Error):  # it ends just now
            seen = await scrape(f"http://127.0.0.1:{self.world.admin_ports[number]}")
            return node_sample(node, seen, self.world.stores)
        return None

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Look all the time, for the length of the block."""

        async def look() -> None:
            while True:
                await self.take()
                await asyncio.sleep(PERIOD_SECONDS)

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()


def node_sample(node: Program, seen: Scrape, stores: set[int]) -> NodeSample:
    """By the system and by its metrics; `stores` are the ports of PostgreSQL and Redis."""
    process = psutil.Process(node.pid)
    return NodeSample(
        memory=round(process.memory_info().rss / MEGABYTE, 1),
        engine=round(sum(engine.memory_info().rss for engine in node.engines()) / MEGABYTE, 1),
        files=process.num_fds(),
        stores=sum(bool(one.raddr) and one.raddr.port in stores for one in process.net_connections("tcp")),
        threads=process.num_threads(),
        tasks=int(seen.value("tasks")),
        connections=int(seen.value("connections")),
        participants=int(seen.value("participants")),
    )
