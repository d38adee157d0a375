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
CREATE_PERMISSION, CHANNEL_BIND, SEND, DATA_INDICATION = 0x0008, 0x0009, 0x0016, 0x0017
CHANNEL_NUMBER, XOR_PEER_ADDRESS, DATA, REQUESTED_ADDRESS_FAMILY = 0x000C, 0x0012, 0x0013, 0x0017
REALM, NONCE, XOR_RELAYED_ADDRESS, REQUESTED_TRANSPORT = 0x0014, 0x0015, 0x0016, 0x0019
UDP = struct.pack("!B3x", 17)
TCP = struct.pack("!B3x", 6)
IPV6 = struct.pack("!B3x", 2)

STALE_NONCE = 438
TRIES = 3
"""With the nonce of the answer each time (RFC 8489 §9.2.5): that of a request sent twice is stale at once."""
RETRANSMIT_SECONDS = 0.5
"""The first retransmission time-out of RFC 8489 §6.2.1."""
PATIENCE_SECONDS = 30
"""For a relay that is still starting on a busy machine."""


@dataclass(frozen=True)
class Message:
    """A STUN message that came in."""

    kind: int
    attributes: dict[int, bytes]
    transaction: bytes

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

    def __init__(self, host: str, port: int, *, over_tcp: bool = False) -> None:
        """A client whose datagrams, or bytes over TCP, go to `host`:`port`."""
        kind = socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.settimeout(RETRANSMIT_SECONDS)
        self._socket.connect((host, port))
        self._key = b""
        self._signed: list[tuple[int, bytes]] = []

    def close(self) -> None:
        self._socket.close()

    def allocate(self, username: str, password: str) -> Allocation:
        """Ask for a relayed address: without credentials first, which must be refused with realm and nonce."""
        allocation = self.open(username, password)
        if allocation.error is None:
            released = self._ask(REFRESH, [(LIFETIME, bytes(4)), *self._signed], self._key)
            assert parsed(released).kind == REFRESH | SUCCESS
        return allocation

    def open(
        self, username: str, password: str, *, transport: bytes = UDP, family: bytes | None = None
    ) -> Allocation:
        """The same, and keep the relayed address."""
        asked = [(REQUESTED_TRANSPORT, transport)]
        if family is not None:
            asked.append((REQUESTED_ADDRESS_FAMILY, family))
        refused = parsed(self._ask(ALLOCATE, asked))
        if refused.error != 401:  # what it does for nobody it refuses before it asks who it is
            return Allocation(error=refused.error)
        message, answer = refused, b""
        for _ in range(TRIES):
            realm, nonce = message.attributes[REALM], message.attributes[NONCE]
            self._key = hashlib.md5(b":".join((username.encode(), realm, password.encode()))).digest()
            self._signed = [(USERNAME, username.encode()), (REALM, realm), (NONCE, nonce)]
            answer = self._ask(ALLOCATE, [*asked, *self._signed], self._key)
            message = parsed(answer)
            if message.error != STALE_NONCE:
                break
        if message.error is not None:
            return Allocation(error=message.error)
        assert message.kind == ALLOCATE | SUCCESS
        assert is_signed(answer, self._key), "the relay does not know the same password"
        return Allocation(
            relayed=_address(message.attributes[XOR_RELAYED_ADDRESS], message.transaction),
            lifetime_seconds=int.from_bytes(message.attributes[LIFETIME]),
        )

    def permit(self, address: str) -> int | None:
        """Ask to exchange datagrams with an address (RFC 8656 §10). The error's number; None where it may."""
        peer = (XOR_PEER_ADDRESS, b"")
        return self._refusal(CREATE_PERMISSION, [peer], address, 9)

    def bind(self, address: str, port: int, channel: int = 0x4000) -> int | None:
        """Ask for a channel to an address (RFC 8656 §12). The error's number; None where it may."""
        asked = [(CHANNEL_NUMBER, struct.pack("!HH", channel, 0)), (XOR_PEER_ADDRESS, b"")]
        return self._refusal(CHANNEL_BIND, asked, address, port)

    def _refusal(self, kind: int, attributes: list[tuple[int, bytes]], address: str, port: int) -> int | None:
        answer = parsed(self._ask(kind, [*attributes, *self._signed], self._key, peer=(address, port)))
        assert answer.error is not None or answer.kind == kind | SUCCESS
        return answer.error

    def send(self, data: bytes, address: str, port: int) -> None:
        """Have the relay send a datagram from the relayed address (a Send indication)."""
        transaction = os.urandom(12)
        peer = _xored(address, port, transaction)
        self._socket.send(_encoded(SEND, transaction, [(XOR_PEER_ADDRESS, peer), (DATA, data)], None))

    def receive(self) -> tuple[bytes, tuple[str, int]] | None:
        """A datagram that came to the relayed address, and from where; None where none comes soon."""
        with contextlib.suppress(TimeoutError):
            while (message := parsed(self._socket.recv(2000))).kind != DATA_INDICATION:
                pass
            return message.attributes[DATA], _address(
                message.attributes[XOR_PEER_ADDRESS], message.transaction
            )
        return None

    def _ask(
        self,
        kind: int,
        attributes: list[tuple[int, bytes]],
        key: bytes | None = None,
        *,
        peer: tuple[str, int] | None = None,
    ) -> bytes:
        """Send a request, again and again as UDP wants it, and return its answer. `peer` is filled in."""
        transaction = os.urandom(12)
        if peer is not None:
            attributes = [
                (number, _xored(*peer, transaction) if number == XOR_PEER_ADDRESS else value)
                for number, value in attributes
            ]
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
    return Message(kind, attributes, data[8:20])


def is_signed(data: bytes, key: bytes) -> bool:
    """Whether the datagram's MESSAGE-INTEGRITY is made with that key."""
    place = data.index(struct.pack("!HH", MESSAGE_INTEGRITY, 20), 20)
    header = data[:2] + struct.pack("!H", place + 4) + data[4:20]
    return hmac.compare_digest(
        hmac.digest(key, header + data[20:place], "sha1"), data[place + 4 : place + 24]
    )


def _address(value: bytes, transaction: bytes) -> tuple[str, int]:
    """An XOR-MAPPED-ADDRESS and its like (RFC 8489 §14.2)."""
    _, family, port = struct.unpack_from("!BBH", value)
    assert family in (1, 2)
    return str(ipaddress.ip_address(_masked(value[4:], transaction))), port ^ (COOKIE >> 16)


def _xored(address: str, port: int, transaction: bytes) -> bytes:
    packed = ipaddress.ip_address(address).packed
    family = 1 if len(packed) == 4 else 2
    return struct.pack("!BBH", 0, family, port ^ (COOKIE >> 16)) + _masked(packed, transaction)


def _masked(address: bytes, transaction: bytes) -> bytes:
    mask = struct.pack("!I", COOKIE) + transaction
    return bytes(a ^ b for a, b in zip(address, mask, strict=False))
