"""What took long is said, with what it has waited for; a stranger's own slowness fills no log."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog.testing
from redis.asyncio import Redis

from neuron_meet.slowness import CONNECTION, ITSELF, REDIS, Waits, say_slow_event
from tests.wire.clients import Driver
from tests.wire.meeting import enter, locked, meeting_on


def lines(logged: list[Any], event: str) -> list[dict[str, Any]]:
    return [line for line in logged if line["event"] == event]


async def test_a_slow_database(database_url: str, js: Driver) -> None:
    async with meeting_on(database_url, js, slow_event_ms=1) as meet:
        place, client = await meet.place(), await meet.connect()
        with structlog.testing.capture_logs() as logged:
            async with locked(meet, "Participant") as waits:
                joining = asyncio.create_task(enter(client, place, "Nobody's business"))
                await waits()
                for _ in range(200):
                    await meet.sql("SELECT 1")
            assert (await joining)["success"] is True
            await meet.quiet(client)
    (event,) = [line for line in lines(logged, "slow event") if line["socket_event"] == "join-room"]
    assert (event["sid"], event["room"], event["result"]) == (client.sid, place.code, "OK")
    assert event["slowest"] == "open Participant"
    assert event["milliseconds"] >= event["database_ms"] >= event["slowest_ms"] > 1
    assert {line["query"] for line in lines(logged, "slow query")} >= {"open Participant"}
    assert "business" not in str(logged)


async def test_a_slow_redis(database_url: str, redis_url: str, js: Driver) -> None:
    async with (
        meeting_on(database_url, js, slow_event_ms=100, redis_url=redis_url) as meet,
        Redis.from_url(redis_url) as redis,
    ):
        place, client = await meet.place(), await meet.connect()
        with structlog.testing.capture_logs() as logged:
            await redis.client_pause(400)
            assert (await enter(client, place, "Ada"))["success"] is True
            await meet.quiet(client)
    (event,) = [line for line in lines(logged, "slow event") if line["socket_event"] == "join-room"]
    assert event["slowest"] == "redis"
    assert event["milliseconds"] >= event["redis_ms"] >= 100


async def test_what_is_not_slow_or_not_wanted(database_url: str, js: Driver) -> None:
    for slow_event_ms in (60_000, 0):
        with structlog.testing.capture_logs() as logged:
            async with meeting_on(database_url, js, slow_event_ms=slow_event_ms) as meet:
                await meet.company(await meet.place())
        assert not lines(logged, "slow event") + lines(logged, "slow query")


@pytest.mark.parametrize(
    ("seconds", "queued", "waited", "slowest"),
    [
        (2.0, 0.0, {("enter", "Room"): 1.5, CONNECTION: 1.4, REDIS: 0.1}, "enter Room"),
        (2.0, 1.8, {("enter", "Room"): 0.15}, "enter Room"),
        (2.0, 0.0, {("enter", "Room"): 0.2, REDIS: 0.3}, ITSELF),
        (2.0, 0.0, {}, ITSELF),
    ],
)
async def test_what_is_the_reason(
    seconds: float, queued: float, waited: dict[tuple[str, str], float], slowest: str
) -> None:
    waits = Waits()
    waits.seconds.update(waited)
    with structlog.testing.capture_logs() as logged:
        say_slow_event("join-room", "OK", seconds, queued, waits, sid="s", room=None)
        say_slow_event("join-room", "OK", seconds, queued, waits, sid="t", room=None)
    (line,) = logged
    assert (line["slowest"], line["milliseconds"]) == (slowest, 2000)
    assert line.get("connection_ms") == (1400 if CONNECTION in waited else None)
