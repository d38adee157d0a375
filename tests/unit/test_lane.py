"""A connection's lane: what waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from neuron_meet.signaling.lane import LONGEST_LANE, Lane


class Steps:
    """Steps that wait until they are told to go on, and the order in which they began and ended."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self._began: dict[str, asyncio.Event] = {}

    def step(self, name: str) -> Callable[[], Awaitable[None]]:
        door, began = self._doors[name], self._began[name] = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            self.log.append(f"{name} begins")
            began.set()
            await door.wait()
            self.log.append(f"{name} ends")

        return run

    async def began(self, name: str) -> None:
        async with asyncio.timeout(60):
            await self._began[name].wait()

    def go_on(self, name: str) -> None:
        self._doors[name].set()


async def test_steps_run_one_after_the_other_in_the_order_in_which_they_came() -> None:
    lane, steps = Lane(), Steps()
    assert not lane.busy
    for name in ("a", "b", "c"):
        lane.add(steps.step(name), holds=False)
    assert lane.busy
    for name in ("c", "b", "a"):  # they are let through in another order
        steps.go_on(name)
    done = asyncio.Event()

    async def last() -> None:
        done.set()

    lane.add(last, holds=False)
    async with asyncio.timeout(60):
        await done.wait()
    assert steps.log == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]


async def test_what_comes_next_is_held_until_the_last_join_is_over() -> None:
    lane, steps = Lane(), Steps()
    assert not lane.held
    lane.add(steps.step("join"), holds=True)
    lane.add(steps.step("leave"), holds=True)
    lane.add(steps.step("chat"), holds=False)
    await steps.began("join")
    assert lane.held
    steps.go_on("join")
    await steps.began("leave")
    assert lane.held
    steps.go_on("leave")
    await steps.began("chat")
    assert not lane.held
    assert lane.busy
    steps.go_on("chat")


async def test_a_step_that_breaks_ends_only_itself() -> None:
    lane, done = Lane(), asyncio.Event()

    async def broken() -> None:
        raise ValueError("broken on purpose")

    async def last() -> None:
        assert not lane.held
        done.set()

    lane.add(broken, holds=True)
    lane.add(last, holds=False)
    async with asyncio.timeout(60):
        await done.wait()


async def test_a_lane_that_ran_empty_takes_new_steps() -> None:
    lane = Lane()
    for _ in range(3):
        done = asyncio.Event()

        async def step(done: asyncio.Event = done) -> None:
            done.set()

        lane.add(step, holds=False)
        async with asyncio.timeout(60):
            await done.wait()
    assert not lane.held


async def test_a_lane_is_full_at_its_limit_and_no_longer_when_one_is_through() -> None:
    lane, steps = Lane(), Steps()
    lane.add(steps.step("first"), holds=False)
    await steps.began("first")
    for n in range(LONGEST_LANE):
        assert not lane.full
        lane.add(steps.step(str(n)), holds=False)
    assert lane.full
    steps.go_on("first")
    await steps.began("0")
    assert not lane.full
    for n in range(LONGEST_LANE):
        steps.go_on(str(n))
