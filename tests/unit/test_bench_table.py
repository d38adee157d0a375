"""The table of a measurement of two forms: what the quietest rounds say."""

from __future__ import annotations

from bench.forms import Forms, table
from bench.results import Results
from bench.row import Line

FORMS = Forms(one="before", control="before-too", other="after")


def test_the_quietest_tenth_of_the_rounds_is_compared() -> None:
    """Others on the machine make rounds dearer, never cheaper: 1.1 is seen through a noise of a half."""
    line = Line("cost", "Cost", "µs")
    starts = [Results([line]) for _ in range(2)]
    for results in starts:
        for noise in (0, 50, 40, 30, 20, 10, 45, 35, 25, 15):
            results.add("before", {"cost": 100.0 + noise})
            results.add("after", {"cost": 110.0 + (noise * 7) % 60})
            results.add("before-too", {"cost": 100.0 + (noise * 3) % 60})
    head, row = table(starts, FORMS, ("before", "after")).splitlines()
    assert head.endswith("quietest rounds: after/before, before/before")
    assert row.endswith("1.100, 1.000")
