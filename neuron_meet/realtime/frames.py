"""Packets as they travel. A frame is encoded once, whatever the number of sockets it goes to."""

from __future__ import annotations

import re
import secrets
import struct

import msgspec

from neuron_meet.signaling.events import Ack, EncodedPayload, ServerPayload

LONGEST_SHORT = 125
LONGEST_MEDIUM = 65535
"""Payload lengths up to which a frame's length takes one byte, and three (RFC 6455 §5.2)."""

_OFFSET = re.compile(r"([0-9a-f]{6})\.([0-9]{1,18})", re.ASCII)

_encode = msgspec.json.Encoder().encode


def websocket_text(body: bytes) -> bytes:
    """An unmasked, unfragmented websocket text frame around `body` (RFC 6455 §5.2: servers do not mask)."""
    length = len(body)
    if length <= LONGEST_SHORT:
        return bytes((0x81, length)) + body
    if length <= LONGEST_MEDIUM:
        return struct.pack("!BBH", 0x81, 126, length) + body
    return struct.pack("!BBQ", 0x81, 127, length) + body


def websocket_close(code: int, reason: str = "") -> bytes:
    """A websocket close frame (RFC 6455 §5.5.1): a code, or none where that is 0, and 123 bytes of reason at most."""
    if not code:
        return b"\x88\x00"
    text = reason.encode()
    return struct.pack("!BBH", 0x88, 2 + len(text), code) + text


def websocket_pong(data: bytes) -> bytes:
    """A websocket pong frame (RFC 6455 §5.5.3); a ping's data has 125 bytes at most."""
    return bytes((0x8A, len(data))) + data


class Frame:
    """One Engine.IO packet: `body` as UTF-8 text, `websocket` as the bytes on a websocket connection.

    `number` orders the frames of this run of the server; 0 for those that are not kept for a recovery.
    """

    __slots__ = ("body", "number", "websocket")

    def __init__(self, body: bytes, number: int = 0) -> None:
        self.body = body
        self.number = number
        self.websocket = websocket_text(body)


class Frames:
    """Makes and numbers frames.

    Where recovery is on, an event carries its offset as a last argument, which the JS client remembers and
    sends when it comes back (Socket.IO, connection state recovery). The offset names the run of the server,
    because a client keeps its last one also across servers.
    """

    def __init__(self, *, recoverable: bool) -> None:
        self._recoverable = recoverable
        self.run = secrets.token_hex(3)
        """Names this run of this server in offsets."""
        self._prefixes: dict[str, bytes] = {}
        self.number = 0
        """The last number given."""

    def event(self, payload: ServerPayload | EncodedPayload) -> Frame:
        """A Socket.IO EVENT packet in an Engine.IO MESSAGE packet: `42["name",{…},"offset"]`."""
        name = payload.event
        prefix = self._prefixes.get(name)
        if prefix is None:
            prefix = self._prefixes[name] = b"42[" + _encode(name) + b","
        body = payload.body if type(payload) is EncodedPayload else _encode(payload)
        if not self._recoverable or payload.volatile:
            return Frame(prefix + body + b"]")
        self.number += 1
        return Frame(b'%b%b,"%b.%d"]' % (prefix, body, self.run.encode(), self.number), self.number)

    def ack(self, ack_id: bytes, ack: Ack) -> Frame:
        """A Socket.IO ACK packet: `43<id>[{…}]`. It has a number but no offset: the protocol has no place for one."""
        body = b"43" + ack_id + b"[" + _encode(ack) + b"]"
        if not self._recoverable:
            return Frame(body)
        self.number += 1
        return Frame(body, self.number)

    def again(self, body: bytes) -> Frame:
        """A frame of another run of a server, or one without an offset, as this run numbers it."""
        self.number += 1
        if body.startswith(b"42"):
            head = body[: body.rindex(b',"')]
            body = b'%b,"%b.%d"]' % (head, self.run.encode(), self.number)
        return Frame(body, self.number)

    def number_of(self, offset: object) -> int:
        """The number in an offset that a client sends; 0 where it has seen no event of this run."""
        match = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
        return int(match[2]) if match and match[1] == self.run else 0


def connect_frame(sid: str, pid: str | None) -> Frame:
    """A Socket.IO CONNECT packet for the default namespace: `40{"sid":…,"pid":…}`, `pid` where recovery is on."""
    return Frame(b"40" + _encode({"sid": sid, "pid": pid} if pid else {"sid": sid}))


def connect_error_frame(namespace: str, message: str) -> Frame:
    """A Socket.IO CONNECT_ERROR packet: `44/namespace,{"message":…}`."""
    return Frame(b"44" + namespace.encode() + b"," + _encode({"message": message}))


PING = Frame(b"2")
CLOSE = Frame(b"1")
NOOP = Frame(b"6")
