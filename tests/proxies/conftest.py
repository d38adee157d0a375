"""One server in production mode, and for each module one proxy of each kind in front of it."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.process.program import Program, serving
from tests.proxies.fronts import KINDS, Certificate, Front, fronting

PRODUCTION = {
    "NODE_ENV": "production",
    "HOST": "127.0.0.1",
    "JWT_SECRET": "a-secret-of-these-tests-of-32-bytes-or-more",
    "TRUSTED_PROXIES": "127.0.0.1",
    "LIMIT_LOOKUPS_ADDRESS": "3 per hour",
    "PING_INTERVAL_SECONDS": "60",
}
"""Clients of these tests come from other addresses than the proxies. No ping falls into a cut: its answer, a POST, no
proxy repeats."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder for the module's programs."""
    with tempfile.TemporaryDirectory(prefix="nm-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
async def server(shared_database: str) -> AsyncIterator[Program]:
    """The server; only tests that leave it running share it."""
    with tempfile.TemporaryDirectory(prefix="nm-") as folder:
        async with serving(Path(folder), DATABASE_URL=shared_database, **PRODUCTION) as program:
            yield program


@pytest.fixture(scope="module")
async def certificate(place: Path) -> Certificate:
    """Of meet.example.com."""
    return await Certificate.made(place)


@pytest.fixture(scope="module", params=KINDS)
async def front(
    request: pytest.FixtureRequest, place: Path, certificate: Certificate, server: Program
) -> AsyncIterator[Front]:
    """A proxy before the server."""
    folder = place / f"{request.param}-{uuid.uuid4().hex[:6]}"
    folder.mkdir()
    async with fronting(request.param, folder, certificate, server.url) as front:
        yield front
