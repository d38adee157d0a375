"""This server in two forms, one of them twice: what bench/cost.py and bench/beside.py share.

The second of the two that are alike is the control: what it is of the first is what no difference looks like. All three
are driven in turns by the same load, and started anew several times: two processes of one program differ by more than
two rounds of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev

import uvloop

from bench.command import say
from bench.contenders import Contender
from bench.results import Results
from bench.row import Line, Row, Sample
from bench.rows import chatting, connections, fanout, joining, relay
from bench.run import Plan, run

ENOUGH_STARTS = 3
"""Starts from which their ratios say how exact the result is; of fewer, the rounds do."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The names of three contenders: `one` and `control` are the same program, `other` is compared with both."""

    one: str
    control: str
    other: str


class Among(Row):
    """A row for other contenders than its own."""

    def __init__(self, row: Row, contenders: Sequence[str]) -> None:
        self._row = row
        self.name, self.lines, self.warm_up, self.most_rounds = (
            row.name,
            row.lines,
            row.warm_up,
            row.most_rounds,
        )
        self.contenders = tuple(contenders)

    async def prepare(self, contender: Contender) -> None:
        """As the row does."""
        await self._row.prepare(contender)

    async def round(self, contender: Contender) -> Sample:
        """As the row does."""
        return await self._row.round(contender)

    async def clear(self, contender: Contender) -> None:
        """As the row does."""
        await self._row.clear(contender)


def meeting_rows() -> list[Row]:
    """What a meeting is made of."""
    return [
        connections.Connections(),
        joining.Joining(history=0),
        relay.offers(),
        relay.candidates(),
        *fanout.rows(),
        *chatting.rows(),
    ]


def measure(
    forms: Forms,
    rows: Callable[[Sequence[str]], Sequence[Row]],
    *,
    starts: int,
    rounds: int,
    checkouts: Mapping[str, Path] | None = None,
) -> tuple[list[Results], float]:
    """The results of each start, and the largest share of the machine that others took in one.

    `rows` makes them for contenders in the order given, which turns from start to start: nobody is always the first.
    Raises BenchFailed, ForeseenFailure, as an ExceptionGroup or by itself.
    """
    measured: list[Results] = []
    disturbed = 0.0
    names = (forms.one, forms.other, forms.control)
    for start in range(starts):
        turned = (*names[start % 3 :], *names[: start % 3])
        results, disturbance = uvloop.run(run(Plan(rows(turned), turned, rounds, checkouts or {}), say))
        measured.append(results)
        disturbed = max(disturbed, disturbance)
    return measured, disturbed


def table(starts: Sequence[Results], forms: Forms, heads: tuple[str, str]) -> str:
    """A line for each of the rows' lines: medians over all rounds of both forms, two ratios with standard errors, and
    the same two of the quietest rounds.

    A ratio is the median of those of each start, whose servers ran by turns: what the machine does from one start to
    the next changes it little. What others do on it makes every round dearer and none cheaper, so the rounds that were
    cheapest, a tenth of all, say most where it is not quiet. `heads` are the forms' names in the table, `one`'s first.
    """
    one, other = heads
    head = f"{f'{other}/{one}':15} {f'{one}/{one}':15} quietest rounds: {other}/{one}, {one}/{one}"
    lines = [f"{'':82} {one:>8} {other:>8}  {head}"]
    for line, each in _rounds(starts).items():
        first, control, others = (
            [rounds[name] for rounds in each] for name in (forms.one, forms.control, forms.other)
        )
        both = [[*mine, *twin] for mine, twin in zip(first, control, strict=True)]
        lines.append(
            f"{f'{line.title}, {line.unit}':82} {median(_all(both)):8.2f} {median(_all(others)):8.2f}  "
            f"{_ratio(others, both):15} {_ratio(control, first):15} "
            f"{_quietest(others) / _quietest(first):.3f}, {_quietest(control) / _quietest(first):.3f}"
        )
    return "\n".join(lines)


def _rounds(starts: Sequence[Results]) -> dict[Line, list[dict[str, list[float]]]]:
    """Each line's figures by contender, start for start."""
    found: dict[Line, list[dict[str, list[float]]]] = {}
    for results in starts:
        for figures in results.figures:
            if not figures.line.detail:
                found.setdefault(figures.line, []).append(figures.rounds)
    return found


def _all(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [value for of_start in rounds for value in of_start]


def _quietest(rounds: Sequence[Sequence[float]]) -> float:
    """The mean of the cheapest tenth of all rounds."""
    cheapest = sorted(_all(rounds))
    return mean(cheapest[: max(1, len(cheapest) // 10)])


def _ratio(above: Sequence[list[float]], below: Sequence[list[float]]) -> str:
    """The median over the starts of the ratio of medians, ± its standard error."""
    ratios = [median(up) / median(down) for up, down in zip(above, below, strict=True)]
    middle = median(ratios)
    if len(ratios) >= ENOUGH_STARTS:
        error = _error(ratios)
    else:
        error = middle * math.hypot(*(_error(each) / median(each) for each in (_all(above), _all(below))))
    return f"{middle:.3f} ± {error:.3f}"


def _error(values: Sequence[float]) -> float:
    """The standard error of their median: that of a normal distribution."""
    return math.sqrt(math.pi / 2 / len(values)) * stdev(values) if len(values) > 1 else math.nan
