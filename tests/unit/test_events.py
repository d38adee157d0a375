"""The contract in code: names, fields and texts are those of the contract, spelled out here once more."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from neuron_meet.signaling.events import CLIENT_EVENTS, SERVER_EVENTS, ClientPayload, timestamp

# Each event that a client sends, with a payload as published front ends send it.
SENT: dict[str, dict[str, Any]] = {
    "join-room": {"roomCode": "abc-def-ghi", "userId": "u", "displayName": "Ada"},
    "leave-room": {"roomId": "r"},
    "offer": {"targetId": "t", "sdp": {"type": "offer", "sdp": "v=0"}},
    "answer": {"targetId": "t", "sdp": {"type": "answer", "sdp": "v=0"}},
    "ice-candidate": {"targetId": "t", "candidate": None},
    "toggle-audio": {"roomId": "r", "enabled": True},
    "toggle-video": {"roomId": "r", "enabled": False},
    "start-screen-share": {"roomId": "r"},
    "stop-screen-share": {"roomId": "r"},
    "toggle-hand-raise": {"roomId": "r", "raised": True},
    "chat-message": {"roomId": "r", "content": "hello", "clientId": "1"},
    "typing-start": {"roomId": "r"},
    "typing-stop": {"roomId": "r"},
    "mute-participant": {"roomId": "r", "targetId": "t"},
    "remove-participant": {"roomId": "r", "participantId": "t"},
    "lock-room": {"roomId": "r", "locked": True},
}

# Each event that a client reads, with all of its fields.
READ: dict[str, set[str]] = {
    "room-joined": {"roomId", "roomCode", "isHost", "participants", "messages", "settings", "features"},
    "join-error": {"code", "message"},
    "user-joined": {"participant"},
    "user-left": {"socketId", "userId"},
    "offer": {"senderId", "userId", "displayName", "sdp"},
    "answer": {"senderId", "sdp"},
    "ice-candidate": {"senderId", "candidate"},
    "user-toggle-audio": {"socketId", "enabled"},
    "user-toggle-video": {"socketId", "enabled"},
    "screen-share-started": {"socketId"},
    "screen-share-stopped": {"socketId"},
    "user-hand-raised": {"socketId", "displayName"},
    "user-hand-lowered": {"socketId"},
    "chat-message": {"id", "senderId", "senderName", "content", "type", "timestamp", "user"},
    "user-typing": {"socketId", "displayName", "isTyping"},
    "force-mute": set(),
    "force-disconnect": {"reason"},
    "room-locked": {"locked"},
    "room-ended": {"roomId", "reason"},
    "auth-error": {"code", "message"},
}


def test_every_event_of_the_contract_is_declared() -> None:
    assert set(SENT) <= set(CLIENT_EVENTS)
    assert set(READ) <= set(SERVER_EVENTS)
    for declared in (CLIENT_EVENTS, SERVER_EVENTS):
        for name, payload in declared.items():
            assert payload.event == name
            assert payload.__doc__


@pytest.mark.parametrize("name", READ)
def test_what_is_read_has_the_contracts_fields(name: str) -> None:
    fields = msgspec.structs.fields(SERVER_EVENTS[name])
    assert {field.encode_name for field in fields if field.required} == READ[name]


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent_is_understood_and_anything_else_refused(name: str) -> None:
    payload, decoder = SENT[name], msgspec.json.Decoder(CLIENT_EVENTS[name])
    assert isinstance(decoder.decode(json.dumps(payload).encode()), ClientPayload)
    assert decoder.decode(json.dumps({**payload, "extra": 1}).encode()) == decoder.decode(
        json.dumps(payload).encode()
    )
    for wrong in (None, [], 1, "text", {}):
        with pytest.raises(msgspec.ValidationError):
            decoder.decode(json.dumps(wrong).encode())
    for field in payload:
        if (name, field) in {("ice-candidate", "candidate"), ("offer", "sdp"), ("answer", "sdp")}:
            continue  # opaque: anything goes through
        if (name, field) == ("join-room", "userId"):
            continue  # a hint that nothing reads
        for wrong in ([], {}, 1.5):
            with pytest.raises(msgspec.ValidationError):
                decoder.decode(json.dumps({**payload, field: wrong}).encode())


def test_a_target_has_either_name() -> None:
    for name in ("mute-participant", "remove-participant"):
        decoder = msgspec.json.Decoder(CLIENT_EVENTS[name])
        assert decoder.decode(b'{"roomId":"r","targetId":"t"}').target == "t"
        assert decoder.decode(b'{"roomId":"r","participantId":"p"}').target == "p"
        assert decoder.decode(b'{"roomId":"r"}').target is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(1999, 12, 31, 23, 59, 59, 7_000, tzinfo=UTC), "1999-12-31T23:59:59.007Z"),
    ],
)
def test_timestamps(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text
