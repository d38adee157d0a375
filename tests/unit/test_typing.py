"""Typing indicators run out by themselves, once, and not before their time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from neuron_meet.signaling.typing import TYPING_SECONDS, TypingIndicators

SHORT = 0.05
DEADLINE = 60.0
CLOCK = 0.002
"""Timers and the loop's clock count whole milliseconds, each rounded by itself."""


class Expiries:
    """Who ran out, in order and when; `after(n)` waits for the n-th."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, sid: str) -> None:
        self.seen.append((sid, asyncio.get_running_loop().time()))
        task = asyncio.create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def after(self, count: int) -> list[str]:
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: len(self.seen) >= count)
        return [sid for sid, _ in self.seen]


async def at(moment: float) -> None:
    """Wait until the loop's clock shows `moment`, by a timer of its own."""
    reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_at(moment, reached.set_result, None)
    await reached


def test_the_contracts_three_seconds() -> None:
    assert TYPING_SECONDS == 3.0


async def test_an_indicator_runs_out_once() -> None:
    expiries = Expiries()
    indicators = TypingIndicators(expiries, SHORT)
    started = asyncio.get_running_loop().time()
    indicators.start("a")
    assert indicators.count == 1
    assert await expiries.after(1) == ["a"]
    assert expiries.seen[0][1] - started >= SHORT - CLOCK
    assert indicators.count == 0
    assert indicators.stop("a") is False
    indicators.start("b")  # whoever comes later runs out later: had "a" another timer, it would be seen here
    assert await expiries.after(2) == ["a", "b"]


async def test_a_new_start_moves_the_end() -> None:
    loop, expiries = asyncio.get_running_loop(), Expiries()
    indicators = TypingIndicators(expiries, SHORT)
    for _ in range(5):
        indicators.start("a")
        last = loop.time()
        await at(last + SHORT * 0.4)  # not a fraction that meets the end of an earlier one
    # A slow machine may have let it run out in between; never is the last start cut short.
    await expiries.after(1)
    while not any(moment >= last + SHORT - CLOCK for _, moment in expiries.seen):
        await expiries.after(len(expiries.seen) + 1)
    assert not any(last < moment < last + SHORT - CLOCK for _, moment in expiries.seen)
    assert indicators.count == 0


async def test_one_timer_however_fast_somebody_types() -> None:
    loop, expiries = asyncio.get_running_loop(), Expiries()
    timers: list[float] = []
    indicators = TypingIndicators(expiries, 60)
    original: Callable[..., asyncio.TimerHandle] = loop.call_later

    def counted(delay: float, *rest: object) -> asyncio.TimerHandle:
        timers.append(delay)
        return original(delay, *rest)

    loop.call_later = counted  # type: ignore[method-assign]
    try:
        for _ in range(100):
            indicators.start("a")
    finally:
        del loop.call_later  # type: ignore[method-assign]
    assert timers == [60]
    assert indicators.stop("a")


async def test_a_stop_ends_it_and_nothing_runs_out() -> None:
    expiries = Expiries()
    indicators = TypingIndicators(expiries, SHORT)
    indicators.start("a")
    indicators.start("b")
    assert indicators.stop("a") is True
    assert indicators.stop("a") is False
    assert await expiries.after(1) == ["b"]
    indicators.start("c")
    assert await expiries.after(2) == ["b", "c"]


async def test_whoever_runs_out_may_start_again_at_once() -> None:
    expiries = Expiries()

    def again(sid: str) -> None:
        expiries(sid)
        if len(expiries.seen) < 3:
            indicators.start(sid)

    indicators = TypingIndicators(again, 0.01)
    indicators.start("a")
    assert await expiries.after(3) == ["a"] * 3
    assert indicators.count == 0
