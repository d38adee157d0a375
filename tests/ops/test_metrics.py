"""Metrics of a running server: they count what happens, by Prometheus' own tools they are well formed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from tests.ops.programs import run
from tests.ops.prometheus import tool
from tests.ops.scrape import scrape
from tests.wire.clients import Driver
from tests.wire.meeting import NOWHERE, Meet, enter, meeting_on


@pytest.fixture
async def seen(database_url: str, js: Driver) -> AsyncIterator[Meet]:
    """A server of this test's own, with metrics."""
    async with meeting_on(database_url, js, admin_port=0, rate_limit_enabled=True) as meet:
        yield meet


async def test_what_happens_is_counted(seen: Meet) -> None:
    before = await scrape(seen.server.admin_url)
    place = await seen.place(waitingRoom=True)
    host = await seen.join(place, place.host)
    waiting = await seen.connect()
    assert (await enter(waiting, place))["waiting"]
    open_place = await seen.place()
    one = await seen.join(open_place, open_place.host)
    two = await seen.join(open_place)
    stranger = await seen.connect()
    assert not (await stranger.ask("join-room", {"roomCode": NOWHERE}))["success"]
    await one.ask("chat-message", {"roomId": open_place.id, "content": "not for metrics"})
    await one.ask("offer", {"targetId": two.sid, "sdp": {"type": "offer", "sdp": "v=0"}})
    await stranger.ask("chat-message", 5)
    now = await scrape(seen.server.admin_url)

    assert now.value("connections") == 5
    assert now.value("rooms") == 2
    assert now.value("participants") == 3
    assert now.value("waiting_participants") == 1
    assert now.value("joins_total", result="OK") == 3
    assert now.value("joins_total", result="ROOM_NOT_FOUND") == 1
    assert now.value("joins_total", result="WAITING_FOR_HOST") == 1
    assert now.value("relays_total") == 1
    assert now.value("events_total", event="chat-message") == 1
    assert now.value("events_refused_total", event="chat-message", reason="INVALID_REQUEST") == 1
    assert now.value("event_duration_seconds_count", event="join-room") == 4
    assert now.value("event_duration_seconds_count", event="chat-message") == 1
    assert now.value("fanout_messages_total") >= 3  # the chat to two, the coming of the second
    joined = {"operation": "open", "model": "Participant"}
    counted = "database_call_duration_seconds_count"
    assert now.value(counted, **joined) - before.value(counted, **joined) == 3
    assert (
        now.value("database_connections", state="idle") + now.value("database_connections", state="busy") > 0
    )
    async with asyncio.timeout(30):  # it is measured from time to time, whatever happens
        while (await scrape(seen.server.admin_url)).value("event_loop_lag_seconds_count") == 0:
            await asyncio.sleep(0.02)
    assert now.value("build_info", version="0.1.0") == 1
    for secret in ("not for metrics", place.id, place.code, host.sid, place.host.id):
        assert secret not in now.text


async def test_faults_are_counted(seen: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await seen.place()
    guest = await seen.join(place, transports=["websocket"])
    # At once: a bucket refills while it is emptied one by one.
    ask = ("chat-message", {"roomId": place.id, "content": "fast"})
    await asyncio.gather(*(guest.ask(*ask) for _ in range(16)))
    await seen.sql('ALTER TABLE "Room" RENAME TO "Elsewhere"')
    assert not (await enter(await seen.connect(), place))["success"]
    now = await scrape(seen.server.admin_url)

    assert now.value("rate_limited_total", kind="event") == 1
    assert now.value("events_refused_total", event="chat-message", reason="TOO_MANY_MESSAGES") == 1
    assert now.value("joins_total", result="UNAVAILABLE") == 1
    failed = {
        key: value for key, value in now.samples.items() if key[0] == "neuron_meet_database_errors_total"
    }
    assert sum(failed.values()) == 1, failed


async def test_prometheus_own_linter_has_nothing_to_say(seen: Meet) -> None:
    promtool = tool("promtool")
    await seen.join(await seen.place())
    text = (await scrape(seen.server.admin_url)).text
    assert await run(promtool, "check", "metrics", given=text) == (0, "")


async def test_without_a_token_there_are_metrics_and_nothing_else(seen: Meet) -> None:
    async with ClientSession(seen.server.admin_url) as session:
        for path in ("/", "/rooms", "/settings", "/metrics/", "/api/health"):
            async with session.get(path) as response:
                assert response.status == 404, path
        async with session.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await response.text()).endswith("# EOF\n")
            assert "Server" not in response.headers
    async with ClientSession(seen.server.url) as session, session.get("/metrics") as public:
        assert "neuron_meet_" not in await public.text()


async def test_documented_metrics_are_those_that_there_are(seen: Meet) -> None:
    from tests.unit.test_docs import read  # noqa: PLC0415 -- its tests are collected where they stand

    await seen.join(await seen.place())
    text = (await scrape(seen.server.admin_url)).text
    shown = set(re.findall(r"^# TYPE (neuron_meet_\w+)", text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(neuron_meet_\w+)`", read("docs/operations.md"), re.MULTILINE))
    of_others = {name for name in documented if name.startswith("neuron_meet_redis_")}
    assert documented - of_others == shown
