"""Who is served first at the pool: what a meeting needs, before what may wait. Counted by the order of service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import copy_context
from typing import Any

import pytest

from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.engine.pool import Pool, in_background

SIZE = 4
Take = Callable[[], Awaitable[Any]]


@pytest.fixture
async def pool(emptied: Any) -> AsyncIterator[Pool]:
    made = Pool(DatabaseAddress.parse(emptied.url), SIZE, 30)
    yield made
    await made.stop()


class Asker:
    """Takes connections as tasks of their own, in the foreground or behind, and notes who gets one when."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.order: list[str] = []
        self.got: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def ask(self, name: str, *, behind: bool = False) -> asyncio.Task[None]:
        context = copy_context()
        if behind:
            context.run(in_background)
        task = asyncio.get_running_loop().create_task(self._take(name), context=context)
        self._tasks.append(task)
        return task

    async def _take(self, name: str) -> None:
        connection = self._pool.take_idle() or await self._pool.take()
        self.order.append(name)
        self.got[name] = connection

    def give_back(self, name: str) -> None:
        self._pool.give_back(self.got.pop(name))

    async def until(self, count: int) -> None:
        """Return when so many have been served."""
        async with asyncio.timeout(30):
            while len(self.order) < count:
                await asyncio.sleep(0.001)

    async def nobody_more(self) -> None:
        """Let everybody who could be served be served: what is left waits for a connection."""
        before = len(self.order)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(self.order) == before


async def test_joins_go_before_reads(pool: Pool) -> None:
    asker = Asker(pool)
    for number in range(SIZE):
        asker.ask(f"first {number}")
    await asker.until(SIZE)
    for number in range(20):
        asker.ask(f"read {number}", behind=True)
    for number in range(3):
        asker.ask(f"join {number}")
    await asker.nobody_more()
    assert pool.waiting == 23
    for number in range(SIZE):
        asker.give_back(f"first {number}")
    await asker.until(SIZE + 3 + 1)
    assert asker.order[SIZE:] == ["join 0", "join 1", "join 2", "read 0"]


async def test_reads_have_half_and_joins_find_the_other_half(pool: Pool) -> None:
    """However many read, a join gets a connection at once."""
    asker = Asker(pool)
    reads = [asker.ask(f"read {number}", behind=True) for number in range(150)]
    await asker.until(SIZE // 2)
    await asker.nobody_more()
    for number in range(SIZE // 2):
        asker.ask(f"join {number}")
    await asker.until(SIZE)
    assert [sorted(asker.order[:2]), sorted(asker.order[2:])] == [["read 0", "read 1"], ["join 0", "join 1"]]
    for number in range(SIZE // 2):
        asker.give_back(f"join {number}")
    await asker.nobody_more()
    assert pool.busy == SIZE // 2, "what joins left free stays free for them"
    for number in range(150):
        await asker.until(SIZE + min(number, 148))
        asker.give_back(f"read {number}")
    await asyncio.gather(*reads)
    assert asker.order[SIZE:] == [f"read {number}" for number in range(2, 150)]
    assert (pool.busy, pool.waiting) == (0, 0)


async def test_who_gives_up_leaves_no_trace(pool: Pool) -> None:
    asker = Asker(pool)
    reads = [asker.ask(f"read {number}", behind=True) for number in range(10)]
    await asker.until(SIZE // 2)
    await asker.nobody_more()
    asker.give_back("read 0")  # read 2 is told, and gives up in the same turn
    for read in reads[2:9]:
        read.cancel()
    await asker.until(SIZE // 2 + 1)
    assert sorted(asker.order) == ["read 0", "read 1", "read 9"]
    asker.give_back("read 1")
    asker.give_back("read 9")
    assert (pool.busy, pool.waiting) == (0, 0)
    for number in range(SIZE // 2):
        asker.ask(f"again {number}", behind=True)
    await asker.until(SIZE // 2 + 1 + SIZE // 2)


async def test_a_connection_that_is_lost_frees_its_share(pool: Pool) -> None:
    asker = Asker(pool)
    for number in range(4):
        asker.ask(f"read {number}", behind=True)
    await asker.until(SIZE // 2)
    for name in ("read 0", "read 1"):
        pool.discard(asker.got.pop(name))
    await asker.until(4)
    assert sorted(asker.order[:2]) == ["read 0", "read 1"]
    assert sorted(asker.order[2:]) == ["read 2", "read 3"]


async def test_a_pool_of_one_serves_both(emptied: Any) -> None:
    pool = Pool(DatabaseAddress.parse(emptied.url), 1, 30)
    asker = Asker(pool)
    asker.ask("read 0", behind=True)
    await asker.until(1)
    asker.ask("read 1", behind=True)
    asker.ask("join 0")
    await asker.nobody_more()
    asker.give_back("read 0")
    await asker.until(2)
    asker.give_back("join 0")
    await asker.until(3)
    assert asker.order == ["read 0", "join 0", "read 1"]
    await pool.stop()
