"""A TURN client of few lines: an Allocate over UDP with the long-term credential mechanism (RFC 8489 §9.2, RFC 8656).

Both sides are asked for real: this one must compute the right MESSAGE-INTEGRITY, and checks the relay's.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time
from dataclasses import dataclass

COOKIE = 0x2112A442
ALLOCATE, REFRESH, SUCCESS, ERROR = 0x0003, 0x0004, 0x0100, 0x0110
USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, LIFETIME = 0x0006, 0x0008, 0x0009, 0x000D
REALM, NONCE, XOR_RELAYED_ADDRESS, REQUESTED_TRANSPORT = 0x0014, 0x0015, 0x0016, 0x0019
UDP = struct.pack("!B3x", 17)

RETRANSMIT_SECONDS = 0.5
"""The first retransmission time-out of RFC 8489 §6.2.1."""
PATIENCE_SECONDS = 30
"""For a relay that is still starting on a busy machine."""


@dataclass(frozen=True)
class Message:
    """A STUN message that came in."""

    kind: int
    attributes: dict[int, bytes]

    @property
    def error(self) -> int | None:
        """The error's number, such as 401; None for a success."""
        value = self.attributes.get(ERROR_CODE)
        return None if value is None else value[2] * 100 + value[3]


@dataclass(frozen=True)
class Allocation:
    """What came of an Allocate: the relayed address and its life in seconds, or the error's number."""

    relayed: tuple[str, int] | None = None
    lifetime_seconds: int = 0
    error: int | None = None


class TurnClient:
    """One socket that talks to one relay. It blocks: tests run it in a thread."""

    def __init__(self, host: str, port: int) -> None:
        """A client whose datagrams go to `host`:`port`."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(RETRANSMIT_SECONDS)
        self._socket.connect((host, port))

    def close(self) -> None:
        self._socket.close()

    def allocate(self, username: str, password: str) -> Allocation:
        """Ask for a relayed address: without credentials first, which must be refused with realm and nonce."""
        transport = (REQUESTED_TRANSPORT, UDP)
        refused = parsed(self._ask(ALLOCATE, [transport]))
        assert refused.error == 401, refused
        realm, nonce = refused.attributes[REALM], refused.attributes[NONCE]
        key = hashlib.md5(b":".join((username.encode(), realm, password.encode()))).digest()
        signed = [(USERNAME, username.encode()), (REALM, realm), (NONCE, nonce)]
        answer = self._ask(ALLOCATE, [transport, *signed], key)
        message = parsed(answer)
        if message.error is not None:
            return Allocation(error=message.error)
        assert message.kind == ALLOCATE | SUCCESS
        assert is_signed(answer, key), "the relay does not know the same password"
        released = self._ask(REFRESH, [(LIFETIME, bytes(4)), *signed], key)
        assert parsed(released).kind == REFRESH | SUCCESS
        return Allocation(
            relayed=_address(message.attributes[XOR_RELAYED_ADDRESS]),
            lifetime_seconds=int.from_bytes(message.attributes[LIFETIME]),
        )

    def _ask(self, kind: int, attributes: list[tuple[int, bytes]], key: bytes | None = None) -> bytes:
        """Send a request, again and again as UDP wants it, and return its answer."""
        transaction = os.urandom(12)
        request = _encoded(kind, transaction, attributes, key)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError, TimeoutError):  # nothing listens there yet
                self._socket.send(request)
                while (answer := self._socket.recv(2000))[8:20] != transaction:
                    pass  # of a request that was sent twice
                return answer
        raise AssertionError("the relay does not answer")


def _encoded(kind: int, transaction: bytes, attributes: list[tuple[int, bytes]], key: bytes | None) -> bytes:
    body = b"".join(_attribute(number, value) for number, value in attributes)
    if key is not None:
        length = len(body) + 24  # with MESSAGE-INTEGRITY, over all that is before it (RFC 8489 §14.5)
        digest = hmac.digest(key, _header(kind, length, transaction) + body, "sha1")
        body += _attribute(MESSAGE_INTEGRITY, digest)
    return _header(kind, len(body), transaction) + body


def _header(kind: int, length: int, transaction: bytes) -> bytes:
    return struct.pack("!HHI", kind, length, COOKIE) + transaction


def _attribute(number: int, value: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)


def parsed(data: bytes) -> Message:
    """The message in a datagram."""
    kind, length, cookie = struct.unpack_from("!HHI", data)
    assert (length, cookie) == (len(data) - 20, COOKIE)
    attributes: dict[int, bytes] = {}
    place = 20
    while place < len(data):
        number, size = struct.unpack_from("!HH", data, place)
        attributes.setdefault(number, data[place + 4 : place + 4 + size])
        place += 4 + size + (-size % 4)
    return Message(kind, attributes)


def is_signed(data: bytes, key: bytes) -> bool:
    """Whether the datagram's MESSAGE-INTEGRITY is made with that key."""
    place = data.index(struct.pack("!HH", MESSAGE_INTEGRITY, 20), 20)
    header = data[:2] + struct.pack("!H", place + 4) + data[4:20]
    return hmac.compare_digest(
        hmac.digest(key, header + data[20:place], "sha1"), data[place + 4 : place + 24]
    )


def _address(value: bytes) -> tuple[str, int]:
    """An XOR-RELAYED-ADDRESS of IPv4 (RFC 8489 §14.2)."""
    _, family, port, address = struct.unpack("!BBHI", value)
    assert family == 1
    return str(ipaddress.IPv4Address(address ^ COOKIE)), port ^ (COOKIE >> 16)
