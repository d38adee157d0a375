"""The alert rules in deploy/: each fires on its fault, all are quiet otherwise, and they name metrics that exist.

Prometheus' own tools decide (promtool); a real Prometheus loads the rules and scrapes a real server.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from neuron_meet.app import Server, running
from tests.ops.programs import run
from tests.ops.prometheus import DEADLINE, DEPLOY, RULES, prometheus, tool
from tests.ops.scrape import scrape
from tests.process.visitor import visiting
from tests.wire.meeting import settings_for

WELL = {
    "up{%s}": "1x60",
    'neuron_meet_joins_total{%s,result="OK"}': "0+30x60",
    'neuron_meet_joins_total{%s,result="ROOM_NOT_FOUND"}': "0+30x60",
    'neuron_meet_joins_total{%s,result="UNAVAILABLE"}': "0x60",
    'neuron_meet_event_duration_seconds_bucket{%s,event="join-room",le="0.05"}': "0+30x60",
    'neuron_meet_event_duration_seconds_bucket{%s,event="join-room",le="2.5"}': "0+30x60",
    'neuron_meet_event_duration_seconds_bucket{%s,event="join-room",le="+Inf"}': "0+30x60",
    'neuron_meet_events_refused_total{%s,event="chat-message",reason="TOO_MANY_MESSAGES"}': "0+5x60",
    'neuron_meet_events_refused_total{%s,event="chat-message",reason="SEND_FAILED"}': "0x60",
    'neuron_meet_database_errors_total{%s,operation="create",model="User",error="UniqueViolationError"}': "0+9x60",
    'neuron_meet_database_errors_total{%s,operation="create",model="User",error="EngineUnavailable"}': "0x60",
    "neuron_meet_database_waiting{%s}": "0 3 0 0x60",
    "neuron_meet_engine_restarts_total{%s}": "0 1x60",
    'neuron_meet_event_loop_lag_seconds_bucket{%s,le="0.025"}': "0+600x60",
    'neuron_meet_event_loop_lag_seconds_bucket{%s,le="0.5"}': "0+600x60",
    'neuron_meet_event_loop_lag_seconds_bucket{%s,le="+Inf"}': "0+600x60",
    "neuron_meet_slow_clients_dropped_total{%s}": "0+1x60",
    'neuron_meet_recoveries_total{%s,outcome="held"}': "0+60x60",
    'neuron_meet_recoveries_total{%s,outcome="lost"}': "0+20x60",
    "neuron_meet_reconciliation_differences_total{%s}": "0x60",
    "neuron_meet_unclosed_rows{%s}": "0 2 0 0x60",
    'neuron_meet_rate_limited_total{%s,kind="event"}': "0+60x60",
    "neuron_meet_redis_up{%s}": "1x60",
    "neuron_meet_redis_lag_seconds{%s}": "0.002x60",
}
"""A server that does well, a value a minute: some clients are slow, some go too fast, one engine has died."""

FAULTS: dict[str, dict[str, str]] = {
    "NeuronMeetDown": {"up{%s}": "1x10 0x50"},
    "NeuronMeetJoinsFail": {'neuron_meet_joins_total{%s,result="UNAVAILABLE"}': "0+6x60"},
    "NeuronMeetJoinsSlow": {
        'neuron_meet_event_duration_seconds_bucket{%s,event="join-room",le="0.05"}': "0+15x60"
    },
    "NeuronMeetChatFails": {
        'neuron_meet_events_refused_total{%s,event="chat-message",reason="SEND_FAILED"}': "0+1x60"
    },
    "NeuronMeetDatabaseErrors": {
        'neuron_meet_database_errors_total{%s,operation="create",model="User",error="EngineUnavailable"}': "0+9x60"
    },
    "NeuronMeetDatabaseBusy": {"neuron_meet_database_waiting{%s}": "0 4x60"},
    "NeuronMeetEngineRestarts": {"neuron_meet_engine_restarts_total{%s}": "0+1x60"},
    "NeuronMeetEventLoopSlow": {'neuron_meet_event_loop_lag_seconds_bucket{%s,le="0.025"}': "0+580x60"},
    "NeuronMeetSlowClients": {"neuron_meet_slow_clients_dropped_total{%s}": "0+20x60"},
    "NeuronMeetPlacesLost": {'neuron_meet_recoveries_total{%s,outcome="lost"}': "0+59x60"},
    "NeuronMeetRowsDiffer": {"neuron_meet_reconciliation_differences_total{%s}": "0x20 1x40"},
    "NeuronMeetRowsNotClosed": {"neuron_meet_unclosed_rows{%s}": "0 7x60"},
    "NeuronMeetTooFast": {'neuron_meet_rate_limited_total{%s,kind="event"}': "0+900x60"},
    "NeuronMeetRedisAway": {"neuron_meet_redis_up{%s}": "1x10 0x50"},
    "NeuronMeetRedisSlow": {"neuron_meet_redis_lag_seconds{%s}": "0.4x60"},
}

LABELS = 'job="neuron-meet",instance="one:9464"'


def rules() -> dict[str, str]:
    """The expression of each alert, as it stands in the file."""
    parts = re.split(r"^\s*- alert: (\w+)$", RULES.read_text(), flags=re.MULTILINE)[1:]
    return {
        name: re.split(r"^\s+(?:for|labels):", body.split("expr:", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def case(name: str, series: dict[str, str], firing: str | None) -> dict[str, Any]:
    """A test of promtool's: with these series `firing` alone fires at some time in an hour."""
    moments = [f"{minute}m" for minute in (25, 45)]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key % LABELS, "values": values} for key, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": moment,
                "exp_samples": [{"labels": f'{{alertname="{firing}"}}', "value": 1}] if firing else [],
            }
            for moment in moments
        ],
    }


async def test_each_alert_fires_on_its_fault_and_is_quiet_otherwise(tmp_path: Path) -> None:
    assert FAULTS.keys() == rules().keys()
    cases = [case("all is well", WELL, None)]
    cases += [case(alert, WELL | fault, alert) for alert, fault in FAULTS.items()]
    file = tmp_path / "tests.yaml"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
    code, said = await run(tool("promtool"), "test", "rules", file)
    assert code == 0, said


@pytest.fixture
async def observed(database_url: str) -> AsyncIterator[Server]:
    """A running server with metrics."""
    async with running(settings_for(admin_port=0), database_url) as server:
        yield server


async def talking(server: Server, until: asyncio.Event) -> int:
    """Three people relay as fast as they can, far beyond what one process carries; how many times."""
    sent = 0
    async with visiting(server.url) as who:
        await who.register()
        room = await who.room()
        sockets = [await who.socket(guest=True) for _ in range(3)]
        for socket in sockets:
            joined = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Guest"})
            assert joined["success"], joined
        while not until.is_set():
            for one, other in zip(sockets, [*sockets[1:], sockets[0]], strict=True):
                for _ in range(50):
                    await one.emit("ice-candidate", {"targetId": other.sid, "candidate": None})
                    sent += 1
            for socket in sockets:
                await socket.ask("no-such-event", {})
                socket.events.clear()
    return sent


async def test_a_real_prometheus_scrapes_the_server_under_load(observed: Server, tmp_path: Path) -> None:
    """In time and always, though the event loop has more to do than it can; and it knows the rules."""
    target = str(observed.admin_url).removeprefix("http://")
    async with prometheus(tmp_path, [target], interval="200ms") as asked:
        enough = asyncio.Event()
        load = asyncio.create_task(talking(observed, enough))
        async with asyncio.timeout(DEADLINE):
            while await asked.value("count_over_time(up[1m]) >= 12") == []:
                assert not load.done(), load.exception()
                await asyncio.sleep(0.1)
        enough.set()
        assert await load > 1000
        assert await asked.value("min_over_time(up[1m])") == [1.0]
        assert await asked.value("max_over_time(neuron_meet_relays_total[1m])") > [1000.0]
        (group,) = (await asked.asked("rules"))["groups"]
        assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
        assert (await asked.asked("alerts"))["alerts"] == []


async def test_rules_and_dashboard_name_metrics_that_exist(observed: Server) -> None:
    known = (await scrape(observed.admin_url)).text
    names = set(re.findall(r"^# TYPE (\w+)", known, re.MULTILINE)) | set(
        re.findall(r"^(\w+)", known, re.MULTILINE)
    )
    dashboard = json.loads((DEPLOY / "grafana" / "neuron-meet.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = set(re.findall(r"\b(?:neuron_meet|process)_\w+", " ".join([*expressions, *rules().values()])))
    asked = {name for name in asked if not name.startswith("neuron_meet_redis_")}  # tests/cluster has one
    assert {name for name in asked if re.sub("_(bucket|count|sum)$", "", name) not in names} == set()
