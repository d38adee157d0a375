"""What a row of the table is: its lines, and how one round of it goes on one server."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.contenders import FLOOR, NODE, OURS, Contender
from bench.process import CpuTime

MICROSECONDS = 1e6

Sample = dict[str, float]
"""Figures of one round: a line's key, and its value in the line's unit."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table. Less is better, unless `detail` says that it only explains another one.

    `goal` is the ratio ours/Node that issue 5 asks for, `floor_goal` the ratio ours/floor, `limit` what ours may
    have at most.
    """

    key: str
    title: str
    unit: str
    goal: float | None = None
    floor_goal: float | None = None
    limit: float | None = None
    detail: bool = False


class Row(ABC):
    """Something to measure. One instance serves a whole run; `prepare`, `rounds` and `clear` per contender."""

    name: str
    lines: tuple[Line, ...]
    contenders: tuple[str, ...] = (OURS, NODE, FLOOR)
    warm_up: int = 1
    """Rounds that do not count."""
    most_rounds: int = 1_000
    """Measured rounds at most, for rows that take minutes."""

    async def prepare(self, contender: Contender) -> None:  # noqa: B027 - most rows need nothing
        """Make what the rounds need."""

    @abstractmethod
    async def round(self, contender: Contender) -> Sample:
        """Measure once."""

    async def clear(self, contender: Contender) -> None:  # noqa: B027 - nor leave anything
        """Take down what `prepare` made."""


class Measured:
    """What a server spent on a piece of work, and how long that took."""

    def __init__(self) -> None:
        self.cpu = CpuTime(0, 0)
        self.seconds = 0.0

    def each(self, key: str, operations: int) -> Sample:
        """CPU in µs for each operation, in all and in the server's child processes, and operations a second."""
        return {
            key: self.cpu.total * MICROSECONDS / operations,
            f"{key}.children": self.cpu.children * MICROSECONDS / operations,
            f"{key}.rate": operations / self.seconds,
        }


def cpu_lines(
    key: str, title: str, *, goal: float | None = None, floor_goal: float | None = None
) -> tuple[Line, ...]:
    """The lines of `Measured.each`."""
    return (
        Line(key, title, "µs", goal=goal, floor_goal=floor_goal),
        Line(f"{key}.children", f"{title}: of it in the query engine", "µs", detail=True),
        Line(f"{key}.rate", f"{title}: at full speed", "/s", detail=True),
    )


@asynccontextmanager
async def measuring(contender: Contender) -> AsyncGenerator[Measured]:
    """Measure what the server spends on the block, and on what it still does afterwards because of it."""
    measured = Measured()
    await contender.server.quiet()
    before, began = contender.server.cpu(), time.perf_counter()
    yield measured
    measured.seconds = time.perf_counter() - began
    await contender.server.quiet()
    measured.cpu = contender.server.cpu() - before
