"""The simulation that docs/scaling.md shows: its drawing is of its figures, and it says what it should."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bench.scaling import DOCS, Costs, Habits, drawing, load, nodes_needed, simulate, table

HABITS = Habits()


@pytest.fixture(scope="module")
def costs() -> Costs:
    return load()


def test_the_drawing_is_of_the_measured_figures(costs: Costs) -> None:
    assert (DOCS / "scaling.svg").read_text() == drawing(table(costs, HABITS))
    facts = json.loads((DOCS / "scaling.json").read_text())
    assert {"date", "rounds", "machine", "versions"} <= facts.keys(), "where the figures come from"


def test_a_node_pays_for_its_own_rooms(costs: Costs) -> None:
    """However many others there are: at most each person's events are told at every node that has one of the room."""
    few, many, more = (simulate(costs, HABITS, 2_000, nodes) for nodes in (32, 320, 3_200))
    assert more.rooms - many.rooms < 0.1 * (many.rooms - few.rooms) + 0.02 * many.rooms
    assert more.one_channel > 5 * many.one_channel > 25 * few.one_channel


def test_one_node_has_nobody_elsewhere(costs: Costs) -> None:
    alone = simulate(costs, HABITS, 2_000, 1)
    free = replace(costs, hear=0, send=0, receive=0, stock_ignore=0, stock_ignore_relay=0)
    assert simulate(free, HABITS, 2_000, 1) == alone


def test_more_people_need_more_nodes(costs: Costs) -> None:
    needed = [nodes_needed(costs, HABITS, people) for people in (1_000, 100_000, 1_000_000)]
    assert needed == sorted(needed)
    assert needed[0] < needed[1] < needed[2]
    assert simulate(costs, HABITS, -(-1_000_000 // needed[2]), needed[2]).rooms <= 0.5
