"""The heartbeat of one connection: two timers, no task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Heartbeat:
    """Pings `interval` seconds after the last answer; reports a death when none follows within `timeout`.

    Only the answer to a ping puts the next one off: a client that sends pongs nobody asked for is pinged all the
    same.
    """

    __slots__ = ("_dead", "_interval", "_ping", "_timeout", "_timer", "awaits_pong")

    def __init__(
        self, interval: float, timeout: float, *, ping: Callable[[], None], dead: Callable[[], None]
    ) -> None:
        self._interval = interval
        self._timeout = timeout
        self._ping = ping
        self._dead = dead
        self._timer: asyncio.TimerHandle | None = None
        self.awaits_pong = False
        """Whether a ping went out that was not answered yet."""

    def wait(self) -> None:
        """Start, or go on because the awaited pong came."""
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._send)

    def stop(self) -> None:
        """End it; nothing fires any more."""
        self.awaits_pong = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout, self._dead)
        self.awaits_pong = True
        self._ping()
