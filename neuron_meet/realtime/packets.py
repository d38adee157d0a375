"""Packets as they arrive: Engine.IO MESSAGE packets decoded as far as the transport must understand them."""

from __future__ import annotations

import re
import sys
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

MAX_AUTH_BYTES = 20_000
"""The largest `auth` of a CONNECT packet that is read: a token has 4 kB at most, a name some 100 bytes."""
_MANY_ARGUMENTS_BYTES = 2_000
"""From here on only the first few arguments of an event are told apart: half a million of them in 1 MB take 100 ms."""


class _FewArguments(Struct, array_like=True):
    """An event's name and its first arguments; what follows them is skipped."""

    name: Raw
    first: Raw = Raw()
    second: Raw = Raw()


_arguments = msgspec.json.Decoder(list[Raw])
_few_arguments = msgspec.json.Decoder(_FewArguments)
_name = msgspec.json.Decoder(str)
_NAME = re.compile(rb'[ \t\r\n]*\[[ \t\r\n]*("(?:[^"\\\x00-\x1f]|\\.){0,200}+")')
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


def decode_event(data: bytes, most_bytes: int = sys.maxsize) -> EventPacket:
    """Decode what follows the `2` of an EVENT packet in the default namespace: `[<ack id>]["name",…]`.

    The arguments stay JSON: each use case decodes its own, and what is relayed is never decoded at all. Of a packet of
    more than `most_bytes`, which no payload of any event has, only the name is read: all of it is its one argument.
    Raises MalformedPacket.
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
            args = [Raw(match[1] if match else b""), Raw(body)]
        else:
            # What is relayed is not decoded below, and text that is no UTF-8 would end its receiver's websocket.
            if not body.isascii():
                body.decode()
            args = _arguments.decode(body) if len(body) <= _MANY_ARGUMENTS_BYTES else _first_arguments(body)
        name = _name.decode(args[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError) as error:
        raise MalformedPacket(ack_id) from error
    return EventPacket(name, args[1:], ack_id)


def _first_arguments(body: bytes) -> list[Raw]:
    few = _few_arguments.decode(body)
    return [argument for argument in (few.name, few.first, few.second) if memoryview(argument)]


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
        auth = msgspec.json.decode(data.removeprefix(b"/,") or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return cast("dict[str, Any]", auth) if isinstance(auth, dict) else {}
