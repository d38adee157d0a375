"""What being seen costs: this server with logs, metrics and audit, beside itself without. `python -m bench.cost`.

`watched` logs at `info` as JSON, records an audit, and its metrics are scraped every 5 s, three times as often as
deploy/prometheus does; `quiet` logs errors only, and nobody asks it anything. Both are driven in turns by
the same load, as in `make bench`.
"""

from __future__ import annotations

import asyncio
import contextlib
from statistics import geometric_mean

import click
import uvloop
from aiohttp import ClientError, ClientSession

from bench.command import chosen, fail, say
from bench.contenders import ADMIN_TOKEN, QUIET, WATCHED, Contender
from bench.failure import BenchFailed
from bench.results import Results
from bench.row import Row, Sample
from bench.rows import chatting, connections, fanout, joining, relay
from bench.run import Plan, run
from neuron_meet.failure import ForeseenFailure

SCRAPE_SECONDS = 5.0
BOUND = 1.05
"""Issue 8, Shown by 3: all of it on costs so much of it off at most."""


class Scraped(Row):
    """A row during which the watched server is scraped, from its first round to its last."""

    contenders = (QUIET, WATCHED)

    def __init__(self, row: Row) -> None:
        self._row = row
        self.name, self.lines, self.warm_up = row.name, row.lines, row.warm_up
        self._scrapes: asyncio.Task[None] | None = None

    async def prepare(self, contender: Contender) -> None:
        """As the row does."""
        if contender.name == QUIET:
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


def table(results: Results) -> str:
    """Medians off and on, what on is of off, and the geometric mean of that over all lines."""
    lines, ratios = [f"{'CPU, µs':78} {'off':>7} {'on':>7}  on/off"], list[float]()
    for figures in results.figures:
        off, on = figures.value(QUIET), figures.value(WATCHED)
        if figures.line.detail or not off or not on:
            continue
        lines.append(f"{figures.line.title:78} {off:7.1f} {on:7.1f}  {on / off:.2f}")
        ratios.append(on / off)
    if ratios:
        lines.append(f"{'All of it, geometric mean':78} {'':7} {'':7}  {geometric_mean(ratios):.2f}")
    return "\n".join(lines)


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Measured rounds.")
@click.option("--only", help="Rows whose names begin so, separated by commas: --only join,chat")
def main(rounds: int, only: str | None) -> None:
    """Measure this server with everything to be seen of it on, beside itself with it off."""
    scraped = [Scraped(row) for row in chosen(rows(), only)]
    try:
        results, disturbance = uvloop.run(run(Plan(scraped, [QUIET, WATCHED], rounds), say))
    except* (BenchFailed, ForeseenFailure) as failures:
        fail(failures)
    print(table(results))
    print(f"\nAsked for: {BOUND} at most. Other programs took {disturbance:.0%} of the machine meanwhile.")


if __name__ == "__main__":
    main()
