"""Limits on requests: moving windows, counted exactly, in bounded memory, with nothing running behind."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from neuron_meet.errors import INVALID_CREDENTIALS, UNAVAILABLE, Refused, refuse
from neuron_meet.rates import Counted, Rate, counted
from neuron_meet.rest.limits import FailureLimit, RequestLimit, TooManyRequests
from neuron_meet.rest.windows import WindowMemory

THREE_A_MINUTE = Rate.parse("3 per minute")


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_795_420_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def refused_for(limit: RequestLimit, key: str = "a") -> int | None:
    """Whole seconds until another try is worth it; None when this one was let through."""
    try:
        await limit.take(Counted(key))
    except TooManyRequests as refused:
        return refused.retry_after
    return None


async def test_so_many_in_a_moving_window(clock: Clock) -> None:
    limit = RequestLimit(THREE_A_MINUTE, clock)
    for _ in range(3):
        assert await refused_for(limit) is None
        clock.now += 10
    assert await refused_for(limit) == 30, "the first leaves the window a minute after it came"
    assert await refused_for(limit, "b") is None, "another key is another matter"
    clock.now += 30.5
    assert await refused_for(limit) is None
    assert await refused_for(limit) == 10, "9.5 s, in whole seconds that are not too few"


async def test_what_is_refused_does_not_count(clock: Clock) -> None:
    limit = RequestLimit(THREE_A_MINUTE, clock)
    for _ in range(3):
        await limit.take(Counted("a"))
    for _ in range(100):
        clock.now += 0.5
        assert await refused_for(limit) is not None
    clock.now += 10.5
    assert [await refused_for(limit) for _ in range(3)] == [None] * 3


async def test_no_rate_is_no_limit() -> None:
    limit = RequestLimit(None)
    assert [await refused_for(limit) for _ in range(1000)] == [None] * 1000
    failures = FailureLimit(None, INVALID_CREDENTIALS)
    for _ in range(1000):
        with pytest.raises(Refused) as refused:
            async with failures.attempt(Counted("a")):
                raise Refused(INVALID_CREDENTIALS)
        assert not isinstance(refused.value, TooManyRequests)


async def fail(limit: FailureLimit, key: str = "a") -> bool:
    """Whether an attempt was let through, to fail."""
    try:
        async with limit.attempt(Counted(key)):
            refuse(INVALID_CREDENTIALS)
    except TooManyRequests:
        return False
    except Refused:
        return True
    raise AssertionError("it was neither tried nor refused")


async def test_only_failures_count(clock: Clock) -> None:
    limit = FailureLimit(THREE_A_MINUTE, INVALID_CREDENTIALS, clock)
    for _ in range(20):
        async with limit.attempt(Counted("a")):
            pass
        with pytest.raises(TimeoutError):
            async with limit.attempt(Counted("a")):
                raise TimeoutError
        with pytest.raises(Refused):
            async with limit.attempt(Counted("a")):
                raise Refused(UNAVAILABLE)
    assert [await fail(limit) for _ in range(5)] == [True] * 3 + [False] * 2
    async with limit.attempt(Counted("b")) as attempt:
        attempt.failed = True
    assert [await fail(limit, "b") for _ in range(3)] == [True] * 2 + [False]
    clock.now += 61
    assert await fail(limit)


async def test_attempts_at_the_same_time_are_counted_exactly(clock: Clock) -> None:
    """A hundred tries that begin before the first has ended are three tries."""
    limit = FailureLimit(THREE_A_MINUTE, INVALID_CREDENTIALS, clock)
    go = asyncio.Event()
    entered = 0

    async def attempt() -> None:
        nonlocal entered
        async with limit.attempt(Counted("a")):
            entered += 1
            await go.wait()
            raise Refused(INVALID_CREDENTIALS)

    tries = [asyncio.create_task(attempt()) for _ in range(100)]
    done, waiting = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    assert (entered, len(waiting)) == (3, 3)
    for each in done:
        error = each.exception()
        assert isinstance(error, TooManyRequests)
        assert error.retry_after == 1, "they may succeed yet: nothing in the window is full"
    go.set()
    await asyncio.wait(waiting)
    assert not await fail(limit)
    clock.now += 61
    assert await fail(limit)


async def test_memory_is_bounded_and_windows_that_are_over_are_forgotten(clock: Clock) -> None:
    memory = WindowMemory(clock, most_keys=3)
    for key in ("a", "b", "c", "a"):
        assert await memory.acquire_entry(key, 10, 60)
        clock.now += 1
    clock.now += 57.5  # b's is over
    assert await memory.acquire_entry("d", 10, 60)
    counts = {key: (await memory.get_moving_window(key, 10, 60))[1] for key in "abcd"}
    assert counts == {"a": 1, "b": 0, "c": 1, "d": 1}
    assert await memory.reset() == 3
    assert (await memory.get_moving_window("a", 10, 60))[1] == 0


async def test_nobody_has_a_window_forgotten_by_making_others(clock: Clock) -> None:
    memory = WindowMemory(clock, most_keys=3)
    assert [await memory.acquire_entry("a", 1, 60) for _ in range(2)] == [True, False]
    for number in range(2000):  # as many strangers as one likes
        await memory.acquire_entry(f"stranger {number}", 1, 60)
        clock.now += 0.01
    assert not await memory.acquire_entry("a", 1, 60)
    assert await memory.reset() <= 3 + 256, "strangers share what there is beyond"


async def test_what_is_to_somebodys_advantage_is_forgotten_and_not_shared(clock: Clock) -> None:
    memory = WindowMemory(clock, most_keys=3, forgets=True)
    for key in ("a", "b", "c", "a", "d"):
        assert await memory.acquire_entry(key, 10, 60)
    counts = {key: (await memory.get_moving_window(key, 10, 60))[1] for key in "abcde"}
    assert counts == {"a": 2, "b": 0, "c": 1, "d": 1, "e": 0}


async def test_a_request_counts_for_the_networks_around_it_too(clock: Clock) -> None:
    """Of a /56 four times as much as of a /64, of a /48 sixteen times."""
    limit = RequestLimit(THREE_A_MINUTE, clock)

    async def let_through(networks: Iterable[str], times: int = 3) -> int:
        done = 0
        for network in networks:
            for _ in range(times):
                try:
                    await limit.take(*counted(network))
                except TooManyRequests as refused:
                    assert 1 <= refused.retry_after <= 60
                else:
                    done += 1
        return done

    assert await let_through(f"2001:db8:0:{n:x}::1" for n in range(256)) == 12, "all of one /56"
    assert await let_through(f"2001:db8:0:{n << 8:x}::1" for n in range(1, 256)) == 48 - 12, "all of one /48"
    assert await let_through(f"2001:db8:1:{n:x}::1" for n in range(4)) == 12, "its neighbour has its own"
    clock.now += 61
    assert await let_through(["2001:db8:0:77::1"], 4) == 3, "a refusal has counted nowhere"


async def test_failures_count_for_the_networks_around_it_too(clock: Clock) -> None:
    limit = FailureLimit(THREE_A_MINUTE, INVALID_CREDENTIALS, clock)
    failed = 0
    for number in range(64):
        try:
            async with limit.attempt(*counted(f"2001:db8:0:{number:x}::1")):
                refuse(INVALID_CREDENTIALS)
        except TooManyRequests:
            pass
        except Refused:
            failed += 1
    assert failed == 12
    assert not limit._trying


async def test_a_key_is_cleared(clock: Clock) -> None:
    memory = WindowMemory(clock)
    assert await memory.acquire_entry("a", 1, 60)
    assert not await memory.acquire_entry("a", 1, 60)
    await memory.clear("a")
    assert await memory.acquire_entry("a", 1, 60)


async def test_nothing_runs_behind() -> None:
    """The library's own memory storage starts a task at every hit, and a thread for each of its keys."""
    before = asyncio.all_tasks(), threading.active_count()
    limit = RequestLimit(THREE_A_MINUTE)
    for number in range(1000):
        await limit.take(Counted(str(number)))
        assert asyncio.all_tasks() == before[0]
    assert threading.active_count() == before[1]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 40)), max_size=60), st.integers(1, 5))
async def test_windows_agree_with_a_plain_model(steps: list[tuple[str, float]], most: int) -> None:
    clock = Clock()
    limit = RequestLimit(Rate.parse(f"{most} per minute"), clock)
    model: dict[str, deque[float]] = {"a": deque(), "b": deque()}
    for key, pause in steps:
        clock.now += pause
        while model[key] and model[key][0] < clock.now - 60:
            model[key].popleft()
        let_through = len(model[key]) < most
        if let_through:
            model[key].append(clock.now)
        retry_after = await refused_for(limit, key)
        assert (retry_after is None) == let_through
        assert retry_after is None or 1 <= retry_after <= 60
