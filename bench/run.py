"""A run: every row on every server, in turns."""

from __future__ import annotations

import atexit
import contextlib
import gc
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import FLOOR, NODE, Contender, contender, generate_node_client, python_of
from bench.database import BenchPostgres
from bench.failure import Alarm, BenchFailed
from bench.machine import Disturbance
from bench.results import Results
from bench.row import Row

SOCKETS_NEEDED = 5_000
"""Open files: the largest row has 2,000 connections."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: rows, contenders by name, measured rounds; `checkouts`: folders of those that are not ours."""

    rows: Sequence[Row]
    contenders: Sequence[str]
    rounds: int
    checkouts: Mapping[str, Path] = field(default_factory=dict[str, Path])


async def run(plan: Plan, say: Say) -> tuple[Results, float]:
    """The results, and the share of the machine that others took meanwhile. Raises BenchFailed."""
    _allow_many_sockets()
    results = Results(line for row in plan.rows for line in row.lines)
    folder = _temporary_folder()
    alarm = Alarm()
    async with _contenders(plan, folder, alarm, say) as contenders:
        disturbance = Disturbance(folder)
        for row in plan.rows:
            taking_part = [contenders[name] for name in row.contenders if name in contenders]
            await alarm.guard(_measure(row, taking_part, plan.rounds, results, say))
        return results, disturbance.share()


def _temporary_folder() -> Path:
    """A folder that is deleted when the program ends."""
    folder = Path(tempfile.mkdtemp(prefix="nm-bench-"))
    # Not sooner: PostgreSQL's wheel makes a file in it once more when the program ends. What is registered first
    # runs last.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@asynccontextmanager
async def _contenders(
    plan: Plan, folder: Path, alarm: Alarm, say: Say
) -> AsyncGenerator[dict[str, Contender]]:
    """The servers, started, each with a database of its own on one PostgreSQL."""
    if NODE in plan.contenders:
        await generate_node_client()
    say("Starting PostgreSQL and the servers")
    async with BenchPostgres.running(folder) as postgres, contextlib.AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for name in plan.contenders:
            python = python_of(plan.checkouts[name]) if name in plan.checkouts else Path(sys.executable)
            database = None if name == FLOOR else await postgres.database(name.replace("-", "_"), python)
            contenders[name] = contender(name, folder, database, alarm, python)
            stack.push_async_callback(contenders[name].stop)
            await contenders[name].start()
        yield contenders


async def _measure(
    row: Row, contenders: Sequence[Contender], rounds: int, results: Results, say: Say
) -> None:
    """All rounds of a row, the servers by turns, so that what the machine does meanwhile hits all of them."""
    began = time.monotonic()
    for each in contenders:
        await row.prepare(each)
    for number in range(row.warm_up + min(rounds, row.most_rounds)):
        for each in contenders if number % 2 == 0 else reversed(contenders):
            gc.collect()
            gc.disable()  # a pause of the load generator would be taken for the server's
            try:
                sample = await row.round(each)
            finally:
                gc.enable()
            if number >= row.warm_up:
                results.add(each.name, sample)
    for each in contenders:
        await row.clear(each)
    say(f"{row.name}: {time.monotonic() - began:.0f} s")


def _allow_many_sockets() -> None:
    """Raise this process' limit of open files, and so the servers'. Raises BenchFailed where the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= SOCKETS_NEEDED:
        return
    if hard != resource.RLIM_INFINITY and hard < SOCKETS_NEEDED:
        raise BenchFailed(
            f"{SOCKETS_NEEDED} open files are needed and the limit is {hard}: raise it (ulimit -Hn)."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOCKETS_NEEDED, hard))
