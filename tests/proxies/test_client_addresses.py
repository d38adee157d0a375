"""Limits by address are each client's own behind a named proxy, whatever it writes, and whatever the client claims."""

from __future__ import annotations

import itertools

from tests.proxies.conftest import PRODUCTION
from tests.proxies.fronts import Front
from tests.proxies.notations import ADDRESSES

MOST = int(PRODUCTION["LIMIT_LOOKUPS_ADDRESS"].split()[0])
_numbers = itertools.count(2)


async def looked_up(front: Front, notation: str, number: int, times: int) -> list[int]:
    """Answers to look-ups of rooms that are not there, by client `number`, who claims another address each time."""
    statuses: list[int] = []
    async with front.session(f"127.0.1.{number}") as session:
        for time in range(times):
            claim = f"198.51.100.{time}"
            headers = {"X-Forwarded-For": claim, "Forwarded": f'for="{claim}:1"', "X-Real-IP": claim}
            path = f"/for-{notation}/api/rooms/code/aaa-bbbb-ccc"
            async with session.get(path, headers=headers) as response:
                statuses.append(response.status)
    return statuses


async def test_every_notation_of_the_address(front: Front) -> None:
    for notation in ADDRESSES[front.kind]:
        loud, quiet = next(_numbers), next(_numbers)
        assert await looked_up(front, notation, loud, MOST + 1) == [404] * MOST + [429], notation
        assert await looked_up(front, notation, quiet, 1) == [404], notation
