"""Whatever size a text has that a client sends: it is measured before anything is done with it.

Work is counted, not timed: the calls of Python and C functions until a text is accepted or refused. Code that looks at
each character makes one call for each at least.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from neuron_meet.auth.routes import Login, Registration
from neuron_meet.auth.tokens import InvalidTokenError, Tokens
from neuron_meet.chat.routes import Page
from neuron_meet.names import clean_name
from neuron_meet.realtime.packets import MAX_AUTH_BYTES, MalformedPacket, decode_auth, decode_event
from neuron_meet.rest.problems import HttpError
from neuron_meet.rest.validation import BODY_LIMIT_BYTES, Input, decode_body, decode_query
from neuron_meet.rooms.codes import room_code_in
from neuron_meet.rooms.routes import NewRoom, SettingsChange
from neuron_meet.settings import Settings
from neuron_meet.signaling.commands import commands
from neuron_meet.signaling.dispatch import PACKET_AROUND_PAYLOAD
from neuron_meet.signaling.handshake import Handshake
from neuron_meet.store.text import is_storable
from neuron_meet.users.routes import ProfileChange

MOST_WORK = 10_000
MEGABYTE = 1_000_000
TEXTS = {
    "ascii": "x",
    "blank": " ",
    "accents": "é",
    "invisible": "\u3164",
    "joiners": "\u06cc\u200c",
    "emoji": "\U0001f469\u200d",
    "half an emoji": "\ud83d",
    "NUL": "\x00",
    "slashes": "https://",
}
TOKENS = Tokens("a-secret-for-tests-of-at-least-32-bytes", 60)
SETTINGS = Settings.model_construct()
COMMANDS = commands(max_message_length=SETTINGS.max_message_length, max_sdp_bytes=SETTINGS.max_payload_bytes)
LARGEST_EVENT = PACKET_AROUND_PAYLOAD + max(command.max_bytes for command in COMMANDS.values())


def work_of(doing: Callable[[], object]) -> int:
    """How many calls it takes, whether it is accepted or refused."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        doing()
    except (HttpError, InvalidTokenError, MalformedPacket):
        pass
    finally:
        sys.setprofile(None)
    return calls


def encoded(value: object) -> bytes:
    """JSON as a client may write it, half an emoji included."""
    return json.dumps(value).encode()


@pytest.fixture(params=TEXTS.values(), ids=TEXTS.keys())
def long(request: pytest.FixtureRequest) -> str:
    """A megabyte of one kind of text."""
    return (request.param * MEGABYTE)[:MEGABYTE]


def test_the_counter_counts() -> None:
    assert work_of(lambda: [character.isspace() for character in "x" * 1000]) > 1000


@pytest.mark.parametrize(
    "field", ["displayName", "token", "userId", "pid", "offset", "capabilities", "unknown"]
)
def test_handshake(field: str, long: str) -> None:
    handshake = Handshake(TOKENS)

    def greet(size: int) -> Callable[[], object]:
        text = long[: size // 12]  # at most so many bytes of JSON for each
        packet = encoded({"displayName": "Ada", field: [text] * 1 if field == "capabilities" else text})
        return lambda: handshake.greet("sid", decode_auth(packet), "203.0.113.9")

    assert work_of(greet(MAX_AUTH_BYTES)) < MOST_WORK
    assert work_of(greet(12 * MEGABYTE)) < MOST_WORK
    decoded = handshake.greet("sid", {"displayName": "Ada", field: long}, "203.0.113.9")
    assert len(decoded.caller.auth_name) <= 50


def test_a_handshake_of_many_small_things() -> None:
    for junk in ([[]] * 300_000, {f"k{number}": number for number in range(60_000)}, list(range(150_000))):
        packet = encoded({"displayName": "Ada", "capabilities": junk, "x": junk})
        assert len(packet) > MEGABYTE // 2
        assert decode_auth(packet).keys() == {"token"}
        assert work_of(lambda packet=packet: decode_auth(packet)) < 10


def test_an_auth_as_large_as_it_may_be_is_read() -> None:
    packet = encoded({"displayName": "Ada", "x": ""})
    packet = encoded({"displayName": "Ada", "x": "x" * (MAX_AUTH_BYTES - len(packet))})
    assert decode_auth(packet)["displayName"] == "Ada"
    assert "displayName" not in decode_auth(packet.replace(b"Ada", b"Adam"))


@pytest.mark.parametrize("event", COMMANDS)
def test_events(event: str, long: str) -> None:
    command = COMMANDS[event]
    for size in (command.max_bytes, SETTINGS.max_payload_bytes, MEGABYTE):
        payload = {"roomCode": "abc-def-ghi", "displayName": long[: size // 12]}
        packet = encoded([event, payload, *([long[: size // 100]] if size == MEGABYTE else [])])
        assert (
            work_of(lambda packet=packet: command.decode(decode_event(packet, LARGEST_EVENT).payload))
            < MOST_WORK
        )


def test_an_event_of_half_a_million_arguments_is_not_taken_apart() -> None:
    for arguments in (400, 30_000, 500_000):
        packet = b'7["join-room"' + b",1" * arguments + b"]"
        event = decode_event(packet, LARGEST_EVENT)
        assert event.name == "join-room"
        assert event.ack_id == b"7"
        assert COMMANDS["join-room"].decode(event.payload) is None


def test_a_packet_that_is_too_large_is_refused_by_the_name_of_its_event() -> None:
    payload = {"roomCode": "abc-def-ghi", "displayName": "x" * LARGEST_EVENT}
    event = decode_event(b"12" + encoded(["join-room", payload]), LARGEST_EVENT)
    assert (event.name, event.ack_id) == ("join-room", b"12")
    assert COMMANDS["join-room"].decode(event.payload) is None
    for nameless in (b'3["' + b"x" * MEGABYTE + b'"]', b"3[" * MEGABYTE, b"3" + b" " * MEGABYTE):
        with pytest.raises(MalformedPacket) as malformed:
            decode_event(nameless, LARGEST_EVENT)
        assert malformed.value.ack_id == b"3"


@pytest.mark.parametrize(
    ("model", "field"),
    [
        *((Registration, field) for field in ("email", "password", "displayName", "unknown")),
        *((Login, field) for field in ("email", "password")),
        *((ProfileChange, field) for field in ("displayName", "avatarUrl")),
        *((NewRoom, field) for field in ("name", "waitingRoom", "maxParticipants")),
        (SettingsChange, "allowChat"),
        (Page, "before"),
        (Page, "limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_rest(model: type[Input], field: str, long: str) -> None:
    good = {"email": "ada@example.com", "password": "correct horse", "displayName": "Ada"}
    known = {
        name: value for name, value in good.items() if name in {f.alias for f in model.model_fields.values()}
    }
    for size in (1000, 10_000, BODY_LIMIT_BYTES, MEGABYTE):
        body = {**known, field: long[:size]}
        assert work_of(lambda body=body: decode_body(model, body)) < MOST_WORK
        assert work_of(lambda body=body: decode_query(model, body)) < MOST_WORK


def test_a_body_of_many_unknown_properties() -> None:
    body: dict[str, Any] = {f"property{number}": number for number in range(5_000)}
    with pytest.raises(HttpError) as refused:
        decode_body(NewRoom, body)
    assert refused.value.message == [f"property property{number} should not exist" for number in range(20)]


@pytest.mark.parametrize(
    "take",
    [clean_name, room_code_in, is_storable, TOKENS.verify],
    ids=["name", "room code", "id", "token"],
)
def test_texts_by_themselves(take: Callable[[str], object], long: str) -> None:
    assert work_of(lambda: take(long)) < MOST_WORK
