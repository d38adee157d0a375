"""Liveness, readiness, and what happens while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from neuron_meet.ops.health import Health
from neuron_meet.store.client import Database
from tests.rest.server import Server, serving
from tests.rest.shapes import error

UNAVAILABLE = error(503, "Service temporarily unavailable")


@pytest.fixture
async def own(database_url: str) -> AsyncIterator[Server]:
    """A server with a database of its own, which the test may take away."""
    database = Database(database_url)
    await database.start()
    async with serving(database) as running:
        yield running
    await database.stop()


async def test_greeting(server: Server) -> None:
    for path in ("/api", "/api/"):
        answer = await server.get(path)
        assert (answer.status, answer.body) == (200, "server running")
        assert answer.headers["content-type"].startswith("text/plain")


async def test_health(server: Server) -> None:
    answer = await server.get("/api/health")
    assert answer.status == 200
    uptime = answer.body["uptimeSeconds"]
    assert answer.body == {"status": "ok", "version": "1.2.3", "uptimeSeconds": uptime}
    assert isinstance(uptime, int)
    assert 0 <= uptime < 86_400


async def test_ready(server: Server) -> None:
    answer = await server.get("/api/ready")
    assert (answer.status, answer.body) == (
        200,
        {"status": "ready", "checks": {"database": "up"}, "missingIndexes": []},
    )


async def test_draining(own: Server) -> None:
    own.health.draining = True
    answer = await own.get("/api/health")
    assert answer.status == 503
    expected = error(503, "The server is shutting down") | {"status": "draining", "version": "1.2.3"}
    assert {name: value for name, value in answer.body.items() if name != "uptimeSeconds"} == expected
    answer = await own.get("/api/ready")
    assert answer.status == 503
    assert answer.body == error(503, "the server is shutting down") | {
        "status": "not ready",
        "checks": {"database": "up"},
        "missingIndexes": [],
    }


async def test_while_the_database_is_away(own: Server, capsys: pytest.CaptureFixture[str]) -> None:
    _, token = await own.account()
    await own.database.stop()
    assert (await own.get("/api/health")).status == 200, "alive all the same"
    answer = await own.get("/api/ready")
    assert answer.status == 503
    assert answer.body == error(503, "database is down") | {
        "status": "not ready",
        "checks": {"database": "down"},
        "missingIndexes": [],
    }
    email = "secret-address@example.com"
    for answer in (
        await own.get("/api/auth/me", token),
        await own.post("/api/auth/login", {"email": email, "password": "a password"}),
        await own.post(
            "/api/auth/register", {"email": email, "password": "a password", "displayName": "Ada"}
        ),
        await own.get("/api/rooms/code/abc-def-ghi"),
        await own.post("/api/rooms", {}, token),
    ):
        assert (answer.status, answer.body) == (503, UNAVAILABLE)
        assert answer.headers["retry-after"] == "1"
    logged = capsys.readouterr()
    assert email not in logged.out + logged.err
    assert token not in logged.out + logged.err
    await own.database.start()
    assert (await own.get("/api/auth/me", token)).status == 200
    assert (await own.get("/api/ready")).status == 200


async def test_a_dependency_that_does_not_answer_is_down() -> None:
    async def works() -> None:
        return None

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise ConnectionError("postgresql://user:password@host")

    health = Health("1", {"database": works, "redis": hangs, "other": fails}, deadline_seconds=0.05)
    assert await health.dependencies() == {"database": "up", "redis": "down", "other": "down"}
