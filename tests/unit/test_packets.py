"""Packets as clients send them: ids, names, arguments, and whatever else may arrive."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from neuron_meet.realtime.packets import MalformedPacket, binary_ack_id, decode_event


def decoded(data: bytes) -> tuple[str, bytes, bytes | None]:
    packet = decode_event(data)
    return packet.name, bytes(packet.payload), packet.ack_id


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b'["leave-room"]', ("leave-room", b"", None)),
        (b'["offer",{"a":1}]', ("offer", b'{"a":1}', None)),
        (b'0["offer",{}]', ("offer", b"{}", b"0")),
        (b'12["offer",{},null,"x"]', ("offer", b"{}", b"12")),
        (b'007["offer"]', ("offer", b"", b"007")),
        (b'999999999999999["offer"]', ("offer", b"", b"999999999999999")),
        (' ["\\u006fffer", {"sdp" : "ü"} ]'.encode(), ("offer", '{"sdp" : "ü"}'.encode(), None)),
        # Half an emoji is U+FFFD in a name; a payload stays as it came, and so do the places in it.
        (rb'["\ud800"]', ("\ufffd", b"", None)),
        (rb'7[ "o\ud83d" , {"a":"\ud83d"} ,"\ude00"]', ("o\ufffd", rb'{"a":"\ud83d"}', b"7")),
        # What is relayed keeps its bytes: numbers that no double holds, and the order of its keys.
        (b'["offer",{"z":1e400,"a":12345678901234567890}]',
         ("offer", b'{"z":1e400,"a":12345678901234567890}', None)),
    ],
)  # fmt: skip
def test_events(data: bytes, event: tuple[str, bytes, bytes | None]) -> None:
    assert decoded(data) == event


@pytest.mark.parametrize(
    ("data", "ack_id"),
    [
        (b"", None),
        (b"[]", None),
        (b"{}", None),
        (b'"offer"', None),
        (b"[1]", None),
        (b'[null,"offer"]', None),
        (b'["offer"', None),
        (b'["offer"]]', None),
        (b'["offer",]', None),
        (b'["off\xff"]', None),
        (b"/admin,[]", None),
        (b"7", b"7"),
        (b"7[]", b"7"),
        (b'7["offer",{]', b"7"),
        (b'1000000000000000["offer"]', None),  # longer than any id of a client
        (b"-1[]", None),
        ("٣[]".encode(), None),
        (b"[" * 5000, None),
    ],
)
def test_no_events(data: bytes, ack_id: bytes | None) -> None:
    with pytest.raises(MalformedPacket) as malformed:
        decode_event(data)
    assert malformed.value.ack_id == ack_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(), st.lists(JSON, max_size=3), st.none() | st.integers(0, 10**15 - 1))
def test_whatever_a_client_encodes_is_understood(name: str, args: list[object], ack_id: int | None) -> None:
    prefix = "" if ack_id is None else str(ack_id)
    packet = decode_event((prefix + json.dumps([name, *args])).encode())
    assert packet.name == name
    assert [json.loads(bytes(packet.payload))] == args[:1] if args else bytes(packet.payload) == b""
    assert packet.ack_id == (prefix.encode() or None)


@given(st.binary(max_size=300) | st.lists(st.sampled_from(
    [b"[", b"]", b"{", b"}", b'"', b",", b":", b"1", b"99999", b"\\u", b"\\ud800", b"null", b"\xff", b"-", b" "]
), max_size=60).map(b"".join))  # fmt: skip
@example(b'["a",' + b"[" * 100_000)
def test_garbage_is_malformed_or_an_event_and_nothing_else(data: bytes) -> None:
    try:
        packet = decode_event(data)
    except MalformedPacket as malformed:
        ack_id = malformed.ack_id
    else:
        assert isinstance(packet.name, str)
        ack_id = packet.ack_id
    # An id goes back to the client inside a packet: it is digits, or it is not sent.
    assert ack_id is None or (ack_id.isdigit() and len(ack_id) <= 15 and data.startswith(ack_id))


@pytest.mark.parametrize(
    ("data", "ack_id"),
    [
        (b'51-["offer",{"_placeholder":true,"num":0}]', None),
        (b'51-7["offer",{}]', b"7"),
        (b'52-/admin,12["offer"]', b"12"),
        (b'61-7["offer"]', None),  # an acknowledgement with attachments wants no answer
        (b"5-7[]", None),
        (b"5", None),
        (b"", None),
    ],
)
def test_ids_of_binary_events(data: bytes, ack_id: bytes | None) -> None:
    assert binary_ack_id(data) == ack_id


@given(st.binary(max_size=50))
def test_binary_garbage_has_an_id_of_digits_or_none(data: bytes) -> None:
    ack_id = binary_ack_id(b"5" + data)
    assert ack_id is None or (ack_id.isdigit() and len(ack_id) <= 15)
