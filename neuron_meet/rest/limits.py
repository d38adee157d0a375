"""Limits on requests: so many of one key, such as an address, in a moving window. By the library `limits`."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from limits import RateLimitItem
from limits.aio.strategies import MovingWindowRateLimiter

from neuron_meet.errors import TOO_MANY_REQUESTS, Refusal, Refused
from neuron_meet.rates import Counted, Rate
from neuron_meet.rest.windows import ClusterWindows, WindowMemory, Windows

Shared = Callable[[str], Windows]
"""The windows that all nodes share for the limit of that name."""


class TooManyRequests(Refused):
    """Refused for going too fast (`TOO_MANY_REQUESTS`). Worth another try after `retry_after` whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(TOO_MANY_REQUESTS)
        self.retry_after = retry_after


class RequestLimit:
    """At most `rate` requests of a key. `rate` None sets no limit; `clock` is in Unix seconds.

    A refused request does not count, so a client that keeps knocking gets in again as soon as another would.
    Counted by this process alone, or by all nodes in `shared` windows.
    """

    def __init__(
        self,
        rate: Rate | None,
        clock: Callable[[], float] = time.time,
        shared: Windows | None = None,
        *,
        forgets: bool = False,
    ) -> None:
        """`forgets`: as in :class:`~neuron_meet.rest.windows.WindowMemory`."""
        self._rate = rate
        self._items: dict[int, RateLimitItem] = {}
        self._clock = clock
        windows = (
            WindowMemory(clock, forgets=forgets)
            if shared is None
            else ClusterWindows(shared, clock, forgets=forgets)
        )
        self._limiter = MovingWindowRateLimiter(windows)

    async def take(self, *keys: Counted) -> None:
        """Count a request for each of `keys`, the narrowest first, such as those of an address (rates.py).

        Raises :class:`TooManyRequests`.
        """
        if self._rate is None:
            return
        narrowest, *wider = keys
        for key in reversed(wider):  # the widest first: a network that is out makes no new entries
            if not await self.has_room(key):
                raise TooManyRequests(await self._retry_after(key))
        if not await self._hit(narrowest):
            raise TooManyRequests(await self._retry_after(narrowest))
        for key in wider:
            await self._hit(key)

    async def has_room(self, key: Counted, count: int = 1) -> bool:
        """Whether `count` more would be within the limit now. Counts nothing."""
        return self._rate is None or await self._limiter.test(self._item(key), key.key, cost=count)

    async def refuse_if_full(self, *keys: Counted) -> None:
        """Raises :class:`TooManyRequests` where a request of `keys` would be refused now. Counts nothing."""
        for key in keys:
            if not await self.has_room(key):
                raise TooManyRequests(await self._retry_after(key))

    async def _hit(self, key: Counted) -> bool:
        return await self._limiter.hit(self._item(key), key.key)

    def _item(self, key: Counted) -> RateLimitItem:
        """The limit of a key, as the library has it."""
        assert self._rate is not None  # noqa: S101 -- looked at before
        item = self._items.get(key.times)
        if item is None:
            item = self._items[key.times] = self._rate.times(key.times).item
        return item

    async def _retry_after(self, key: Counted) -> int:
        """Whole seconds until the oldest of the window leaves it; 1 where only unfinished ones are in the way."""
        if self._rate is None:
            return 1
        window = await self._limiter.get_window_stats(self._item(key), key.key)
        return max(1, math.ceil(window.reset_time - self._clock())) if window.remaining <= 0 else 1


@dataclass(slots=True)
class Attempt:
    """Something that is being tried. Set `failed` to have it count."""

    failed: bool = False


class FailureLimit(RequestLimit):
    """At most `rate` failures of a key; what succeeds, or cannot be decided, does not count.

    Exact when many are tried at once: an attempt in progress is taken for a failure until it has ended. (With
    `shared` windows that holds at each node: n nodes may let in as many at once as n limits have room for.)
    """

    def __init__(
        self,
        rate: Rate | None,
        failure: Refusal,
        clock: Callable[[], float] = time.time,
        shared: Windows | None = None,
    ) -> None:
        """`failure`: the refusal that makes an attempt count."""
        super().__init__(rate, clock, shared)
        self._failure = failure
        self._trying: Counter[str] = Counter()

    @asynccontextmanager
    async def attempt(self, *keys: Counted) -> AsyncGenerator[Attempt]:
        """Let the block be tried for each of `keys`. Raises :class:`TooManyRequests` instead of entering it."""
        attempt = Attempt()
        self._trying.update(key.key for key in keys)
        try:
            for key in reversed(keys):
                if not await self.has_room(key, self._trying[key.key]):
                    raise TooManyRequests(await self._retry_after(key))
            try:
                yield attempt
            except Refused as refused:
                attempt.failed = refused.refusal == self._failure
                raise
            finally:
                # Counted before it stops being in progress: no moment is left in which it is neither.
                if attempt.failed and self._rate is not None:
                    for key in keys:
                        await self._hit(key)
        finally:
            for key in keys:
                self._trying[key.key] -= 1
                if not self._trying[key.key]:
                    del self._trying[key.key]
