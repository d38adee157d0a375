"""One stranger after the other at a meeting: everybody stays, memory is bounded, the stranger is gone or costs little.

The short form takes some of the table (tests/hostile/table.py); `make hostile` takes all, and prints what each costs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.arena import Cost, arena
from tests.hostile.conftest import SECTION, seconds, strangers
from tests.hostile.table import GROUPS
from tests.wire.clients import Driver


@pytest.mark.parametrize("group", GROUPS)
async def test_a_stranger_costs_nothing_that_others_notice(
    group: str, tmp_path: Path, database_url: str, js: Driver, request: pytest.FixtureRequest
) -> None:
    costs: list[Cost] = []
    coming = strangers(group)
    if not coming:
        pytest.skip("HOSTILE names nobody of this group")
    try:
        async with arena(tmp_path, database_url, js) as place:
            for stranger in coming:
                cost = await place.meet(stranger, seconds())
                costs.append(cost)
    finally:
        request.node.add_report_section("call", SECTION, "\n".join(cost.as_text() for cost in costs))
    wrong = [f"{cost.name}: {what}" for cost in costs for what in cost.wrong]
    assert not wrong, "\n" + "\n".join(wrong)
