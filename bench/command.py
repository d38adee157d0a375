"""What the command lines of the benchmarks share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from bench.row import Row


def chosen(rows: Sequence[Row], only: str | None) -> list[Row]:
    """The rows whose names begin with one of those in `only`, separated by commas. Raises click.BadParameter."""
    if only is None:
        return list(rows)
    wanted = tuple(only.split(","))
    chosen = [row for row in rows if row.name.startswith(wanted)]
    if not chosen:
        names = ", ".join(row.name for row in rows)
        raise click.BadParameter(f"there is no row {only}; there are: {names}", param_hint="--only")
    return chosen


def say(step: str) -> None:
    """Tell what is done, at once."""
    print(f"-- {step}", flush=True)


def fail(failures: BaseExceptionGroup[Exception]) -> NoReturn:
    """End with the first of the failures as a sentence."""
    first: BaseException = failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    print(f"\nBenchmark stopped: {first}", file=sys.stderr)
    sys.exit(1)
