"""`make soak`: an hour of meetings in so many minutes, on real processes that are restarted and killed meanwhile.

With `--write` docs/soak.json and docs/soak.svg are of this run. Exit code 1 where something grew.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import uvloop

from bench.machine import Disturbance, description
from tests.chaos.meeting import visitor
from tests.postgres import SharedPostgres
from tests.soak.drawing import drawing
from tests.soak.hour import Hour, Pace
from tests.soak.people import Meetings
from tests.soak.samples import Sample, Samples
from tests.soak.verdict import verdict
from tests.soak.world import World
from tests.wire.clients import driving

DOCS = Path(__file__).resolve().parents[2] / "docs"
HOSTS = 6
SHOWN_EACH = 5
"""Of the samples, so many are one in the file."""
REST_SECONDS = 90.0
LOGGED = "warnings and errors in the nodes' logs"


def warned(output: str) -> Counter[str]:
    """Warnings and errors in what nodes logged, by event. Cut lines count too; what a migration tells does not."""
    said = Counter[str]()
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                entry = json.loads(line)
            except ValueError:
                said[f"(cut) {line}"] += 1
            else:
                if entry["level"] in ("warning", "error"):
                    said[entry["event"]] += 1
    return said


async def restarts(world: World, samples: Samples, minutes: float) -> None:
    """A node is replaced, another is killed, then both are replaced; the third one lasts."""

    async def until(share: float) -> None:
        await asyncio.sleep(max(0.0, share * minutes * 60 - samples.now))

    async def replace(number: int) -> None:
        samples.note(f"{'ABC'[number]} drains")
        await world.stop(number)
        await world.start(number)

    await until(0.3)
    await replace(0)
    await until(0.5)
    samples.note("kill -9 of B")
    await world.kill(1)
    await asyncio.sleep(10)  # nobody has noticed that it should be started again
    await world.start(1)
    await until(0.7)
    await replace(0)
    await replace(1)
    await until(1.0)


async def at_rest(samples: Samples) -> Sample:
    """The first sample without anybody, once places are given up and rows are closed."""
    async with asyncio.timeout(REST_SECONDS):
        while True:
            sample = await samples.take()
            if not (sample.participants or sample.rows or any(n.connections for n in sample.nodes if n)):
                await asyncio.sleep(2)  # connections take some turns of the loop to be torn down
                return await samples.take()
            await asyncio.sleep(1)


async def soak(hour: Hour, pace: Pace) -> dict[str, Any]:
    """Run it; everything that was seen."""
    postgres = SharedPostgres.in_new_folder()
    async with AsyncExitStack() as stack:
        stack.callback(postgres.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nm-soak-")))
        folder.chmod(0o755)  # PostgreSQL's own user works in it
        world = await stack.enter_async_context(World.running(folder, postgres.blank()))
        js = await stack.enter_async_context(driving())
        hosts = [await stack.enter_async_context(visitor(world.url)) for _ in range(HOSTS)]
        for host in hosts:
            await host.register()
        disturbance = Disturbance(folder)
        samples = Samples(world)
        first = await samples.take()
        meetings = Meetings(js, world.url, hosts, hour, pace)
        async with samples.going_on():
            async with meetings.going_on():
                await restarts(world, samples, pace.minutes)
            samples.note("meetings end")
        during = [sample for sample in samples.taken if sample.seconds <= pace.minutes * 60]
        await world.close_door()
        last = await at_rest(samples)
        output = "\n".join([*world.output, *(node.output for node in world.nodes if node)])
        assert "Traceback" not in output, output
        said = warned(output)
        checks = verdict(during, first, last, said)
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "minutes": pace.minutes,
            "hour": asdict(hour),
            "expected of an hour": hour.expected,
            "done": dict(meetings.done),
            "hours, by kind of event": hour.equivalent(meetings.done),
            LOGGED: dict(said),
            "checks": [asdict(check) | {"holds": check.holds} for check in checks],
            "events": samples.events,
            "disturbance": round(disturbance.share(), 2),
            **description(),
            "samples": samples.taken,
        }


def write(result: dict[str, Any]) -> None:
    """The drawing of all samples, the figures with some of them."""
    taken: list[Sample] = result["samples"]
    (DOCS / "soak.svg").write_text(drawing(taken, result["events"]))
    lines = ",\n".join(f"  {json.dumps(asdict(sample))}" for sample in taken[::SHOWN_EACH])
    rest = {name: value for name, value in result.items() if name != "samples"}
    head = json.dumps(rest, indent=1).removesuffix("\n}")
    (DOCS / "soak.json").write_text(f'{head},\n "samples": [\n{lines}\n ]\n}}\n')


@click.command()
@click.option("--minutes", type=click.FloatRange(0.5), default=6, show_default=True)
@click.option("--rooms", type=click.IntRange(1), default=Hour.rooms, show_default=True)
@click.option("--write", "written", is_flag=True, help="Write docs/soak.json and docs/soak.svg.")
def main(minutes: float, rooms: int, *, written: bool) -> None:
    """An hour of meetings in so many minutes."""
    result = uvloop.run(soak(Hour(rooms=rooms), Pace(minutes)))
    if written:
        write(result)
    for kind, hours in result["hours, by kind of event"].items():
        click.echo(f"{kind}: {result['done'].get(kind, 0)}, as in {hours} hours")
    for check in result["checks"]:
        state = "flat" if check["holds"] else "GREW"
        click.echo(f"{state}  {check['what']}: {check['before']:g} → {check['after']:g}")
    click.echo(f"logged: {result[LOGGED]}")
    click.echo(f"done: {result['done']}; others took {result['disturbance']:.0%} of the machine")
    sys.exit(0 if all(check["holds"] for check in result["checks"]) else 1)


if __name__ == "__main__":
    main()
