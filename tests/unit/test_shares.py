"""What one address may bring in a turn of the event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from neuron_meet.shares import A_TURN, Share, Shares


class Turns:
    """Counts turns of the loop."""

    def __init__(self) -> None:
        self.number = 0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.number += 1
        asyncio.get_running_loop().call_soon(self._next)


def bringing(share: Share, frames: int, turns: Turns, handled: dict[int, int]) -> Callable[[], object]:
    """Handles so many frames, one at a time, as a connection does: those over the share in a later turn."""
    left = frames

    def go() -> None:
        nonlocal left
        while left:
            if share.used >= share.limit and share.is_out():
                share.wait(go)
                return
            share.used += 1
            left -= 1
            handled[turns.number] = handled.get(turns.number, 0) + 1

    return go


async def test_all_connections_of_an_address_have_one_share() -> None:
    """However many they are; all that they bring is handled, in order, and others have their turns between."""
    share, turns, handled = Share(), Turns(), dict[int, int]()
    for _ in range(50):
        asyncio.get_running_loop().call_soon(bringing(share, 1_000, turns, handled))
    while sum(handled.values()) < 50_000:
        await asyncio.sleep(0)
    assert max(handled.values()) <= 2 * A_TURN, "the first turn is the one in which it is noticed"
    assert sorted(handled.values())[-2] <= A_TURN
    assert share.waiting == 0


async def test_a_share_that_is_used_slowly_is_never_out() -> None:
    """What comes over many turns is handled at once, and no callback goes on when there is nothing to be counted."""
    share = Share()
    for _ in range(40):
        for _ in range(A_TURN // 4):
            share.used += 1
            assert not (share.used >= share.limit and share.is_out())
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not share._counts_turns


async def test_who_waits_has_the_turn_in_which_they_came() -> None:
    share = Share()
    came: list[int] = []

    async def ask(number: int) -> None:
        await share.turn(A_TURN // 2)
        came.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(20)]
    await asyncio.sleep(0)
    assert len(came) < 20
    tasks[10].cancel()
    await asyncio.wait(tasks)
    assert came == [number for number in range(20) if number != 10]
    assert share.waiting == 0


async def test_addresses_have_shares_of_their_own_for_as_long_as_they_are_there() -> None:
    shares = Shares()
    one, other = shares.of("203.0.113.9"), shares.of("203.0.113.10")
    assert shares.of("203.0.113.9") is one is not other
    assert shares.of("2001:db8:1:2::3") is shares.of("2001:db8:1:ffff::1"), "of IPv6 a customer's network"
    del one, other
    gc.collect()
    assert shares.keys == 3, "for a moment: who asks at every request gets the same"
    shares._recent.clear()
    gc.collect()
    assert shares.keys == 0


@pytest.mark.parametrize("cost", [1, 16, 10 * A_TURN])
async def test_something_of_any_cost_has_its_turn(cost: int) -> None:
    share = Share()
    async with asyncio.timeout(30):
        await asyncio.gather(*(share.turn(cost) for _ in range(200)))
