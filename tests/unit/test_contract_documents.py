"""The contract for machines: generated from the declarations, complete, and what its readers take."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from neuron_meet.contract.asyncapi import asyncapi
from neuron_meet.contract.typescript import typescript
from neuron_meet.signaling.events import CLIENT_EVENTS, SERVER_EVENTS
from neuron_meet.store.assets import project_dir
from neuron_meet.store.node import find_node
from tests.postgres import SharedPostgres

CLIENT = """
import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents, RoomJoined } from "./events";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://localhost:3001");
socket.on("room-joined", (room: RoomJoined) => {
  for (const participant of room.participants)
    socket.emit("offer", { targetId: participant.socketId, sdp: { type: "offer", sdp: "v=0" } });
});
socket.on("chat-message", ({ senderName, content, user }) => console.log(senderName, content, user?.name));
socket.emit("join-room", { roomCode: "abc-def-ghi", displayName: "Ada" }, (reply) => {
  if (reply.success) console.log(reply.roomId, reply.iceServers?.length, reply.features.includes("chat-ids"));
  else console.log(reply.error);
});
socket.emit("chat-message", { roomId: "r", content: "hi", clientId: "1" }, (reply) => console.log(reply.success));
"""

WRONG = """
import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "./events";
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://localhost:3001");
socket.emit("join-room", { room: "abc-def-ghi" });
"""


@pytest.fixture(scope="session")
def complaints(shared_postgres: SharedPostgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What TypeScript says of both clients; nothing of the first, if all is well. Asked once a session."""
    said = shared_postgres.folder / "typescript"
    with shared_postgres.once("typescript") as first:
        if first:
            said.write_text(_compile(tmp_path_factory.mktemp("typescript")))
    return said.read_text()


def _compile(folder: Path) -> str:
    (folder / "events.d.ts").write_text(typescript())
    (folder / "client.ts").write_text(CLIENT)
    (folder / "wrong.ts").write_text(WRONG)
    (folder / "node_modules").symlink_to(project_dir() / "node_modules")
    tsc = project_dir() / "node_modules" / "typescript" / "bin" / "tsc"
    options = [
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
        # TypeScript's own declarations are not the subject; ours and socket.io-client's are.
        "--skipDefaultLibCheck",
    ]
    done = subprocess.run(
        [find_node(), tsc, *options, "--lib", "es2022,dom", "client.ts", "wrong.ts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0, done.stdout + done.stderr
    return done.stdout


def test_a_client_compiles_against_the_types(complaints: str) -> None:
    of_others = [line for line in complaints.splitlines() if not line.startswith(("wrong.ts(", " "))]
    assert of_others == []


def test_a_wrong_payload_does_not_compile(complaints: str) -> None:
    assert "wrong.ts(" in complaints
    assert "'room' does not exist" in complaints


def test_asyncapi_names_every_event_once_in_each_direction() -> None:
    document = asyncapi()
    assert set(document["operations"]) == {
        *(f"receive {name}" for name in CLIENT_EVENTS),
        *(f"send {name}" for name in SERVER_EVENTS),
    }


def test_asyncapis_own_parser_understands_the_document() -> None:
    """Every operation, and nothing to complain of; it does complain of one that is wrong."""
    document = json.dumps(asyncapi("https://meet.example.org"))
    broken = document.replace("#/channels/socket/messages/JoinRoom", "#/channels/socket/messages/Nobody")
    done = subprocess.run(
        [find_node(), Path(__file__).with_name("asyncapi.mjs")],
        input=json.dumps([document, broken]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    right, wrong = json.loads(done.stdout)
    # 3.1 changes nothing that is used here, and 3.0 is what readers know.
    assert [found for found in right["wrong"] if found["code"] != "asyncapi-latest-version"] == []
    assert set(right["operations"]) == set(asyncapi()["operations"])
    assert any(
        "Nobody" in found["message"] or "JoinRoom" in found["path"] or "receive join-room" in found["path"]
        for found in wrong["wrong"]
    ), wrong


def test_asyncapis_references_lead_somewhere() -> None:
    document = asyncapi()

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for item in node for ref in references(item)] if isinstance(node, list) else []

    found = references(json.loads(json.dumps(document)))
    assert len(found) > 100
    for reference in found:
        target: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(target, dict)
            assert part in target, reference
            target = target[part]


@pytest.mark.parametrize("name", sorted({*CLIENT_EVENTS, *SERVER_EVENTS}))
def test_the_types_name_every_event(name: str) -> None:
    assert f'"{name}": (payload: ' in typescript()
