"""When the load generator does what: so many at a time, or at a rate whatever the server does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")

AT_A_TIME = 16
"""How many connections and joins are under way at once (issue 5: "16 at a time")."""
SEED = 5
"""Arrivals are random but the same in every run and for every server."""


async def at_a_time(
    items: Iterable[Item], do: Callable[[Item], Awaitable[object]], count: int = AT_A_TIME
) -> None:
    """Do something with each item, `count` at a time. The first failure ends it."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await do(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(count):
            workers.create_task(worker())


def arrivals(rate: float, seconds: float) -> list[float]:
    """Moments, in seconds from the start, at which independent users would do something `rate` times a second."""
    dice = random.Random(SEED)
    moments: list[float] = []
    moment = dice.expovariate(rate)
    while moment < seconds:
        moments.append(moment)
        moment += dice.expovariate(rate)
    return moments


async def on_schedule(moments: Iterable[float], act: Callable[[int], None]) -> float:
    """Call `act` with the number of each moment when it has come; nothing the server does delays the next.

    Returns by how many seconds the load generator was late at worst: what is slower than that is not its fault.
    """
    loop = asyncio.get_running_loop()
    began, latest = loop.time(), 0.0
    for number, moment in enumerate(moments):
        wait = moment - (loop.time() - began)
        if wait > 0:
            await asyncio.sleep(wait)
        latest = max(latest, loop.time() - began - moment)
        act(number)
    return latest
