"""What all nodes count together: who asked how often. Where Redis does not answer soon, each node counts alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge

from neuron_meet.cluster.keys import hashed
from neuron_meet.cluster.link import Link
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.rates import Rate

T = TypeVar("T")

PATIENCE_SECONDS = 0.5
"""Nobody waits longer for a count: a limit must not be what makes a slow Redis felt."""
REST_SECONDS = 1.0
"""After Redis has not answered it is not asked for so long."""


class Counts:
    """Counters in Redis. Every question raises PresenceUnavailable where Redis does not answer in time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._rests_until = 0.0

    async def take(self, what: str, rate: Rate, key: str) -> bool:
        """Take a token of the bucket that all nodes have for `key`; False where there is none.

        Raises PresenceUnavailable.
        """
        bucket = [self._link.keys.bucket(what, key)]
        return bool(
            await self.ask(lambda: self._link.take_from_bucket(bucket, [rate.count, rate.seconds * 1000]))
        )

    def windows(self, what: str) -> SharedWindows:
        """Moving windows of all nodes, for the limit named `what`."""
        return SharedWindows(self, self._link, what)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer to `question`. Raises PresenceUnavailable."""
        if time.monotonic() < self._rests_until:
            raise PresenceUnavailable
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._link.within(question())
        except (PresenceUnavailable, TimeoutError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise PresenceUnavailable from error


class SharedWindows:
    """Moving windows in Redis, by the `limits` library's own storage. Windows are by the nodes' clocks."""

    def __init__(self, counts: Counts, link: Link, what: str) -> None:
        self._counts = counts
        self._storage = _Storage(link, link.keys.windows(what))

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Put `amount` entries into the window; False, and none, beyond `limit`. Raises PresenceUnavailable."""
        return await self._counts.ask(lambda: self._storage.acquire_entry(hashed(key), limit, expiry, amount))

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the window's oldest entry and the number of entries. Raises PresenceUnavailable."""
        return await self._counts.ask(lambda: self._storage.get_moving_window(hashed(key), limit, expiry))


class _Storage(RedisStorage):
    """The library's storage, on the link's own client: each of its windows is one key, so any Redis will do."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._client = link.redis
        super().__init__("redis://", implementation="redispy", key_prefix=prefix)

    def configure_bridge(self) -> None:
        """Use that client. Called by the library."""
        bridge = cast("RedispyBridge", self.bridge)
        bridge.storage = self._client
        bridge.connection_getter = lambda _: self._client
