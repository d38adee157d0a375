"""Limits that all nodes count together, on a real Redis; each node alone where Redis is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from local_cluster.redis import Redis
from neuron_meet.auth.limits import SignInLimits
from neuron_meet.cluster.counts import Counts
from neuron_meet.cluster.link import Link
from neuron_meet.errors import INVALID_CREDENTIALS, PresenceUnavailable, Refused, refuse
from neuron_meet.rates import Counted, Rate
from neuron_meet.rest.limits import FailureLimit, RequestLimit, TooManyRequests
from neuron_meet.settings import Settings
from neuron_meet.signaling.limits import EventLimits


@pytest.fixture
async def counts(server: Redis) -> AsyncIterator[list[Counts]]:
    """Three nodes' counts."""
    links = [Link(server.url) for _ in range(3)]
    yield [Counts(link) for link in links]
    for link in links:
        await link.close()


async def granted(limits: list[RequestLimit], key: str, times: int) -> int:
    """How many of so many requests of a key are let through, by the nodes in turn."""
    count = 0
    for number in range(times):
        try:
            await limits[number % len(limits)].take(Counted(key))
        except TooManyRequests as refused:
            assert 1 <= refused.retry_after <= 60
        else:
            count += 1
    return count


async def test_requests_are_counted_at_all_nodes(counts: list[Counts]) -> None:
    limits = [RequestLimit(Rate.parse("5 per minute"), shared=node.windows("a")) for node in counts]
    others = [RequestLimit(Rate.parse("5 per minute"), shared=node.windows("b")) for node in counts]
    assert await granted(limits, "192.0.2.1", 12) == 5
    assert await granted(limits, "192.0.2.2", 12) == 5, "another address is another matter"
    assert await granted(others, "192.0.2.1", 12) == 5, "another limit with the same rate is another matter"


async def test_failed_sign_ins_are_counted_at_all_nodes(counts: list[Counts]) -> None:
    settings = Settings(
        limit_login_account=Rate.parse("3 per minute"), limit_login_address=Rate.parse("9 per minute")
    )
    limits = [SignInLimits(settings, shared=node.windows) for node in counts]

    async def fails(node: int, address: str) -> bool:
        """Whether a wrong password is looked at."""
        try:
            async with limits[node].sign_in("ada@example.com", address):
                refuse(INVALID_CREDENTIALS)
        except TooManyRequests:
            return False
        except Refused:
            return True

    assert [await fails(node % 3, f"192.0.2.{node}") for node in range(5)] == [True] * 3 + [False] * 2


async def test_joins_and_connections_of_an_address(counts: list[Counts]) -> None:
    settings = Settings(
        limit_joins_address=Rate.parse("6 per hour"), limit_connections_address=Rate.parse("4 per hour")
    )
    limits = [EventLimits(settings, node) for node in counts]
    joins = [await limits[n % 3].allow_join_anywhere("2001:db8::1") for n in range(9)]
    assert joins == [True] * 6 + [False] * 3
    at_once = await asyncio.gather(*(limits[n % 3].allow_connection_anywhere("192.0.2.1") for n in range(30)))
    assert sum(at_once) == 4
    assert not await limits[0].allow_join_anywhere("2001:db8::ffff"), "the same network"
    off = EventLimits(settings.model_copy(update={"rate_limit_enabled": False}), counts[0])
    assert all([await off.allow_join_anywhere("2001:db8::1") for _ in range(9)])


async def test_a_bucket_fills_again(counts: list[Counts]) -> None:
    rate = Rate.parse("1000 per second")
    taken = [await counts[0].take("x", rate, "a") for _ in range(1500)]
    assert taken.count(True) > 1000  # so many from the start, and what has come since
    slow = Rate.parse("2 per day")
    assert [await counts[n].take("y", slow, "a") for n in range(3)] == [True, True, False]


async def test_without_redis_each_node_counts_alone(server: Redis, counts: list[Counts]) -> None:
    limits = [RequestLimit(Rate.parse("5 per minute"), shared=node.windows("a")) for node in counts]
    assert await granted(limits, "192.0.2.1", 12) == 5
    await server.stop()
    assert await granted(limits, "192.0.2.1", 30) == 15, "five at each of three nodes"
    events = EventLimits(Settings(), counts[0])
    assert await events.allow_join_anywhere("192.0.2.1"), "this node's own limit stands before"
    await server.start()
    async with asyncio.timeout(60):
        while True:  # the pause after which Redis is asked again
            try:
                await counts[0].take("x", Rate.parse("5 per minute"), "a")
            except PresenceUnavailable:
                await asyncio.sleep(0.05)
            else:
                break


async def test_a_redis_that_hangs_is_waited_for_once(server: Redis, counts: list[Counts]) -> None:
    limit = FailureLimit(Rate.parse("5 per minute"), INVALID_CREDENTIALS, shared=counts[0].windows("a"))
    await limit.take(Counted("a"))
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):  # waiting for each of them would take 25 s
            assert [await limit.has_room(Counted("a")) for _ in range(50)] == [True] * 50
    finally:
        os.kill(server.pid, signal.SIGCONT)
