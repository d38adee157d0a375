"""Chromium against a real server: one server for each file of scenarios, one Chromium on the machine at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from neuron_meet.store.node import find_node
from tests.postgres import SharedPostgres

FOLDER = Path(__file__).parent
LONGEST_SECONDS = 180
"""For a file of scenarios. Alone on two cores the slowest takes 20 s."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of an installed Chromium; without one the test is skipped, which `.ci/run` does not let pass."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    return found


@pytest.fixture
async def turn(shared_postgres: SharedPostgres) -> AsyncIterator[None]:
    """Only one Chromium of this session runs at a time: encoding video takes all that two cores have."""
    with (shared_postgres.folder / "chromium.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


async def play(
    scenarios: str, chromium: str, *, longest: float = LONGEST_SECONDS, **environment: str
) -> None:
    """Run a file of scenarios (`node:test`), for `longest` seconds at most. AssertionError with what it printed, when
    one fails.
    """
    process = await asyncio.create_subprocess_exec(
        find_node(),
        "--test-reporter=spec",
        FOLDER / scenarios,
        env=os.environ | {"CHROMIUM": chromium, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), longest)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, printed.decode()
