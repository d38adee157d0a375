"""How much a connection may send that means nothing: pings, pongs, binary frames, malformed packets, surplus typing.

What means something is limited by event (signaling/limits.py). The rest costs the server microseconds each, and a
client can send half a million a second. A budget is a token bucket that may go into debt: a connection in debt is
read no further until it is paid, and one that stays in debt is ended.
"""

from __future__ import annotations

from time import monotonic

from neuron_meet.rates import Rate

BYTES_A_FRAME = 1024
"""A frame costs one, and one more for each so many bytes."""
KEPT_UP_SECONDS = 10.0
"""A connection that stays in debt for so long means it."""
LONGEST_PAUSE_SECONDS = 5.0
"""Reading pauses for so long at once: a client's close and its pongs must be found before its ping time-out."""


class FrameBudget:
    """The budget of one connection: `rate.count` frames at once, refilled at `rate`."""

    __slots__ = ("_at", "_in_debt_since", "_rate", "_tokens")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.count)
        self._at = monotonic()
        self._in_debt_since: float | None = None

    def charge(self, size: int = 0) -> None:
        """Count a frame of `size` bytes."""
        self._refill()
        self._tokens -= 1 + size // BYTES_A_FRAME
        if self._tokens < 0 and self._in_debt_since is None:
            self._in_debt_since = self._at

    def pause(self) -> float:
        """Seconds until the debt is paid, `LONGEST_PAUSE_SECONDS` at most; 0 where there is none."""
        self._refill()
        if self._tokens >= 0:
            return 0.0
        return min(LONGEST_PAUSE_SECONDS, -self._tokens * self._rate.seconds / self._rate.count)

    @property
    def kept_up(self) -> bool:
        """Whether the connection has been in debt for `KEPT_UP_SECONDS`, and was never half way out of it."""
        since = self._in_debt_since
        return since is not None and monotonic() - since > KEPT_UP_SECONDS

    def _refill(self) -> None:
        now = monotonic()
        rate = self._rate
        self._tokens = min(float(rate.count), self._tokens + (now - self._at) * rate.count / rate.seconds)
        self._at = now
        if self._in_debt_since is not None and self._tokens > rate.count / 2:
            self._in_debt_since = None
