"""Packets as they arrive: Engine.IO MESSAGE packets decoded as far as the transport must understand them."""

from __future__ import annotations

import re
import sys
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from neuron_meet.json_text import second_value, unicode_text

MAX_AUTH_BYTES = 20_000
"""The largest `auth` of a CONNECT packet that is read: a token has 4 kB at most, a name some 100 bytes."""
NO_PAYLOAD = Raw()
_ACK_ID_DIGITS = 15
"""Longest acknowledgement id: JavaScript's largest safe integer has 16 digits."""
_NAME = re.compile(rb'[ \t\r\n]*\[[ \t\r\n]*("(?:[^"\\\x00-\x1f]|\\.){0,200}+")')
_BINARY = re.compile(rb"\A([56])\d{1,10}-(?:/[^,]*,)?(\d{0,15})")

_WITH_ACK_ID = re.compile(rb"\A42(?:/,)?\d")


class _Arguments(Struct, array_like=True):
    """An event's name and its first argument; what follows is skipped."""

    name: str
    payload: Raw = NO_PAYLOAD


_arguments = msgspec.json.Decoder(_Arguments)
_name = msgspec.json.Decoder(str)


class EventPacket(Struct):
    """An EVENT packet: its name, its first argument as JSON (empty where there is none), its acknowledgement id."""

    name: str
    payload: Raw
    ack_id: bytes | None


class MalformedPacket(ValueError):
    """A packet that cannot be decoded; `ack_id` where that much could be read."""

    def __init__(self, ack_id: bytes | None = None) -> None:
        super().__init__("malformed packet")
        self.ack_id = ack_id


def in_default_namespace(data: bytes) -> bytes | None:
    """What follows the type of a packet in the default namespace; None where the packet is another's.

    The default namespace is written as nothing, as `/,` and, with nothing behind it, as `/` (Socket.IO protocol 5,
    "Packet encoding").
    """
    if data[:1] != b"/":
        return data
    if data[1:2] == b",":
        return data[2:]
    return b"" if len(data) == 1 else None


def decode_event(data: bytes, most_bytes: int = sys.maxsize) -> EventPacket:
    """Decode what follows the `2` of an EVENT packet in the default namespace: `[<ack id>]["name",…]`.

    The payload stays JSON: each use case decodes its own, and what is relayed is never decoded at all. `data` is UTF-8:
    the transports see to that. Of a packet of more than `most_bytes`, which no payload of any event has, only the name
    is read: all of it is its payload. Raises MalformedPacket.
    """
    start = 0
    while start < len(data) and start <= _ACK_ID_DIGITS and data[start] in b"0123456789":
        start += 1
    ack_id = data[:start] or None
    if start > _ACK_ID_DIGITS:
        raise MalformedPacket
    body = data[start:] if start else data
    try:
        if len(body) > most_bytes:
            match = _NAME.match(body)
            return EventPacket(_name.decode(match[1] if match else b""), Raw(body), ack_id)
        arguments = _arguments.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        packet = _decode_halved(body, ack_id) if len(body) <= most_bytes else None
        if packet is None:
            raise MalformedPacket(ack_id) from error
        return packet
    return EventPacket(arguments.name, arguments.payload, ack_id)


def _decode_halved(body: bytes, ack_id: bytes | None) -> EventPacket | None:
    """An event with half an emoji in it, which `JSON.parse` takes: its payload as it came. None for any other."""
    readable = unicode_text(body)
    if readable is None:
        return None
    try:
        arguments = _arguments.decode(readable)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not memoryview(arguments.payload):
        return EventPacket(arguments.name, NO_PAYLOAD, ack_id)
    start = second_value(readable)
    return EventPacket(arguments.name, Raw(body[start : start + len(memoryview(arguments.payload))]), ack_id)


def asks_for_ack(data: bytes) -> bool:
    """Whether an Engine.IO packet is an event of the default namespace with an acknowledgement id."""
    return _WITH_ACK_ID.match(data) is not None


def binary_ack_id(data: bytes) -> bytes | None:
    """The acknowledgement id of a BINARY_EVENT packet, which is refused; None where it wants no answer."""
    match = _BINARY.match(data)
    return (match[2] or None) if match and match[1] == b"5" else None


def decode_auth(data: bytes) -> dict[str, Any]:
    """The CONNECT packet's `auth`; {} where there is none or it is no object.

    One of more than `MAX_AUTH_BYTES` is not read: its sender is a guest, and told that no token was accepted.
    """
    if len(data) > MAX_AUTH_BYTES:
        return {"token": False}
    try:
        auth = msgspec.json.decode(unicode_text(data) or data or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return cast("dict[str, Any]", auth) if isinstance(auth, dict) else {}
