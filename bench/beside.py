"""This checkout beside another one of this server, such as the commit before: `python -m bench.beside FOLDER`.

    git worktree add --detach ../before HEAD~1 && (cd ../before && make setup)
    make bench ARGS='--beside ../before'

The other one runs twice, as two servers: what the second is of the first is what no difference looks like. Each server
has its own database, which its own program has made. They get the same settings, among them this checkout's raised
limits; a checkout that does not know one passes over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bench.command import chosen, fail, say
from bench.contenders import AFTER, BEFORE, BEFORE_TOO, python_of
from bench.failure import BenchFailed
from bench.forms import Among, Forms, measure, meeting_rows, table
from bench.machine import commit
from bench.results import Results
from bench.row import Row
from bench.rows import joining, memory
from neuron_meet.failure import ForeseenFailure
from neuron_meet.store import assets

FORMS = Forms(one=BEFORE, control=BEFORE_TOO, other=AFTER)
BOUND = 1.03
"""A row may be dearer by so much at most."""
STARTS = 8
ROUNDS = 5


def rows(*, with_memory: bool) -> list[Row]:
    """What a meeting is made of, a join with messages, and memory where it is wanted (a minute more each start)."""
    made = [*meeting_rows(), joining.Joining(history=50)]
    return [*made, memory.Memory(compression=False)] if with_memory else made


def compare(folder: Path, *, starts: int, rounds: int, only: str | None, with_memory: bool) -> None:
    """Measure, and print the table. Ends the program where that fails."""
    measured: list[Results] = []
    disturbed = 0.0

    def among(names: Sequence[str]) -> list[Row]:
        return [Among(row, names) for row in chosen(rows(with_memory=with_memory), only)]

    try:
        python_of(folder)
        measured, disturbed = measure(
            FORMS,
            among,
            starts=starts,
            rounds=rounds,
            checkouts={BEFORE: folder, BEFORE_TOO: folder},
        )
    except* (BenchFailed, ForeseenFailure) as failures:
        fail(failures)
    say(
        f"before: {commit(folder)}; after: {commit(assets.project_dir())}; starts: {starts}, rounds: {rounds}\n"
    )
    print(table(measured, FORMS, ("before", "after")))
    print(
        f"\nAsked for: {BOUND} at most. Other programs took {disturbed:.0%} of the machine meanwhile, at most."
    )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--starts", default=STARTS, show_default=True, type=click.IntRange(1), help="How often all is started."
)
@click.option(
    "--rounds", default=ROUNDS, show_default=True, type=click.IntRange(1), help="Measured rounds a start."
)
@click.option("--only", help="Rows whose names begin so, separated by commas: --only join,chat")
@click.option("--memory", "with_memory", is_flag=True, help="Memory for each connection as well.")
def main(folder: Path, starts: int, rounds: int, only: str | None, with_memory: bool) -> None:
    """Measure this checkout beside the one in FOLDER, which `make setup` has set up there."""
    compare(folder, starts=starts, rounds=rounds, only=only, with_memory=with_memory)


if __name__ == "__main__":
    main()
