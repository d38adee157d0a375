"""What strangers cause at will is written once, and then counted, in a table of bounded size."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
import structlog.testing

from neuron_meet import repeats
from neuron_meet.audit import MOST_DONE, OPERATOR, Audit
from neuron_meet.repeats import MOST_KEYS, MOST_KEYS_OF_ONE, Repeats, seldom

log = structlog.get_logger(__name__)


class Sheet:
    """What was written, and the table that decides on it, whose minutes end when the test says so."""

    def __init__(self) -> None:
        self.repeats = Repeats(seconds=3600)
        self.lines: list[Any] = []

    def say(self, what: str = "refused", owner: str = "", burst: int = 1, **by: object) -> None:
        def again(who: repeats.Facts, count: int) -> None:
            self.lines.append((what, dict(who), count))

        self.repeats.say(what, by, lambda: self.lines.append((what, by)), again, owner=owner, burst=burst)

    def minute(self) -> list[Any]:
        """Have the minute end. Returns what was written since the last one."""
        self.repeats._minute()
        lines, self.lines = self.lines, []
        return lines


async def test_the_first_and_then_a_line_a_minute() -> None:
    sheet = Sheet()
    for _ in range(5):
        sheet.say(address="192.0.2.1")
    sheet.say(address="192.0.2.2")
    sheet.say("dropped", address="192.0.2.1")
    one = {"address": "192.0.2.1"}
    firsts = [("refused", one), ("refused", {"address": "192.0.2.2"}), ("dropped", one)]
    assert sheet.minute() == [*firsts, ("refused", one, 4)]
    for _ in range(3):
        sheet.say(address="192.0.2.1")
    assert sheet.minute() == [("refused", one, 3)], "it goes on: no first line again"
    assert sheet.minute() == []
    sheet.say(address="192.0.2.1")
    assert sheet.minute() == [("refused", one)], "after a minute without any it begins anew"
    sheet.repeats.flush()


async def test_one_address_with_a_thousand_names_has_a_share_of_the_table() -> None:
    sheet = Sheet()
    for number in range(1000):
        sheet.say(owner="192.0.2.1", address="192.0.2.1", subject=f"{number}@example.com")
    sheet.say(owner="192.0.2.2", address="192.0.2.2", subject="ada@example.com")
    lines = sheet.minute()
    assert len(lines) == MOST_KEYS_OF_ONE + 2
    assert lines[-1] == ("refused", {"address": "192.0.2.1"}, 1000 - MOST_KEYS_OF_ONE)
    assert ("refused", {"address": "192.0.2.2", "subject": "ada@example.com"}) in lines
    sheet.repeats.flush()


async def test_the_table_is_bounded_whoever_comes() -> None:
    sheet = Sheet()
    for _ in range(3):
        for number in range(10_000):
            sheet.say(owner=str(number), address=str(number))
    lines = sheet.minute()
    assert len(lines) <= 2 * MOST_KEYS + 1
    assert sum(line[2] if len(line) > 2 else 1 for line in lines) == 30_000, "none is lost"
    assert len(sheet.repeats._entries) <= MOST_KEYS + 1
    for _ in range(2):
        sheet.minute()
    assert not sheet.repeats._entries
    assert not sheet.repeats._owners


async def test_minutes_pass_by_themselves() -> None:
    told = asyncio.Event()
    table = Repeats(seconds=0.01)
    for _ in range(2):
        table.say("refused", {}, lambda: None, lambda _by, _count: told.set())
    await asyncio.wait_for(told.wait(), 30)


def test_another_loop_has_a_table_of_its_own() -> None:
    sheet = Sheet()

    async def twice() -> None:
        sheet.say(address="192.0.2.1")
        sheet.say(address="192.0.2.1")

    asyncio.run(twice())
    asyncio.run(twice())
    one = {"address": "192.0.2.1"}
    assert sheet.lines == [("refused", one), ("refused", one, 1), ("refused", one)]
    sheet.say(address="192.0.2.1")
    assert sheet.lines[-1] == ("refused", one), "without a loop nobody would tell the count"


async def test_in_the_log() -> None:
    with structlog.testing.capture_logs() as logged:
        for number in range(4):
            seldom(log.warning, "slow client dropped", by={"address": f"2001:db8::{number}"}, sid=number)
        repeats.LOG.flush()
    of_all = {"event": "slow client dropped", "log_level": "warning"}
    assert logged == [
        {**of_all, "address": "2001:db8::0", "sid": 0},
        {**of_all, "address": "2001:db8::", "again": 3},
    ]


async def test_in_the_audit(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    audit = Audit(str(file), "node-1")
    for _ in range(1000):
        audit.record("login", outcome="TOO_MANY_REQUESTS", subject="ada@example.com", address="192.0.2.1")
    for number in range(MOST_DONE + 5):
        audit.record("change-room", actor="ada", room=f"r{number}", detail={"isLocked": True})
    for _ in range(MOST_DONE + 5):
        audit.record("admin.kick", actor=OPERATOR, address="192.0.2.9")
    for number in range(100):
        audit.record("control-room", outcome="ONLY_HOST_END", actor="bob", room=f"r{number}")
    audit.close()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    logins = [line for line in lines if line["action"] == "login"]
    assert [line.get("count") for line in logins] == [None, 999]
    assert logins[1] == {
        "time": logins[1]["time"],
        "node": "node-1",
        "action": "login",
        "outcome": "TOO_MANY_REQUESTS",
        "subject": "ada@example.com",
        "address": "192.0.2.1",
        "count": 999,
    }
    changes = [line.get("count") for line in lines if line["action"] == "change-room"]
    assert changes == [None] * MOST_DONE + [5]
    assert len([line for line in lines if line["action"] == "admin.kick"]) == MOST_DONE + 5
    assert [line.get("count") for line in lines if line["action"] == "control-room"] == [None, 99]


@pytest.mark.parametrize("action", ["login", "register"])
def test_without_a_loop_each_is_recorded(tmp_path: Path, action: str) -> None:
    file = tmp_path / "audit.jsonl"
    audit = Audit(str(file))
    for _ in range(3):
        audit.record(action, outcome="TOO_MANY_REQUESTS", subject="ada@example.com")
    audit.close()
    assert len(file.read_text().splitlines()) == 3
