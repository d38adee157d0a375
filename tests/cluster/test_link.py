"""Commands to a real Redis: few connections for many at once, and an end for each of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from local_cluster.redis import Redis
from neuron_meet.cluster.link import MOST_AT_ONCE, Link
from neuron_meet.errors import PresenceUnavailable

MANY = 20 * MOST_AT_ONCE


@pytest.fixture
async def link(server: Redis) -> AsyncIterator[Link]:
    link = Link(server.url)
    yield link
    await link.close()


async def connections(link: Link) -> int:
    return int((await link.redis.execute_command("INFO", "clients"))["connected_clients"])


async def test_many_commands_at_once_share_a_few_connections(link: Link) -> None:
    counted = await asyncio.gather(*(link.do("INCR", "n") for _ in range(MANY)))
    assert sorted(counted) == list(range(1, MANY + 1))
    assert await connections(link) <= MOST_AT_ONCE + 1


async def test_scripts_and_messages_wait_their_turn_as_well(link: Link) -> None:
    turns = [link.take_turn([f"turn:{n}", "state"], ["mine", 60_000]) for n in range(MANY // 2)]
    told = [link.publish([("channel", b"word")]) for _ in range(MANY // 2)]
    await asyncio.gather(*turns, *told)
    assert await connections(link) <= MOST_AT_ONCE + 1


async def test_all_end_when_redis_hangs_and_all_is_well_afterwards(server: Redis, link: Link) -> None:
    await link.do("PING")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ends = await asyncio.gather(*(link.do("INCR", "n") for _ in range(MANY)), return_exceptions=True)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert {type(end) for end in ends} == {PresenceUnavailable}
    ends = await asyncio.gather(*(link.do("INCR", "m") for _ in range(MANY)))
    assert sorted(ends) == list(range(1, MANY + 1))
    assert await connections(link) <= 2 * MOST_AT_ONCE + 1  # Redis may not have looked at those given up yet
