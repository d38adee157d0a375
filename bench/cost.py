"""What being seen costs: this server with logs, metrics and audit, beside itself without. `python -m bench.cost`.

`watched` logs at `info` as JSON, records an audit, and its metrics are scraped every 5 s, three times as often as
deploy/prometheus does; `quiet` logs errors only, and nobody asks it anything. `quiet-too` is the same once more: what
it is of `quiet` is what this measurement makes of no difference at all (bench/forms.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import click
from aiohttp import ClientError, ClientSession

from bench.command import chosen, fail
from bench.contenders import ADMIN_TOKEN, QUIET, QUIET_TOO, WATCHED, Contender
from bench.failure import BenchFailed
from bench.forms import Among, Forms, measure, meeting_rows, table
from bench.results import Results
from bench.row import Row
from neuron_meet.failure import ForeseenFailure

FORMS = Forms(one=QUIET, control=QUIET_TOO, other=WATCHED)
SCRAPE_SECONDS = 5.0
BOUND = 1.05
"""All of it on costs so much of it off at most."""


class Scraped(Among):
    """A row during which the watched server is scraped, from its first round to its last."""

    def __init__(self, row: Row, contenders: Sequence[str]) -> None:
        super().__init__(row, contenders)
        self._scrapes: asyncio.Task[None] | None = None

    async def prepare(self, contender: Contender) -> None:
        """As the row does."""
        if contender.name != WATCHED:
            await _silence(contender)
        await super().prepare(contender)
        if contender.name == WATCHED:
            self._scrapes = asyncio.create_task(_scrape(contender), name="scrapes")

    async def clear(self, contender: Contender) -> None:
        """As the row does."""
        task, self._scrapes = self._scrapes, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await super().clear(contender)


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
        measured, disturbed = measure(
            FORMS,
            lambda names: [Scraped(row, names) for row in chosen(meeting_rows(), only)],
            starts=starts,
            rounds=rounds,
        )
    except* (BenchFailed, ForeseenFailure) as failures:
        fail(failures)
    print(table(measured, FORMS, ("off", "on")))
    print(
        f"\nAsked for: {BOUND} at most. Other programs took {disturbed:.0%} of the machine meanwhile, at most."
    )


if __name__ == "__main__":
    main()
