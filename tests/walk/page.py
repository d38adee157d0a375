"""The long tables of the built-in page (`make walk`; ten minutes): every state of it at every size, and media that
has no path for 28 s, a minute and five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from neuron_meet.app import running
from tests.browser.conftest import chromium, play, turn
from tests.browser.test_page import relayed
from tests.wire.meeting import settings_for

__all__ = ["chromium", "turn"]

LONGEST_SECONDS = 1_200


@pytest.mark.parametrize(
    ("scenarios", "environment"),
    [("layout.test.mjs", {"LAYOUT": "whole"}), ("paths.test.mjs", {"WITHOUT_PATH_S": "28,60,300"})],
    ids=["every state at every size", "without a path for minutes"],
)
async def test_the_page_at_length(
    scenarios: str, environment: Mapping[str, str], chromium: str, turn: None, database_url: str
) -> None:
    settings, relay = relayed()
    async with running(settings_for(**settings), database_url) as server:
        await play(
            scenarios,
            chromium,
            longest=LONGEST_SECONDS,
            NEURON_MEET_URL=server.url,
            **relay,
            **environment,
        )
