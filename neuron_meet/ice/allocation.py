"""Does a TURN server give an allocation? Asked as a browser asks: RFC 8489 §9.2 (long-term credentials), RFC 8656."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct
from urllib.parse import parse_qsl

COOKIE = 0x2112A442
ALLOCATE, REFRESH = 0x0003, 0x0004
SUCCESS, ERROR = 0x0100, 0x0110
USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, LIFETIME = 0x0006, 0x0008, 0x0009, 0x000D
REALM, NONCE, REQUESTED_TRANSPORT = 0x0014, 0x0015, 0x0019
OVER_UDP = struct.pack("!B3x", 17)
UNAUTHORIZED = 401
ATTEMPTS = 4
"""Datagrams get lost; a second each."""
DEFAULT_PORT = 3478

Attributes = list[tuple[int, bytes]]


class NoAllocation(Exception):
    """Why not, in words that hold no secret."""


def udp_address(url: str) -> tuple[str, int] | None:
    """Host and port of `turn:host[:port][?transport=udp]` (RFC 7065); None for TCP and TLS, which are not tried."""
    place, _, query = url.removeprefix("turn:").partition("?")
    if not url.startswith("turn:") or dict(parse_qsl(query)).get("transport", "udp") != "udp":
        return None
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        return place.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port) if port.isdigit() else DEFAULT_PORT


async def allocate(host: str, port: int, username: str, password: str) -> None:
    """Ask for an allocation, and give it back. Raises NoAllocation."""
    loop = asyncio.get_running_loop()
    try:
        transport, answers = await loop.create_datagram_endpoint(_Answers, remote_addr=(host, port))
    except OSError as error:
        raise NoAllocation(f"{host} is not known ({error.strerror or type(error).__name__})") from None
    try:
        asked: Attributes = [(REQUESTED_TRANSPORT, OVER_UDP)]
        refused = await _ask(transport, answers, ALLOCATE, asked)
        if _error(refused) != UNAUTHORIZED or REALM not in refused:
            raise NoAllocation("it does not ask for credentials: it is open to everybody, or no TURN server")
        key = hashlib.md5(  # noqa: S324 -- RFC 8489 §9.2.2 says so
            b":".join((username.encode(), refused[REALM], password.encode()))
        ).digest()
        signed = [(USERNAME, username.encode()), (REALM, refused[REALM]), (NONCE, refused[NONCE])]
        given = await _ask(transport, answers, ALLOCATE, [*asked, *signed], key)
        if (number := _error(given)) is not None:
            reason = (
                "it refuses the credentials" if number == UNAUTHORIZED else f"it refuses (error {number})"
            )
            raise NoAllocation(reason)
        await _ask(transport, answers, REFRESH, [(LIFETIME, bytes(4)), *signed], key)
    finally:
        transport.close()


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.received.put_nowait(exc)


async def _ask(
    transport: asyncio.DatagramTransport,
    answers: _Answers,
    kind: int,
    attributes: Attributes,
    key: bytes | None = None,
) -> dict[int, bytes]:
    transaction = os.urandom(12)
    request = _encoded(kind, transaction, attributes, key)
    for _ in range(ATTEMPTS):
        transport.sendto(request)
        try:
            async with asyncio.timeout(1.0):
                while True:
                    data = await answers.received.get()
                    if isinstance(data, Exception):
                        raise NoAllocation("nothing listens there")
                    if data[8:20] == transaction:
                        return _attributes(data)
        except TimeoutError:
            continue
    raise NoAllocation(f"it does not answer within {ATTEMPTS} s")


def _encoded(kind: int, transaction: bytes, attributes: Attributes, key: bytes | None) -> bytes:
    body = b"".join(_attribute(number, value) for number, value in attributes)
    if key is not None:
        head = struct.pack("!HHI", kind, len(body) + 24, COOKIE) + transaction  # RFC 8489 §14.5
        body += _attribute(MESSAGE_INTEGRITY, hmac.digest(key, head + body, "sha1"))
    return struct.pack("!HHI", kind, len(body), COOKIE) + transaction + body


def _attribute(number: int, value: bytes) -> bytes:
    return struct.pack("!HH", number, len(value)) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 20
    while place + 4 <= len(data):
        number, size = struct.unpack_from("!HH", data, place)
        found.setdefault(number, data[place + 4 : place + 4 + size])
        place += 4 + size + (-size % 4)
    return found


def _error(attributes: dict[int, bytes]) -> int | None:
    value = attributes.get(ERROR_CODE)
    return None if value is None else value[2] * 100 + value[3]
