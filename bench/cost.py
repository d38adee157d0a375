"""What being seen costs: this server with logs, metrics and audit, beside itself without. `python -m bench.cost`.

`watched` logs at `info` as JSON, records an audit, and its metrics are scraped every 5 s, three times as often as
deploy/prometheus does; `quiet` logs errors only, and nobody asks it anything. `quiet-too` is the same once more: what
it is of `quiet` is what this measurement makes of no difference at all. All are driven in turns by the same load, as in
`make bench`, and started anew several times: two processes of one program differ by more than two rounds of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from statistics import median, stdev

import click
import uvloop
from aiohttp import ClientError, ClientSession

from bench.command import chosen, fail, say
from bench.contenders import ADMIN_TOKEN, QUIET, QUIET_TOO, WATCHED, Contender
from bench.failure import BenchFailed
from bench.results import Results
from bench.row import Line, Row, Sample
from bench.rows import chatting, connections, fanout, joining, relay
from bench.run import Plan, run
from neuron_meet.failure import ForeseenFailure

SCRAPE_SECONDS = 5.0
BOUND = 1.05
"""Issue 8, Shown by 3: all of it on costs so much of it off at most."""


class Scraped(Row):
    """A row during which the watched server is scraped, from its first round to its last."""

    contenders = (QUIET, QUIET_TOO, WATCHED)

    def __init__(self, row: Row) -> None:
        self._row = row
        self.name, self.lines, self.warm_up = row.name, row.lines, row.warm_up
        self._scrapes: asyncio.Task[None] | None = None

    async def prepare(self, contender: Contender) -> None:
        """As the row does."""
        if contender.name != WATCHED:
            await _silence(contender)
        await self._row.prepare(contender)
        if contender.name == WATCHED:
            self._scrapes = asyncio.create_task(_scrape(contender), name="scrapes")

    async def round(self, contender: Contender) -> Sample:
        """As the row does."""
        return await self._row.round(contender)

    async def clear(self, contender: Contender) -> None:
        """As the row does."""
        task, self._scrapes = self._scrapes, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._row.clear(contender)


def _admin(contender: Contender) -> ClientSession:
    url: str = next(contender.server.logged("admin address"))["url"]
    return ClientSession(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, raise_for_status=True)


async def _silence(contender: Contender) -> None:
    async with _admin(contender) as admin, admin.put("/log-level", json={"logLevel": "error"}):
        pass


async def _scrape(contender: Contender) -> None:
    async with _admin(contender) as admin:
        while True:
            await asyncio.sleep(SCRAPE_SECONDS)
            try:
                async with admin.get("/metrics") as answer:
                    await answer.read()
            except ClientError as error:
                raise BenchFailed(f"The metrics cannot be scraped: {error}") from error


def rows() -> list[Row]:
    """What a meeting is made of."""
    return [
        connections.Connections(),
        joining.Joining(history=0),
        relay.offers(),
        relay.candidates(),
        *fanout.rows(),
        *chatting.rows(),
    ]


def table(starts: list[Results]) -> str:
    """Medians over all rounds of all starts: off (both), on, their ratio and its standard error, that of both off."""
    rounds: dict[Line, dict[str, list[float]]] = {}
    for results in starts:
        for figures in results.figures:
            if not figures.line.detail:
                of_line = rounds.setdefault(figures.line, {})
                for name, values in figures.rounds.items():
                    of_line.setdefault(name, []).extend(values)
    lines = [f"{'CPU, µs':78} {'off':>7} {'on':>7}  on/off         off/off"]
    for line, of_line in rounds.items():
        one, other, on = (of_line[name] for name in (QUIET, QUIET_TOO, WATCHED))
        off = median(one + other)
        ratio = median(on) / off
        error = ratio * math.hypot(_error(on), _error(one + other))
        control = median(other) / median(one)
        lines.append(
            f"{line.title:78} {off:7.1f} {median(on):7.1f}  {ratio:6.3f} ± {error:.3f}  {control:.3f}"
        )
    return "\n".join(lines)


def _error(values: list[float]) -> float:
    """The standard error of their median, of it: that of a normal distribution."""
    return (
        math.sqrt(math.pi / 2 / len(values)) * stdev(values) / median(values) if len(values) > 1 else math.nan
    )


@click.command()
@click.option(
    "--starts", default=8, show_default=True, type=click.IntRange(1), help="How often all is started."
)
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1), help="Measured rounds a start."
)
@click.option("--only", help="Rows whose names begin so, separated by commas: --only join,chat")
def main(starts: int, rounds: int, only: str | None) -> None:
    """Measure this server with everything to be seen of it on, beside itself with it off."""
    measured: list[Results] = []
    disturbed = 0.0
    try:
        for _ in range(starts):
            scraped = [Scraped(row) for row in chosen(rows(), only)]
            results, disturbance = uvloop.run(run(Plan(scraped, list(Scraped.contenders), rounds), say))
            measured.append(results)
            disturbed = max(disturbed, disturbance)
    except* (BenchFailed, ForeseenFailure) as failures:
        fail(failures)
    print(table(measured))
    print(
        f"\nAsked for: {BOUND} at most. Other programs took {disturbed:.0%} of the machine meanwhile, at most."
    )


if __name__ == "__main__":
    main()
