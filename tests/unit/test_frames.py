"""Frames as they go out: RFC 6455's lengths at their edges, and Socket.IO's packets byte for byte."""

from __future__ import annotations

import json
import struct

import hypothesis.strategies as st
import pytest
from hypothesis import given
from msgspec import Raw

from neuron_meet.realtime.frames import Frames, connect_error_frame, connect_frame, websocket_text
from neuron_meet.signaling.events import OK, ForceMute, OfferRelay, UserLeft, UserTyping


def unframed(frame: bytes) -> bytes:
    """Read a frame as RFC 6455 §5.2 says; asserts that it is one whole unmasked text frame, minimally encoded."""
    first, second = frame[0], frame[1]
    assert first == 0b1000_0001, "FIN and opcode 1, no extension bits"
    assert second & 0b1000_0000 == 0, "a server does not mask"
    length, start = second & 0b0111_1111, 2
    if length == 126:
        (length,), start = struct.unpack("!H", frame[2:4]), 4
        assert length >= 126
    elif length == 127:
        (length,), start = struct.unpack("!Q", frame[2:10]), 10
        assert length >= 65536
    assert len(frame) == start + length
    return frame[start:]


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8100"),
        (1, "8101"),
        (125, "817d"),
        (126, "817e007e"),
        (127, "817e007f"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
        (1_000_000, "817f00000000000f4240"),
    ],
)
def test_lengths_at_their_edges(length: int, header: str) -> None:
    frame = websocket_text(b"x" * length)
    assert frame[: len(frame) - length] == bytes.fromhex(header)
    assert unframed(frame) == b"x" * length


@given(st.integers(0, 70_000))
def test_any_length(length: int) -> None:
    assert unframed(websocket_text(b"y" * length)) == b"y" * length


def test_packets() -> None:
    frames = Frames(recoverable=False)
    left = frames.event(UserLeft(socket_id="s", user_id=None))
    assert left.body == b'42["user-left",{"socketId":"s","userId":null}]'
    assert left.websocket == websocket_text(left.body)
    assert frames.event(ForceMute()).body == b'42["force-mute",{}]'
    assert frames.ack(b"12", OK).body == b'4312[{"success":true}]'
    assert connect_frame("sid", None).body == b'40{"sid":"sid"}'
    assert connect_frame("sid", "secret").body == b'40{"sid":"sid","pid":"secret"}'
    refused = connect_error_frame("/admin", "Invalid namespace")
    assert refused.body == b'44/admin,{"message":"Invalid namespace"}'


def test_what_is_kept_for_a_recovery_has_a_number_and_an_offset() -> None:
    frames = Frames(recoverable=True)
    first = frames.event(UserLeft(socket_id="s", user_id=None))
    acked = frames.ack(b"3", OK)
    second = frames.event(ForceMute())
    assert (first.number, acked.number, second.number) == (1, 2, 3)
    assert acked.body == b'433[{"success":true}]'  # an ack has no place for an offset
    offset = json.loads(second.body[2:])[-1]
    assert frames.number_of(offset) == 3
    assert frames.number_of(json.loads(first.body[2:])[-1]) == 1


def test_what_is_worthless_later_is_not_kept() -> None:
    typing = Frames(recoverable=True).event(UserTyping(socket_id="s", display_name="Ada", is_typing=True))
    assert typing.number == 0
    assert typing.body == b'42["user-typing",{"socketId":"s","displayName":"Ada","isTyping":true}]'


@pytest.mark.parametrize(
    "offset",
    [None, 3, "", "3", ".3", "zzzzzz.3", "000000.3", "000000.", "000000.-1", "000000.\u0663", "9" * 5000],
)
def test_an_offset_of_another_run_or_none_at_all_means_from_the_beginning(offset: object) -> None:
    assert Frames(recoverable=True).number_of(offset) == 0


def test_what_is_relayed_keeps_its_bytes() -> None:
    sdp = b'{ "z":1e400, "a":"\\u00fc" }'
    offer = OfferRelay(sender_id="s", user_id=None, display_name="ü", sdp=Raw(sdp))
    assert Frames(recoverable=False).event(offer).body == (
        b'42["offer",{"senderId":"s","userId":null,"displayName":"\xc3\xbc","sdp":' + sdp + b"}]"
    )
