"""Packets as they arrive: Engine.IO MESSAGE packets decoded as far as the transport must understand them."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

_arguments = msgspec.json.Decoder(list[Raw])
_name = msgspec.json.Decoder(str)
_BINARY = re.compile(rb"\A([56])\d{1,10}-(?:/[^,]*,)?(\d{0,15})")
_ACK_ID_DIGITS = 15
"""Longest acknowledgement id: JavaScript's largest safe integer has 16 digits."""


class EventPacket(Struct):
    """An EVENT packet: its name, its arguments as JSON, its acknowledgement id where one is wanted."""

    name: str
    args: list[Raw]
    ack_id: bytes | None


class MalformedPacket(ValueError):
    """A packet that cannot be decoded; `ack_id` where that much could be read."""

    def __init__(self, ack_id: bytes | None = None) -> None:
        super().__init__("malformed packet")
        self.ack_id = ack_id


def decode_event(data: bytes) -> EventPacket:
    """Decode what follows the `2` of an EVENT packet in the default namespace: `[<ack id>]["name",…]`.

    The arguments stay JSON: each use case decodes its own, and what is relayed is never decoded at all. `data` is
    UTF-8: the transports see to that.
    Raises MalformedPacket.
    """
    start = 0
    while start < len(data) and start <= _ACK_ID_DIGITS and data[start] in b"0123456789":
        start += 1
    ack_id = data[:start] or None
    if start > _ACK_ID_DIGITS:
        raise MalformedPacket
    try:
        args = _arguments.decode(data[start:] if start else data)
        name = _name.decode(args[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError) as error:
        raise MalformedPacket(ack_id) from error
    return EventPacket(name, args[1:], ack_id)


def binary_ack_id(data: bytes) -> bytes | None:
    """The acknowledgement id of a BINARY_EVENT packet, which is refused; None where it wants no answer."""
    match = _BINARY.match(data)
    return (match[2] or None) if match and match[1] == b"5" else None


def decode_auth(data: bytes) -> dict[str, Any]:
    """The CONNECT packet's `auth`; {} where there is none or it is no object."""
    try:
        auth = msgspec.json.decode(data.removeprefix(b"/,") or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return cast("dict[str, Any]", auth) if isinstance(auth, dict) else {}
