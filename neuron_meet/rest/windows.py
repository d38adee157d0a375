"""Where it is remembered who asked how often, by this process or by all nodes: storages for the `limits` library."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Protocol

from limits.aio.storage import MemoryStorage

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.rates import is_overflow, overflow_key

MOST_KEYS = 50_000
"""Keys remembered at most, about 20 MB; beyond, those are forgotten whose windows are over."""


class WindowMemory(MemoryStorage):
    """Moving windows in memory: no task, no thread, and work that does not grow with the number of keys.

    The library's own memory storage sweeps over all keys at every hit, each by way of a thread: 2 s of CPU time
    for a single hit among 20,000 addresses (measured, limits 5.8.0), so that the limit would be the attack. Its
    counters, which other strategies use, are left as they are. `clock` is in Unix seconds, as in the library.

    Beyond `most_keys` the longest unused key is forgotten if its window is over. While all windows are running, new
    keys share a few (:func:`~neuron_meet.rates.overflow_key`), so that nobody can have a window forgotten by making
    many others. Where `forgets`, the longest unused one goes in any case: for what is to somebody's
    advantage, and would be everybody's if it were shared.
    """

    STORAGE_SCHEME = ["async+windows"]  # noqa: RUF012 (the library's attribute; "async+memory" stays the library's own)

    def __init__(
        self, clock: Callable[[], float] = time.time, most_keys: int = MOST_KEYS, *, forgets: bool = False
    ) -> None:
        super().__init__()
        self._forgets = forgets
        self._clock = clock
        self._most_keys = most_keys
        self._windows: dict[str, list[float]] = {}

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Put `amount` entries into the window of `expiry` seconds; False, and none, beyond `limit`."""
        now = self._clock()
        key = self._place(key, now - expiry)
        window = self._recent(key, now - expiry)
        if len(window) + amount > limit:
            return False
        if key not in self._windows and len(self._windows) >= self._most_keys and not is_overflow(key):
            del self._windows[next(iter(self._windows))]
        self._windows.pop(key, None)
        self._windows[key] = [*window, *[now] * amount]  # last, because just used
        return True

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest entry in the window (now, where there is none) and the number of entries."""
        now = self._clock()
        window = self._recent(self._place(key, now - expiry), now - expiry)
        return (window[0] if window else now), len(window)

    async def clear(self, key: str) -> None:
        """Forget the key."""
        self._windows.pop(key, None)
        await super().clear(key)

    async def reset(self) -> int | None:
        """Forget all keys. Returns how many there were."""
        count = len(self._windows)
        self._windows.clear()
        await super().reset()
        return count

    def _place(self, key: str, since: float) -> str:
        """The key under which `key` is counted."""
        windows = self._windows
        if key in windows or len(windows) < self._most_keys or self._forgets:
            return key
        return overflow_key(key) if windows[next(iter(windows))][-1] >= since else key

    def _recent(self, key: str, since: float) -> list[float]:
        """The entries of the key from `since` on, oldest first; a key without any is forgotten."""
        window = self._windows.get(key, [])
        recent = window[bisect_left(window, since) :] if window and window[0] < since else window
        if not recent:
            self._windows.pop(key, None)
        return recent


class Windows(Protocol):
    """Moving windows that all nodes share. Both raise PresenceUnavailable where they are out of reach."""

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """As :meth:`WindowMemory.acquire_entry`."""
        ...

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """As :meth:`WindowMemory.get_moving_window`."""
        ...


class ClusterWindows(WindowMemory):
    """The windows of all nodes; this process's own for as long as those are out of reach.

    So a limit neither opens nor shuts when Redis goes: each node grants it by itself meanwhile.
    """

    STORAGE_SCHEME = ["async+cluster-windows"]  # noqa: RUF012 (the library's attribute)

    def __init__(
        self, shared: Windows, clock: Callable[[], float] = time.time, *, forgets: bool = False
    ) -> None:
        super().__init__(clock, forgets=forgets)
        self._shared = shared

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """As in the base class, at all nodes."""
        try:
            return await self._shared.acquire_entry(key, limit, expiry, amount)
        except PresenceUnavailable:
            return await super().acquire_entry(key, limit, expiry, amount)

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """As in the base class, at all nodes."""
        try:
            return await self._shared.get_moving_window(key, limit, expiry)
        except PresenceUnavailable:
            return await super().get_moving_window(key, limit, expiry)
