"""What was measured: printed when the run is over, with the test that measured it."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Figures:
    """Figures of one test. They travel with its report, from a worker of pytest-xdist too."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def add(self, name: str, value: object, unit: str = "") -> None:
        """One figure; numbers that are not whole are rounded to three digits behind the point."""
        shown = f"{value:.3f}" if isinstance(value, float) else str(value)
        self._record(name, f"{shown} {unit}".strip())

    def spread(self, name: str, seconds: Sequence[float]) -> None:
        """How long something took: middle, 99th percentile, most, in milliseconds."""
        ordered = sorted(seconds)
        at = [
            ordered[len(ordered) // 2],
            ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
            ordered[-1],
        ]
        middle, late, most = (round(value * 1000, 1) for value in at)
        self._record(name, f"p50 {middle} ms, p99 {late} ms, most {most} ms, of {len(ordered)}")


def percentile(seconds: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
