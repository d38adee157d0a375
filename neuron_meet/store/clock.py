"""PostgreSQL's clock, as this process knows it: moments in rows are on one clock, whatever each node's own says."""

from __future__ import annotations

import time
from datetime import UTC, datetime

MOST_DOUBT_SECONDS = 0.5
"""A look that took longer than twice this says less than what is known from the one before."""


class DatabaseClock:
    """The database's time between two looks at it: this process's monotonic clock, and how far the two are apart.

    Until the first look it is this process's own clock.
    """

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()
        self._known = False

    def learn(self, theirs: datetime, before: float, after: float) -> None:
        """The database said `theirs` between these two moments of `time.monotonic()`."""
        if self._known and (after - before) / 2 > MOST_DOUBT_SECONDS:
            return
        self._ahead, self._known = theirs.timestamp() - (before + after) / 2, True

    def now(self) -> datetime:
        """This moment by the database's clock, in UTC."""
        return datetime.fromtimestamp(time.monotonic() + self._ahead, UTC)
