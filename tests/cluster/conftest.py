"""Three nodes in one process, with a real Redis between them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from neuron_meet.signaling.presence.cluster import ClusterPresence
from tests.cluster.test_presence import stop, three_nodes
from tests.cluster.told import Told


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def presences(redis_url: str, told: Told) -> AsyncIterator[list[ClusterPresence]]:
    """Three nodes; the number of a socket's node stands at the end of its name."""
    made = await three_nodes(redis_url, lambda sid: int(sid[-1]), told.hear)
    yield made
    await stop(made)
