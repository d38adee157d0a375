"""A histogram of durations: plain integers, cheap to add to, that a scrape reads (neuron_meet/ops/metrics.py)."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From a relay on an idle machine (under 1 ms) to twice the usual deadline of a database call."""


class Durations:
    """How many durations fell into which bucket, and their sum. For one thread to add to, any to read."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[str, int]]:
        """As Prometheus has it: for each bound, how many were at most so long; the last one is `+Inf`."""
        total, buckets = 0, list[tuple[str, int]]()
        for bound, count in zip((*map(str, BOUNDS_SECONDS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets
