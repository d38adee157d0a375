"""Real processes under faults. `CHAOS=long` (make chaos) does everything as often as issue 4 asks for."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.figures import Figures
from tests.chaos.postgres import Postgres, postgres_in
from tests.postgres import copied


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Where this test writes down what it measured."""
    return Figures(record_property)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter: pytest closes its folders to others, also while tests run."""
    made = Path(tempfile.mkdtemp(prefix="nm-chaos-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for this test's programs and databases."""
    with open_folder() as made:
        yield made


@pytest.fixture
def used_folder(folder: Path, embedded_data: Path) -> Path:
    """The same folder as a first start, long ended, left it: PostgreSQL's data is there, and all migrations."""
    copied(embedded_data, folder / "data" / "postgres")
    return folder


@pytest.fixture(scope="session")
async def outside(meetings_data: Path) -> AsyncIterator[Postgres]:
    """An external PostgreSQL whose first database has all migrations."""
    with open_folder() as made:
        async with postgres_in(made, meetings_data) as server:
            yield server


@pytest.fixture
async def database(outside: Postgres) -> Postgres:
    """That server with a database for this test only; running, whatever the test before did to it."""
    if not (outside.data / "postmaster.pid").exists():
        await outside.start()
    await outside.next_database(f"t_{uuid.uuid4().hex}", "meetings")
    return outside


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print every figure below its test."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.user_properties and report.when == "call"
    ]
    if reports:
        terminalreporter.section("figures")
    for report in sorted(reports, key=lambda report: report.nodeid):
        terminalreporter.write_line(report.nodeid.split("::", 1)[1])
        for name, value in report.user_properties:
            terminalreporter.write_line(f"    {name}: {value}")
