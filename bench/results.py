"""The figures of a run: medians over rounds, ratios, and whether goals are met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.contenders import FLOOR, NODE, OURS
from bench.row import Line, Sample


@dataclass(slots=True)
class Figures:
    """One line of the table: each contender's value in each measured round."""

    line: Line
    rounds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def value(self, contender: str) -> float | None:
        """The median, None where that contender was not measured."""
        values = self.rounds.get(contender)
        return median(values) if values else None

    def ratio(self, other: str) -> float | None:
        """Ours divided by the other's; None where there is nothing to divide by."""
        ours, theirs = self.value(OURS), self.value(other)
        return ours / theirs if ours is not None and theirs else None

    @property
    def verdict(self) -> str:
        """What was asked for and whether it is met; "" where nothing was."""
        asked: list[tuple[str, float | None, float | None]] = [
            ("× Node", self.ratio(NODE), self.line.goal),
            ("× floor", self.ratio(FLOOR), self.line.floor_goal),
            (self.line.unit, self.value(OURS), self.line.limit),
        ]
        return "; ".join(
            f"≤ {bound:g} {what}".strip() + (": met" if have <= bound else ": missed")
            for what, have, bound in asked
            if bound is not None and have is not None
        )

    def as_json(self) -> dict[str, Any]:
        """Everything, for other programs."""
        return {
            "key": self.line.key,
            "title": self.line.title,
            "unit": self.line.unit,
            "median": {name: self.value(name) for name in self.rounds},
            "rounds": self.rounds,
            "ratio_to_node": self.ratio(NODE),
            "ratio_to_floor": self.ratio(FLOOR),
            "goal": self.verdict or None,
        }


class Results:
    """All lines in the order of the rows."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._figures = {line.key: Figures(line) for line in lines}

    def add(self, contender: str, sample: Sample) -> None:
        """The figures of one round."""
        for key, value in sample.items():
            self._figures[key].rounds.setdefault(contender, []).append(value)

    @property
    def figures(self) -> list[Figures]:
        """Lines that were measured."""
        return [figures for figures in self._figures.values() if figures.rounds]
