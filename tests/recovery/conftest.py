"""Servers on which dropped clients may come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from neuron_meet.app import Server, running
from tests.wire.clients import Driver
from tests.wire.meeting import Meet, settings_for

BRIEF_SECONDS = 0.5
PONG_SECONDS = 1.5
"""How long a ping may go unanswered: longer than a machine that others use too stands still."""
"""A grace that a test can wait for."""


@pytest.fixture(scope="session")
async def shared_server(shared_database: str) -> AsyncIterator[Server]:
    """A server with a grace that no test outlasts."""
    async with running(settings_for(recovery_grace_seconds=60), shared_database) as server:
        yield server


@pytest.fixture
def servers(shared_server: Server) -> list[Server]:
    """That one is all there is."""
    return [shared_server]


@pytest.fixture(scope="session")
async def brief_server(shared_database: str) -> AsyncIterator[Server]:
    """A server with a grace of half a second, which notices a silent network within two."""
    settings = settings_for(
        recovery_grace_seconds=BRIEF_SECONDS, ping_interval_seconds=0.3, ping_timeout_seconds=PONG_SECONDS
    )
    async with running(settings, shared_database) as server:
        yield server


@pytest.fixture
async def brief_meet(brief_server: Server, pool: Any, js: Driver) -> AsyncIterator[Meet]:
    """This test's view of that one."""
    async with ClientSession() as session:
        view = Meet([brief_server], pool, js, session)
        yield view
        view.disconnect_all()
