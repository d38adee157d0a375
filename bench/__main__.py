"""The command line of the benchmark: `make bench`, or `python -m bench --help`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop

from bench import beside, report
from bench.command import chosen, fail, say
from bench.contenders import FLOOR, NODE, OURS
from bench.failure import BenchFailed
from bench.machine import description
from bench.row import Row
from bench.rows import (
    chatting,
    cluster,
    connections,
    crowd,
    fanout,
    idle,
    joining,
    latency,
    memory,
    relay,
    soak,
)
from bench.run import Plan, run
from neuron_meet.failure import ForeseenFailure

RESULTS = Path(__file__).resolve().parent / "results" / "latest.json"
DOCS = Path(__file__).resolve().parent.parent / "docs"
ROUNDS = 3
SOAK_SECONDS = 120


def all_rows(soak_seconds: float) -> list[Row]:
    """Every row, in the order of the table."""
    return [
        connections.Connections(),
        joining.Joining(history=0),
        joining.Joining(history=50),
        relay.offers(),
        relay.candidates(),
        *fanout.rows(),
        *chatting.rows(),
        *latency.rows(),
        crowd.Crowd(),
        memory.Memory(compression=False),
        memory.Memory(compression=True),
        idle.Idle(),
        cluster.ClusterRow(),
        soak.Soak(soak_seconds),
    ]


@click.command()
@click.option("--only", help="Rows whose names begin so, separated by commas: --only join,chat")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    help=f"Measured rounds.  [default: {ROUNDS}; beside another: {beside.ROUNDS}]",
)
@click.option(
    "--against", default=f"{NODE},{FLOOR}", show_default=True, help="What to compare with; '' for nothing."
)
@click.option(
    "--soak-seconds", default=SOAK_SECONDS, show_default=True, type=click.FloatRange(5), help="Length of it."
)
@click.option(
    "--beside",
    "other",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="This checkout beside another one of this server, and nothing else (python -m bench.beside has more).",
)
@click.option(
    "--starts", default=beside.STARTS, show_default=True, type=click.IntRange(1), help="Of it: how often."
)
@click.option("--memory", "with_memory", is_flag=True, help="Of it: memory for each connection as well.")
@click.option(
    "--write/--no-write", default=None, help="Write docs/performance.* (a full run does so by itself)."
)
def main(
    *,
    only: str | None,
    rounds: int | None,
    against: str,
    soak_seconds: float,
    other: Path | None,
    starts: int,
    with_memory: bool,
    write: bool | None,
) -> None:
    """Measure this server, a plain Node.js Socket.IO server and a bare websocket server side by side."""
    if other is not None:
        beside.compare(
            other, starts=starts, rounds=rounds or beside.ROUNDS, only=only, with_memory=with_memory
        )
        return
    rounds = rounds or ROUNDS
    rows = chosen(all_rows(soak_seconds), only)
    names = [OURS, *(name for name in against.split(",") if name)]
    if unknown := set(names) - {OURS, NODE, FLOOR}:
        raise click.BadParameter(
            f"{', '.join(unknown)}: there are {NODE} and {FLOOR}", param_hint="--against"
        )
    complete = only is None and rounds >= ROUNDS and len(names) == len((OURS, NODE, FLOOR))
    try:
        results, disturbance = uvloop.run(run(Plan(rows, names, rounds), say))
        facts = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "rounds": rounds,
            "disturbance": disturbance,
        } | description()
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(report.as_text(report.document(results, facts)))
        if complete if write is None else write:
            report.write_documents(DOCS, results, facts)
    except* (BenchFailed, ForeseenFailure) as failures:
        fail(failures)
    except* KeyboardInterrupt:
        sys.exit("Benchmark interrupted.")
    print()
    print(report.plain(report.table(results)))
    print(f"\nOther programs took {disturbance:.0%} of the machine meanwhile.")
    print(f"All figures: bench/results/{RESULTS.name}")


if __name__ == "__main__":
    main()
