"""What the database was asked, how long it took and what went wrong: for metrics."""

from __future__ import annotations

from collections import Counter, defaultdict

from neuron_meet.durations import Durations


class Calls:
    """Calls by operation (the Prisma client's method) and model; "" where there is no model (raw queries, batches).

    `errors` has the failed ones by operation, model and exception, which are among `durations` too.
    """

    def __init__(self) -> None:
        self.durations: defaultdict[tuple[str, str], Durations] = defaultdict(Durations)
        self.errors: Counter[tuple[str, str, str]] = Counter()

    def done(self, operation: str, model: str, seconds: float, error: BaseException | None = None) -> None:
        """Count one call."""
        self.durations[operation, model].add(seconds)
        if error is not None:
            self.errors[operation, model, type(error).__name__] += 1
