"""What a joiner is given of a room's messages: bounded in bytes, encoded once, and never more than a client may owe."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from neuron_meet.app import max_buffered_bytes
from neuron_meet.ice.servers import IceServer
from neuron_meet.names import MAX_PICTURE_BYTES
from neuron_meet.rest.rules import Integer
from neuron_meet.rooms.removals import Removals
from neuron_meet.rooms.routes import SettingsChange
from neuron_meet.settings import Settings
from neuron_meet.signaling.commands import commands
from neuron_meet.signaling.events import (
    FEATURES,
    HistoryAuthor,
    HistoryMessage,
    ListedParticipant,
    RoomJoined,
    RoomJoinedAck,
    WaitingView,
    event_and_ack,
)
from neuron_meet.signaling.lobby import MAX_WAITING
from neuron_meet.signaling.presence.memory import MemoryPresence
from neuron_meet.signaling.presence.room import (
    REPLAYED_BYTES,
    REPLAYED_MESSAGES,
    newest_that_fit,
)

LONGEST_MESSAGE = next(
    bound.le for bound in Settings.model_fields["max_message_length"].metadata if hasattr(bound, "le")
)


def message(number: int, content: str, name: str = "Ada") -> HistoryMessage:
    moment = datetime.fromtimestamp(number, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    return HistoryMessage(
        f"m{number:04d}", "u", name, content, "TEXT", moment, HistoryAuthor("u", name, name)
    )


def size(messages: list[HistoryMessage]) -> int:
    return len(msgspec.json.encode(messages))


def test_a_room_of_ordinary_messages_is_replayed_as_it_is() -> None:
    messages = [message(number, "a sentence of some length, as people write") for number in range(50)]
    assert newest_that_fit(messages) is messages


def test_the_newest_that_fit() -> None:
    messages = [message(number, f"{number:02d}" + "x" * 99_998) for number in range(50)]
    fitting = newest_that_fit(messages)
    assert fitting == messages[-2:]
    assert size(fitting) <= REPLAYED_BYTES


def test_one_that_is_larger_than_a_replay_is_left_out_and_hides_no_other() -> None:
    messages = [message(number, "short") for number in range(50)]
    messages[48] = message(48, "é" * 128_000)
    messages[20] = message(20, "x" * 5_000_000)
    assert newest_that_fit(messages) == [one for n, one in enumerate(messages) if n not in (20, 48)]


def test_to_the_byte() -> None:
    newest = message(1, "newest")
    left = REPLAYED_BYTES - size([message(0, ""), newest])
    fitting = newest_that_fit([message(0, "x" * left), newest])
    assert len(fitting) == 2
    assert size(fitting) == REPLAYED_BYTES
    assert newest_that_fit([message(0, "x" * (left + 1)), newest]) == [newest]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 90_000), st.sampled_from(["x", "é", "\x01", '"', "\U0001f600"])), max_size=12
    )
)
def test_whatever_was_said(given_sizes: list[tuple[int, str]]) -> None:
    messages = [message(number, character * count) for number, (count, character) in enumerate(given_sizes)]
    fitting = newest_that_fit(messages)
    assert size(fitting) <= REPLAYED_BYTES
    candidates = [one for one in messages if size([one]) <= REPLAYED_BYTES]
    assert fitting == candidates[len(candidates) - len(fitting) :]
    rest = candidates[: len(candidates) - len(fitting)]
    assert not rest or size([rest[-1], *fitting]) > REPLAYED_BYTES


async def test_what_was_said_meanwhile_counts_too() -> None:
    stored = [message(number, "x" * 100_000) for number in range(2)]
    async with MemoryPresence(Removals(), Removals()).hold("abc-def-ghi") as room:
        room.say(message(2, "y" * 100_000))
        room.say(message(3, "z"))
        assert [one.id for one in room.replay(stored)] == ["m0001", "m0002", "m0003"]


def test_the_event_and_the_acknowledgement_say_the_same() -> None:
    joined = RoomJoined("r", "abc-def-ghi", False, [], [message(1, "ü\n")], None, FEATURES)
    event, ack = event_and_ack(joined)
    assert event.event == "room-joined"
    assert event.body == msgspec.json.encode(joined)
    fields = {name: getattr(joined, name) for name in joined.__struct_fields__}
    assert json.loads(msgspec.json.encode(ack)) == json.loads(msgspec.json.encode(RoomJoinedAck(**fields)))


@pytest.mark.parametrize("character", ["x", "\x01", '"', "é", "\U0001f600", "\u2028"])
def test_the_longest_message_that_may_be_set_is_sent_and_replayed(character: str) -> None:
    longest = message(1, character * LONGEST_MESSAGE, name="\x01" * 50)
    assert newest_that_fit([longest]) == [longest]
    settings = Settings.model_construct()
    chat = commands(max_message_length=LONGEST_MESSAGE, max_sdp_bytes=settings.max_payload_bytes)[
        "chat-message"
    ]
    written = json.dumps({"roomId": "r" * 100, "content": character * LONGEST_MESSAGE})
    assert len(written) <= chat.max_bytes
    assert chat.max_bytes + 20_000 < 1_000_000  # what the transport takes at least


def test_no_answer_of_the_servers_is_taken_for_a_slow_reader() -> None:
    """The largest that a join is answered with, as event and acknowledgement, before the client has read anything."""
    most = next(
        rule for rule in SettingsChange.model_fields["max_participants"].metadata if isinstance(rule, Integer)
    )
    picture, name = "x" * MAX_PICTURE_BYTES, "\U0001f600" * 50
    people = [
        ListedParticipant("s" * 20, "u" * 30, name, "r" * 30, False, False, False, False, False, picture)
        for _ in range(most.most)
    ]
    messages = newest_that_fit([message(number, "\x01" * 5_000, name) for number in range(REPLAYED_MESSAGES)])
    waiting = [WaitingView("s" * 20, name, "u" * 30) for _ in range(MAX_WAITING)]
    servers = [IceServer(urls=["turn:turn.example.org"] * 10, username="x" * 100, credential="x" * 100)]
    joined = RoomJoined("r" * 30, "abc-def-ghi", True, people, messages, None, FEATURES, waiting, servers)
    event, ack = event_and_ack(joined)
    answer = len(event.body) + len(msgspec.json.encode(ack))
    assert answer > 1_000_000
    for payload in (1_000, 100_000, 10_000_000):
        settings = Settings.model_construct(max_payload_bytes=payload)
        assert max_buffered_bytes(settings) >= 2 * answer
        assert max_buffered_bytes(settings) >= 2 * payload
