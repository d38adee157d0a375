"""Three nodes in one process, with a real Redis between them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cluster.redis import Redis, redis
from neuron_meet.signaling.presence.cluster import ClusterPresence
from tests.cluster.test_presence import stop, three_nodes
from tests.cluster.told import Told

FORMER = "97a355744d8d3e85bff64bc18b2e63bc08b8aa33"
"""The last commit without a number of the cluster's format, whose own code the test of an upgrade runs."""
HAS_HISTORY = not subprocess.run(
    ["git", "cat-file", "-e", FORMER], cwd=Path(__file__).parent, capture_output=True, check=False
).returncode
collect_ignore = [] if HAS_HISTORY else ["test_upgrade.py"]  # a shallow clone, or a source distribution


@pytest.fixture
async def server() -> AsyncIterator[Redis]:
    """A Redis of the test's own, which it stops."""
    with tempfile.TemporaryDirectory(prefix="nm-redis-") as folder:
        async with redis(Path(folder)) as server:
            yield server


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def presences(redis_url: str, told: Told) -> AsyncIterator[list[ClusterPresence]]:
    """Three nodes; the number of a socket's node stands at the end of its name."""
    made = await three_nodes(redis_url, lambda sid: int(sid[-1]), told.hear)
    yield made
    await stop(made)
