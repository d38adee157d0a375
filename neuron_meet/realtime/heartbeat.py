"""The heartbeat of one connection: two timers, no task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Heartbeat:
    """Pings after `interval` seconds of waiting; reports a death when no pong follows within `timeout`."""

    __slots__ = ("_dead", "_interval", "_ping", "_timeout", "_timer")

    def __init__(
        self, interval: float, timeout: float, *, ping: Callable[[], None], dead: Callable[[], None]
    ) -> None:
        self._interval = interval
        self._timeout = timeout
        self._ping = ping
        self._dead = dead
        self._timer: asyncio.TimerHandle | None = None

    def wait(self) -> None:
        """Start, or start anew because a pong came."""
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._send)

    def stop(self) -> None:
        """End it; nothing fires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._dead)
        self._ping()
