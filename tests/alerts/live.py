"""Every alert of deploy/ fires on its fault, done for real, and is quiet otherwise (`make alerts`; some minutes).

A real Prometheus scrapes two real nodes with people on them all the time. Its rules are those of deploy/ with shorter
windows (`stage.quicker_rules`); that the rules fire in their own time is promtool's to say (tests/ops/test_alerts.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.alerts.faults import FAULTS, Fault
from tests.alerts.stage import QUIET_SECONDS, Stage, staged
from tests.chaos.conftest import open_folder
from tests.chaos.figures import Figures
from tests.chaos.postgres import postgres_in


@pytest.fixture(scope="module")
async def stage(meetings_data: Path) -> AsyncIterator[Stage]:
    """Everything runs, and has run for long enough that a rule could fire."""
    with open_folder() as folder:
        async with postgres_in(folder, meetings_data) as postgres, staged(folder, postgres) as stage:
            yield stage


async def test_all_is_quiet_where_nothing_is_wrong(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    quiet_until = loop.time() + QUIET_SECONDS
    while loop.time() < quiet_until:
        assert await stage.asked.firing() == set()
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_an_alert_fires_on_its_fault(stage: Stage, fault: Fault, figures: Figures) -> None:
    async with fault.inject(stage):
        fired, seconds = await stage.until_firing(fault.fires)
    figures.add("fired", f"{', '.join(sorted(fired))}; all of them after {seconds:.0f} s")
    if fault is not FAULTS[-1]:
        await stage.until_quiet()
    assert fault.fires <= fired <= fault.fires | fault.may


async def test_the_node_was_scraped_all_the_while(stage: Stage, figures: Figures) -> None:
    of_node = f'up{{instance="{stage.target}"}}'
    assert await stage.asked.value(f"min_over_time({of_node}[10m])") == [1.0]
    (scrapes,) = await stage.asked.value(f"count_over_time({of_node}[10m])")
    figures.add("scrapes", int(scrapes))
