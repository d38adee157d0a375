"""How fast the requests of one address are handled. Who asks faster is not refused, but waits.

A request that is valid and small costs its sender nothing and this process a fifth of a millisecond, which is most of
what a packet of a meeting costs: without a pace one sender has all of the process's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from neuron_meet.rates import Buckets, Rate
from neuron_meet.shares import Shares

FRAMES_A_REQUEST = 16
"""A request takes as long as so many frames, 0.2 to 0.6 ms."""


class Pace:
    """Lets `rate.count` requests of an address pass at once, and further ones at `rate`, each in its turn; a few of an
    address in a turn of the event loop (shares.py).

    aiohttp reads no further than 32 requests ahead of the one that waits, so a connection's sender waits as well; how
    many wait is bounded by the connections of an address (ceilings.py).
    """

    def __init__(
        self, rate: Rate | None, shares: Shares | None = None, shared: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`rate` None: as fast as they come. `shared` tells whether many clients have an address, such as a proxy's,
        for which there is no rate.
        """
        self._shares = shares
        self._buckets = None if rate is None else Buckets(rate)
        self._shared = shared
        self.waiting = 0
        """How many requests wait for their turn."""

    def keep(self, address: str) -> Awaitable[None] | None:
        """None where a request of `address` may be handled now, as most may; else what ends when it may."""
        seconds = 0.0 if self._buckets is None else self._buckets.charge(address)
        if seconds and not self._shared(address):
            return self._wait(address, seconds)
        if self._shares is None:
            return None
        share = self._shares.of(address)
        return None if share.take(FRAMES_A_REQUEST) else share.turn(FRAMES_A_REQUEST)

    async def _wait(self, address: str, seconds: float) -> None:
        self.waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.waiting -= 1
        if self._shares is not None:
            await self._shares.of(address).turn(FRAMES_A_REQUEST)


UNPACED = Pace(None)
"""Lets everything pass."""
