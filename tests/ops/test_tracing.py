"""Traces of events, as a receiver of OTLP gets them from the real program; and nothing at all where they are off."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.ops.collector import collecting, tree
from tests.process.program import Program, serving
from tests.process.visitor import Visitor, visiting
from tests.wire.meeting import NOWHERE

SAID = "said into the meeting"
NAME = "Ada of the traces"
SECRET = "a-secret-of-these-tests-of-32-bytes-or-more"


def lines(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("clustered", [False, True])
async def test_a_join_from_frame_to_row(
    database_url: str, tmp_path: Path, redis_url: str, clustered: bool
) -> None:
    environment = {"DATABASE_URL": database_url, "LOG_FORMAT": "json", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    environment |= {"REDIS_URL": redis_url, "JWT_SECRET": SECRET} if clustered else {}
    async with (
        collecting() as collector,
        serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **environment) as program,
        visiting(program.url) as ada,
    ):
        await ada.register(NAME)
        room = await ada.room()
        socket = await ada.socket()
        joining = {"roomCode": room["code"], "displayName": NAME}
        assert (await socket.ask("join-room", joining))["success"]
        root, spans = await collector.event("join-room", "OK")
        commit = ["commit"] if clustered else []

        def step(name: str) -> Any:
            return (name, commit) if commit else name

        assert tree(spans) == [
            (
                "join-room",
                [
                    ("look up room", ["enter Room"]),
                    step("reserve seat"),
                    ("open row", ["open Participant"]),
                    step("admit"),
                ],
            )
        ]
        node = root.resource["service.instance.id"]
        assert root.resource["service.name"] == "neuron-meet"
        assert root.said | {"neuron_meet.queued_us": 0} == {
            "neuron_meet.node": node,
            "neuron_meet.socket.id": socket.sid,
            "neuron_meet.room.id": room["id"],
            "neuron_meet.result": "OK",
            "neuron_meet.queued_us": 0,
        }
        calls = [span for span in spans if "db.system.name" in span.said]
        assert [span.said for span in calls] == [
            {"db.system.name": "postgresql", "db.operation.name": operation, "db.collection.name": model}
            for operation, model in (("enter", "Room"), ("open", "Participant"))
        ]
        assert all(root.begun <= span.begun <= span.ended <= root.ended for span in spans)
        assert not any(span.failed for span in spans)

        await events_that_fail(collector, ada, socket, room)
        assert (await socket.ask("chat-message", {"roomId": room["id"], "content": SAID}))["success"]
        spoken, _ = await collector.event("chat-message", "OK")
        assert spoken.said["neuron_meet.room.id"] == room["id"]
        assert await program.stop() == 0

        logged = lines(program)
        (joined,) = [line for line in logged if line["event"] == "joined"]
        assert joined["trace_id"] == root.trace
        assert "trace_id" not in next(line for line in logged if line["event"] == "listening")
        # Every line names its node where there are others; only the first ones come before it has a name.
        named = logged[[line["event"] for line in logged].index("listening") :]
        assert {line.get("node") for line in named} == {node if clustered else None}
        sent = b"".join(collector.bodies)
        for secret in (ada.token, ada.password, ada.email, NAME, SAID, room["code"], "SELECT"):
            assert secret.encode() not in sent, secret


async def events_that_fail(collector: Any, ada: Visitor, socket: Any, room: dict[str, Any]) -> None:
    """A refusal is a result; a failure of the server's is one too, and the trace is marked."""
    other = await ada.socket()
    assert not (await other.ask("join-room", {"roomCode": NOWHERE}))["success"]
    refused, _ = await collector.event("join-room", "ROOM_NOT_FOUND")
    assert not refused.failed
    assert "neuron_meet.room.id" not in refused.said
    not_there = {"roomId": room["id"], "targetId": "nobody"}
    assert not (await socket.ask("mute-participant", not_there))["success"]
    missed, _ = await collector.event("mute-participant", "TARGET_NOT_IN_ROOM")
    assert missed.said["neuron_meet.room.id"] == room["id"]


async def test_a_failing_join_says_where(database_url: str, tmp_path: Path) -> None:
    async with (
        collecting() as collector,
        serving(
            tmp_path,
            DATABASE_URL=database_url,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.url}/",
            OTEL_SERVICE_NAME="meet-eu",
            OTEL_BSP_SCHEDULE_DELAY="50",
        ) as program,
        visiting(program.url) as ada,
    ):
        await ada.register()
        room = await ada.room()
        socket = await ada.socket()
        connection = await asyncpg.connect(database_url)
        await connection.execute('ALTER TABLE "Participant" RENAME TO "Elsewhere"')
        await connection.close()
        assert not (await socket.ask("join-room", {"roomCode": room["code"]}))["success"]
        root, spans = await collector.event("join-room", "UNAVAILABLE")
        assert root.resource["service.name"] == "meet-eu"
        failed = {span.name: span.said["error.type"] for span in spans if span.failed}
        assert failed == dict.fromkeys(("join-room", "open row", "open Participant"), "TableNotFoundError")


async def test_a_collector_that_is_away_holds_nobody_up(database_url: str, tmp_path: Path) -> None:
    async with (
        serving(
            tmp_path, DATABASE_URL=database_url, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9"
        ) as program,
        visiting(program.url) as ada,
    ):
        await ada.register()
        room = await ada.room()
        socket = await ada.socket()
        assert (await socket.ask("join-room", {"roomCode": room["code"]}))["success"]
        assert await program.stop() == 0


async def test_off_it_is_not_even_imported(tmp_path: Path) -> None:
    code = (
        "import sys, neuron_meet.app, neuron_meet.mounting, neuron_meet.workers\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    )
    assert await outcome(tmp_path, code) == (0, "[]")


async def test_without_its_packages_the_start_says_what_to_install(database_url: str, tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['opentelemetry'] = None\nfrom neuron_meet.cli import main\nmain(['serve'])"
    )
    status, output = await outcome(
        tmp_path, code, DATABASE_URL=database_url, PORT="0", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9"
    )
    assert status == 1
    assert "pip install 'neuron-meet[tracing]'" in output


async def outcome(folder: Path, code: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a Python that runs `code`."""
    program = await Program.run((sys.executable, "-c", code), folder, environment)
    try:
        return await program.ended(60), program.output
    finally:
        await program.clean_up()
