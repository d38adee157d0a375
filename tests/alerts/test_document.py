"""The alerts' faults: what can be told of them, and of their table in the documents, without doing them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.alerts.faults import FAULTS
from tests.ops.test_alerts import rules

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def test_there_is_a_fault_for_each_alert() -> None:
    assert {alert for fault in FAULTS for alert in fault.fires} == rules().keys()


def test_the_document_says_what_must_fire() -> None:
    table = (
        OPERATIONS.read_text()
        .partition("| fault, done for real | fires |\n|---|---|\n")[2]
        .partition("\n\n")[0]
    )
    must = [row.partition(" and perhaps ")[0] for row in table.splitlines()]
    assert [set(re.findall(r"`(NeuronMeet\w+)`", row)) for row in must] == [
        set(fault.fires) for fault in FAULTS
    ]
