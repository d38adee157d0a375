"""What the database was asked, how long it took and what went wrong: for metrics."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

from neuron_meet.durations import Durations
from neuron_meet.slowness import say_slow_call, waited


class Calls:
    """Calls by operation (the Prisma client's method) and model; "" where there is no model (raw queries, batches).

    `errors` has the failed ones by operation, model and exception, which are among `durations` too.
    """

    def __init__(self, slow_seconds: float = math.inf) -> None:
        """A call that takes longer than `slow_seconds` is logged."""
        self._slow_seconds = slow_seconds
        self.durations: defaultdict[tuple[str, str], Durations] = defaultdict(Durations)
        self.errors: Counter[tuple[str, str, str]] = Counter()

    def done(self, operation: str, model: str, seconds: float, error: BaseException | None = None) -> None:
        """Count one call."""
        what = (operation, model)
        self.durations[what].add(seconds)
        waited(what, seconds)
        if seconds >= self._slow_seconds:
            say_slow_call(what, seconds)
        if error is not None:
            self.errors[operation, model, type(error).__name__] += 1
