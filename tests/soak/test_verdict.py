"""The soak's verdict sees growth, and its figures in docs/ are of a run that was flat."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.soak.drawing import PANELS, drawing
from tests.soak.hour import Hour
from tests.soak.samples import NodeSample, Sample
from tests.soak.verdict import DIFFERED, LASTING, verdict

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOBODY = NodeSample(
    memory=90,
    engine=80,
    files=40,
    stores=12,
    threads=9,
    tasks=20,
    connections=0,
    participants=0,
)
BUSY = replace(NOBODY, files=140, tasks=200, connections=100, participants=100)


def run(**growth: float) -> list[Sample]:
    """A run of two minutes; what is named grows by so much with each sample."""
    samples: list[Sample] = []
    for number in range(60):
        grown = {name: getattr(BUSY, name) + number * each for name, each in growth.items()}
        samples.append(Sample(2.0 * number, [BUSY, None, replace(BUSY, **grown)], rows=300, redis_keys=50))
    return samples


def rest(**different: int) -> Sample:
    """Nobody is there."""
    return Sample(0, [NOBODY, NOBODY, replace(NOBODY, **different)], rows=0, redis_keys=3)


def test_a_flat_run_holds() -> None:
    assert all(check.holds for check in verdict(run(), rest(), rest(), {}))


@pytest.mark.parametrize(
    ("growth", "left", "said"),
    [({"memory": 1.0}, {}, {}), ({"threads": 1}, {}, {}), ({"files": 1}, {}, {}), ({}, {"files": 60}, {}),
     ({}, {"tasks": 30}, {}), ({}, {"participants": 1}, {}), ({}, {}, {DIFFERED: 1})],
)  # fmt: skip
def test_growth_is_seen(growth: dict[str, float], left: dict[str, int], said: dict[str, int]) -> None:
    failed = [check for check in verdict(run(**growth), rest(), rest(**left), said) if not check.holds]
    assert len(failed) == 1, failed


def test_rows_and_keys_that_stay_are_seen() -> None:
    last = replace(rest(), rows=1, redis_keys=60)
    assert sum(not check.holds for check in verdict(run(), rest(), last, {})) == 2


def test_the_hour_is_reckoned_by_what_was_done() -> None:
    hour = Hour(rooms=10, people=5)
    half = Counter({kind: round(number / 2) for kind, number in hour.expected.items()})
    assert set(hour.equivalent(half).values()) <= {0.49, 0.5, 0.51}


def test_the_drawing_has_all_curves() -> None:
    picture = ElementTree.fromstring(drawing(run(), [(30.0, "A drains")]))
    curves = [each for each in picture.iter() if each.get("stroke-width") == "1.5"]
    assert len(curves) == sum(len(panel.curves) for panel in PANELS)


def test_the_figures_in_the_documents() -> None:
    figures = json.loads((DOCS / "soak.json").read_text())
    held = {check["what"]: check["holds"] for check in figures["checks"]}
    assert held["rows that differed from presence"]
    assert held["open rows, with nobody there"]
    assert all(hours >= 0.95 for hours in figures["hours, by kind of event"].values())
    assert figures["samples"][0]["nodes"][LASTING] is not None
    ElementTree.fromstring((DOCS / "soak.svg").read_text())
