"""`HOSTILE=long` (make hostile): the whole table; `HOSTILE=NAME;…`: those whose names begin so; else the short form."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.hostile.table import TABLE, Stranger

SECTION = "what strangers cost"
SHORT_SECONDS, LONG_SECONDS = 0.3, 1.5


def seconds() -> float:
    """How long each stranger has: HOSTILE_SECONDS, or as the form has it."""
    form = LONG_SECONDS if os.environ.get("HOSTILE") else SHORT_SECONDS
    return float(os.environ.get("HOSTILE_SECONDS", form))


@pytest.fixture
def long() -> bool:
    """Whether this is the long form."""
    return os.environ.get("HOSTILE") == "long"


def strangers(group: str) -> list[Stranger]:
    """Who comes, of a group."""
    wanted = os.environ.get("HOSTILE", "")
    of_group = [entry for entry in TABLE if entry.group == group]
    if wanted == "long":
        return of_group
    if wanted:
        return [entry for entry in of_group if entry.name.startswith(tuple(wanted.split(";")))]
    return [entry for entry in of_group if entry.short]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what each stranger cost; in the short form only the worst."""
    found = [
        json.loads(line)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call"
        for name, content in report.sections
        if SECTION in name
        for line in content.splitlines()
    ]
    if not found:
        return
    write = terminalreporter.write_line
    terminalreporter.section(SECTION)
    if os.environ.get("HOSTILE"):
        head = ("p99 ms", "ack ms", "stall ms", "memory MB", "log kB", "CPU ms", "sent MB", "lost")
        write(f"{'':58}" + "".join(f"{name:>10}" for name in head) + "  fate")
        for cost in found:
            figures = (
                f"{cost['p99'] * 1000:.0f}",
                f"{cost['longest'] * 1000:.0f}",
                f"{cost['longest_stall'] * 1000:.0f}",
                f"{cost['memory'] / 1e6:.1f}",
                f"{cost['logged'] / 1e3:.1f}",
                f"{cost['cpu'] * 1000:.0f}",
                f"{cost['sent'] / 1e6:.2f}",
                str(len(cost["lost"])),
            )
            fate = " ".join(
                [cost["fate"], *(f"({number} × {what})" for what, number in cost["refused"].items())]
            )
            write(f"{cost['name'][:57]:58}" + "".join(f"{figure:>10}" for figure in figures) + f"  {fate}")
            for wrong in cost["wrong"]:
                write(f"    WRONG: {wrong}")
    for what, key, scale, unit in (
        ("longest acknowledgement of an honest person", "longest", 1000, "ms"),
        ("p99 of theirs", "p99", 1000, "ms"),
        ("longest stall of the loop that the server saw (over 100 ms)", "longest_stall", 1000, "ms"),
        ("CPU time of the loop", "cpu", 1000, "ms"),
        ("growth of the server's memory", "memory", 1e-6, "MB"),
    ):
        worst = max(found, key=lambda cost: cost[key])
        write(f"worst {what}: {worst[key] * scale:.0f} {unit} ({worst['name']})")
    write(f"honest people lost: {sum(len(cost['lost']) for cost in found)}; strangers: {len(found)}")
