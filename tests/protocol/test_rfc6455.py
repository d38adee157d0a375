"""RFC 6455 as this server keeps it, by the numbers of the Autobahn test suite (in own words and frames).

That suite's server echoes; here a text message is an event that no server knows, whose acknowledgement comes back.
Binary messages are passed over, as Engine.IO packets are text here (docs/protocol.md#what-is-not-served).
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from tests.wire.handmade import BINARY, CLOSE, MASK, PING, PONG, TEXT, Stranger, frame, stranger
from tests.wire.meeting import Meet

pytestmark = pytest.mark.one_node("frames, not rooms")

CONTINUATION = 0
ANSWER = b'437[{"error":"Unknown event","success":false}]'
FIN, MORE = True, False


def ask(size: int = 20, *, filled_with: bytes = b"x") -> bytes:
    """A text message of so many bytes that is answered."""
    head, tail = b'427["no-such-event"', b"]"
    if size <= len(head + tail):
        return head + tail
    room = size - len(head + tail) - 3
    return head + b',"' + (filled_with * room)[:room] + b'"' + tail


def closing(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, (b"" if code is None else struct.pack("!H", code)) + reason)


def fragments(kind: int, payload: bytes, *sizes: int, between: bytes = b"") -> bytes:
    """A message in fragments of these sizes, and what is left, with frames between them."""
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(payload[:size])
        payload = payload[size:]
    pieces.append(payload)
    last = len(pieces) - 1
    return between.join(
        frame(CONTINUATION if at else kind, piece, fin=at == last) for at, piece in enumerate(pieces)
    )


class Case(NamedTuple):
    """What is sent, and what comes back before the close frame and in it. Whoever breaks no rule closes with 1000."""

    number: str
    what: str
    sent: bytes
    answers: int = 0
    pongs: tuple[bytes, ...] = ()
    code: int | None = 1000

    @property
    def legal(self) -> bool:
        """Whether the peer keeps to the protocol."""
        return self.code == 1000


OPEN = closing()
HELLO = ask()
MANY = tuple(b"payload-%d" % n for n in range(10))


def framing() -> Iterable[Case]:
    for at, size in enumerate((125, 126, 127, 128, 65_535, 65_536), 2):
        yield Case(f"1.1.{at}", f"text of {size} bytes", frame(TEXT, ask(size)) + OPEN, 1)
        yield Case(f"1.2.{at}", f"binary of {size} bytes", frame(BINARY, b"\xfe" * size) + OPEN)
    yield Case("1.1.1", "empty text", frame(TEXT) + OPEN)
    yield Case("1.2.1", "empty binary", frame(BINARY) + OPEN)


def pings() -> Iterable[Case]:
    yield Case("2.1", "ping without payload", frame(PING) + OPEN, pongs=(b"",))
    yield Case("2.2", "ping with text", frame(PING, b"Hello") + OPEN, pongs=(b"Hello",))
    binary = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    yield Case("2.3", "ping with what is no text", frame(PING, binary) + OPEN, pongs=(binary,))
    yield Case("2.4", "ping of 125 bytes", frame(PING, b"\xfe" * 125) + OPEN, pongs=(b"\xfe" * 125,))
    yield Case("2.5", "ping of 126 bytes", frame(PING, b"\xfe" * 126), code=1002)
    yield Case("2.7", "pong that nobody asked for", frame(PONG) + OPEN)
    yield Case("2.8", "pong with payload that nobody asked for", frame(PONG, b"unasked") + OPEN)
    yield Case(
        "2.9", "such a pong, then a ping", frame(PONG, b"no") + frame(PING, b"yes") + OPEN, pongs=(b"yes",)
    )
    yield Case("2.10", "ten pings", b"".join(frame(PING, each) for each in MANY) + OPEN, pongs=MANY)


def reserved() -> Iterable[Case]:
    yield Case("3.1", "RSV 1 on text", frame(TEXT, HELLO, reserved=1), code=1002)
    for at, kind in ((2, TEXT), (3, TEXT), (4, CONTINUATION), (5, BINARY), (6, PING), (7, CLOSE)):
        sent = frame(TEXT, HELLO) + frame(kind, reserved=at) + frame(PING)
        yield Case(f"3.{at}", f"a message, then RSV {at} on type {kind}", sent, 1, code=1002)


def opcodes() -> Iterable[Case]:
    for group, kinds in ((1, range(3, 8)), (2, range(11, 16))):
        for at, kind in enumerate(kinds, 1):
            payload = b"" if at == 1 else b"reserved"
            before = frame(TEXT, HELLO) if at > 2 else b""
            sent = before + frame(kind, payload) + frame(PING)
            yield Case(f"4.{group}.{at}", f"opcode {kind}", sent, int(at > 2), code=1002)


def fragmentation() -> Iterable[Case]:
    ping, part, rest = frame(PING, b"ping"), HELLO[:7], HELLO[7:]
    start, end = frame(TEXT, part, fin=MORE), frame(CONTINUATION, rest)
    stray, stray_more = frame(CONTINUATION, b"stray"), frame(CONTINUATION, b"stray", fin=MORE)
    whole = frame(TEXT, HELLO)
    yield Case("5.1", "ping in fragments", frame(PING, b"a", fin=MORE) + frame(CONTINUATION, b"b"), code=1002)
    yield Case("5.2", "pong in fragments", frame(PONG, b"a", fin=MORE) + frame(CONTINUATION, b"b"), code=1002)
    yield Case("5.3", "text in two fragments", start + end + OPEN, 1)
    yield Case("5.6", "a ping between fragments", start + ping + end + OPEN, 1, (b"ping",))
    yield Case("5.9", "continuation of nothing, whole", stray + whole, code=1002)
    yield Case("5.12", "continuation of nothing, to be continued", stray_more + whole, code=1002)
    yield Case(
        "5.15", "a message, then a continuation of nothing", start + end + stray_more + whole, 1, code=1002
    )
    yield Case("5.16", "continuation of nothing, then fragments", stray_more + start + end, code=1002)
    yield Case("5.17", "a last fragment of nothing, then fragments", stray + start + end, code=1002)
    yield Case("5.18", "both fragments are text", start + frame(TEXT, rest), code=1002)
    yield Case("5.18 more", "a second first fragment", start + frame(TEXT, rest, fin=MORE), code=1002)
    yield Case(
        "5.19",
        "five fragments, a ping after each",
        fragments(TEXT, HELLO, 4, 4, 4, 4, between=ping) + OPEN,
        1,
        (b"ping",) * 4,
    )
    yield Case("5.19 binary", "binary in fragments", fragments(BINARY, b"\xfe" * 20, 9) + whole + OPEN, 1)


VALID = {
    "6.2.1": "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "6.5.1": "κόσμε".encode(),
    "6.7.1": b"\x00",
    "6.7.2": b"\xc2\x80",
    "6.7.3": b"\xe0\xa0\x80",
    "6.7.4": b"\xf0\x90\x80\x80",
    "6.9.1": b"\x7f",
    "6.9.2": b"\xdf\xbf",
    "6.9.3": b"\xef\xbf\xbf",
    "6.9.4": b"\xf4\x8f\xbf\xbf",
    "6.11.1": b"\xed\x9f\xbf",
    "6.11.2": b"\xee\x80\x80",
    "6.11.3": b"\xef\xbf\xbd",
    "6.22.1": b"\xef\xbf\xbe",
    "6.22.3": b"\xf0\x9f\xbf\xbe",
    "6.22.33": b"\xf4\x8f\xbf\xbe",
    "6.23.1": b"\xef\xbf\xbd",
}
INVALID = {
    "6.3.1": "κόσμε".encode() + b"\xed\xa0\x80edited",
    "6.4.1": "κόσμε".encode() + b"\xf4\x90\x80\x80edited",
    "6.6.1": b"\xce",
    "6.6.4": b"\xce\xba\xe1",
    "6.6.5": b"\xce\xba\xe1\xbd",
    "6.8.1": b"\xf8\x88\x80\x80\x80",
    "6.8.2": b"\xfc\x84\x80\x80\x80\x80",
    "6.10.1": b"\xf7\xbf\xbf\xbf",
    "6.10.2": b"\xfb\xbf\xbf\xbf\xbf",
    "6.10.3": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11.5": b"\xf4\x90\x80\x80",
    "6.12.1": b"\x80",
    "6.12.2": b"\xbf",
    "6.12.8": bytes(range(0x80, 0xC0)),
    "6.13.1": b" ".join(bytes((first,)) for first in range(0xC0, 0xE0)) + b" ",
    "6.13.2": b" ".join(bytes((first,)) for first in range(0xE0, 0xF0)) + b" ",
    "6.13.3": b" ".join(bytes((first,)) for first in range(0xF0, 0xF8)) + b" ",
    "6.14.1": b"\xc0",
    "6.14.2": b"\xe0\x80",
    "6.14.6": b"\xdf",
    "6.14.7": b"\xef\xbf",
    "6.15.1": b"\xc0\xe0\x80\xf0\x80\x80",
    "6.16.1": b"\xfe",
    "6.16.2": b"\xff",
    "6.17.1": b"\xc0\xaf",
    "6.17.2": b"\xe0\x80\xaf",
    "6.18.1": b"\xc1\xbf",
    "6.18.2": b"\xe0\x9f\xbf",
    "6.18.3": b"\xf0\x8f\xbf\xbf",
    "6.19.1": b"\xc0\x80",
    "6.20.1": b"\xed\xa0\x80",
    "6.20.7": b"\xed\xbf\xbf",
    "6.21.1": b"\xed\xa0\x80\xed\xb0\x80",
}
"""Sequences of a text message (RFC 3629), of which each stands for its group."""


def texts() -> Iterable[Case]:
    """Text of no packet's type, which is passed over where it is text at all."""
    whole = frame(TEXT, HELLO)
    yield Case("6.1.2", "three empty fragments", fragments(TEXT, b"", 0, 0) + whole + OPEN, 1)
    yield Case("6.1.3", "an empty fragment before and behind", fragments(TEXT, HELLO, 0, 20) + OPEN, 1)
    for number, text in VALID.items():
        yield Case(number, f"text {text[:6]!r}", frame(TEXT, b"x" + text) + whole + OPEN, 1)
        sizes = (1,) * len(text)
        yield Case(
            f"{number} in bytes", f"text {text[:6]!r}", fragments(TEXT, b"x" + text, *sizes) + whole + OPEN, 1
        )
    for number, text in INVALID.items():
        yield Case(number, f"no text {text[:6]!r}", frame(TEXT, b"x" + text), code=1007)
        yield Case(
            f"{number} in bytes", f"no text {text[:6]!r}", fragments(TEXT, b"x" + text, 1, 1), code=1007
        )
    relayed = b'427["no-such-event","' + VALID["6.2.1"] + b'"]'
    yield Case(
        "6.2.1 event",
        "an event with such text, cut inside a character",
        fragments(TEXT, relayed, 28, 1, 1) + OPEN,
        1,
    )


ECHOED = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
FORBIDDEN = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)


def closes() -> Iterable[Case]:
    whole, ping = frame(TEXT, HELLO), frame(PING, b"late")
    yield Case("7.1.1", "a message, then a close", whole + OPEN, 1)
    yield Case("7.1.2", "two closes", OPEN + closing(1001))
    yield Case("7.1.3", "a ping behind the close", OPEN + ping)
    yield Case("7.1.4", "a message behind the close", OPEN + whole)
    start, end = frame(TEXT, HELLO[:7], fin=MORE), frame(CONTINUATION, HELLO[7:])
    yield Case("7.1.5", "a close between fragments", start + OPEN + end)
    yield Case(
        "7.1.6", "a large message, a ping, a close", frame(TEXT, ask(262_144)) + ping + OPEN, 1, (b"late",)
    )
    yield Case("7.1 broken", "what breaks the protocol behind the close", OPEN + frame(3, b"x"))
    yield Case("7.3.1", "no code", frame(CLOSE), code=None)
    yield Case("7.3.2", "half a code", frame(CLOSE, b"a"), code=1002)
    yield Case("7.3.4", "a reason", closing(1000, b"bye"))
    yield Case("7.3.5", "a reason of 123 bytes", closing(1000, b"*" * 123))
    yield Case("7.3.6", "a reason of 124 bytes", closing(1000, b"*" * 124), code=1002)
    yield Case("7.5.1", "a reason that is no text", closing(1000, b"\xce\xba\xed\xa0\x80"), code=1007)
    for at, code in enumerate(ECHOED, 1):
        yield Case(f"7.7.{at}", f"code {code}", closing(code), code=code)
    for at, code in enumerate(FORBIDDEN, 1):
        yield Case(f"7.9.{at}", f"code {code}", closing(code), code=1002)


LARGEST = 1_000_000
"""`maxPayload` under the default settings."""


def limits() -> Iterable[Case]:
    for at, size in enumerate((65_536, 262_144, LARGEST), 1):
        yield Case(f"9.1.{at}", f"text of {size} bytes", frame(TEXT, ask(size)) + OPEN, 1)
        yield Case(f"9.2.{at}", f"binary of {size} bytes", frame(BINARY, bytes(size)) + OPEN)
        sizes = (size // 16,) * 15
        yield Case(
            f"9.3.{at}", f"text of {size} bytes in 16 fragments", fragments(TEXT, ask(size), *sizes) + OPEN, 1
        )
    head = bytes((0x81, 0x80 | 127)) + struct.pack("!Q", LARGEST + 1)
    yield Case("9.1.4", "one byte more, refused by its length", head, code=1009)
    whole = frame(TEXT, ask(LARGEST), fin=MORE) + frame(CONTINUATION, b"x")
    yield Case("9.3.4", "one byte more, in fragments", whole, code=1009)
    yield Case("9.1 64 bits", "a length with its highest bit", bytes((0x81, 0xFF)) + b"\xff" * 8, code=1009)
    yield Case("9.7", "a thousand messages", frame(TEXT, HELLO) * 1_000 + OPEN, 1_000)
    yield Case(
        "10.1.1", "65,536 bytes in fragments of 1,300", fragments(TEXT, ask(65_536), *(1_300,) * 50) + OPEN, 1
    )


CASES = [
    case
    for group in (framing, pings, reserved, opcodes, fragmentation, texts, closes, limits)
    for case in group()
]


async def outcome(line: Stranger, case: Case) -> None:
    """Compare what comes back."""
    got = await line.everything()
    assert got.pop(CLOSE)[0] == (b"" if case.code is None else struct.pack("!H", case.code))
    assert got.pop(PONG, []) == list(case.pongs)
    assert got.pop(TEXT, []) == [ANSWER] * case.answers
    assert got == {}
    await line.cut()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}: {case.what}")
async def test_a_case(meet: Meet, case: Case) -> None:
    async with stranger(meet.url) as line:
        line.send(case.sent)
        await outcome(line, case)


CHOPPED = [
    case
    for case in CASES
    if case.legal and len(case.sent) < 300 and case.number.startswith(("1.", "2.", "5.", "6.2", "7.1", "7.3"))
]
"""What comes behind a close is not sent on: the server has hung up by then."""


@pytest.mark.parametrize("case", CHOPPED, ids=lambda case: f"{case.number}: {case.what}")
async def test_a_case_byte_by_byte(meet: Meet, case: Case) -> None:
    """The suite's chopped cases: 2.6, 2.11, 5.4, 5.5, 5.7, 5.8, 5.20 and the like."""
    sent = case.sent[: case.sent.index(OPEN) + len(OPEN)] if OPEN in case.sent else case.sent
    async with stranger(meet.url) as line:
        for at in range(len(sent)):
            line.send(sent[at : at + 1])
            await line.writer.drain()
        await outcome(line, case)


@pytest.mark.parametrize("size", [64, 997, 4_096])
async def test_a_large_message_in_pieces(meet: Meet, size: int) -> None:
    """9.5 and 9.6."""
    sent = frame(TEXT, ask(262_144)) + OPEN
    async with stranger(meet.url) as line:
        for at in range(0, len(sent), size):
            line.send(sent[at : at + size])
            await line.writer.drain()
        await outcome(line, Case("9.5", "", sent, 1))


# -- what that suite leaves to the handshake (RFC 6455 §4.2) and to masks (§5.1, §5.2)
HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
    "Host: x",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
ACCEPTED = base64.b64encode(
    hashlib.sha1(
        b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False
    ).digest()
)


async def shaken(meet: Meet, *, without: str = "", given: tuple[str, ...] = ()) -> tuple[int, list[bytes]]:
    """Status and headers of a handshake with such lines."""
    lines = [line for line in HANDSHAKE if not without or not line.startswith(without)]
    line = await Stranger.to(meet.url)
    line.writer.write("\r\n".join([*lines, *given, "", ""]).encode())
    head = (await line.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    await line.close()
    return int(head[0].split()[1]), head[1:-2]


@pytest.mark.parametrize(
    ("without", "given", "status"),
    [
        ("none", (), 101),
        ("Connection", ("Connection: keep-alive, Upgrade",), 101),
        ("Upgrade", ("Upgrade: WebSocket",), 101),
        ("none", ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",), 101),
        ("Upgrade", (), 400),
        ("Connection", (), 400),
        ("Sec-WebSocket-Key", (), 400),
        ("Sec-WebSocket-Key", ("Sec-WebSocket-Key: c2hvcnQ=",), 400),
        ("Sec-WebSocket-Version", (), 400),
        ("Sec-WebSocket-Version", ("Sec-WebSocket-Version: 25",), 426),
    ],
)
async def test_the_handshake(meet: Meet, without: str, given: tuple[str, ...], status: int) -> None:
    answered, headers = await shaken(meet, without=without, given=given)
    assert answered == status
    names = {header.split(b":")[0].lower(): header.split(b":", 1)[1].strip() for header in headers}
    if status == 101:
        assert names[b"sec-websocket-accept"] == ACCEPTED
        assert (names[b"upgrade"].lower(), names[b"connection"].lower()) == (b"websocket", b"upgrade")
        assert b"sec-websocket-extensions" not in names, "none is taken up"
    if status == 426:
        assert names[b"sec-websocket-version"] == b"13"


async def test_frames_of_the_server_are_whole_and_unmasked(meet: Meet) -> None:
    async with stranger(meet.url) as line:
        line.send(frame(TEXT, HELLO))
        assert await line.reader.readexactly(2) == bytes((0x81, len(ANSWER)))


async def test_a_client_that_masks_nothing(meet: Meet) -> None:
    async with stranger(meet.url, opened=False) as line:
        line.send(b"\x81\x0240")
        await outcome(line, Case("", "", b"", code=1002))


async def test_a_client_that_masks_its_first_frame_only_is_understood(meet: Meet) -> None:
    """More than §5.1 allows: only the first frame's bit is looked at (docs/protocol.md#what-is-not-served)."""
    async with stranger(meet.url) as line:
        line.send(bytes((0x81, len(HELLO))) + HELLO + OPEN)
        await outcome(line, Case("", "", b"", 1))


@pytest.mark.parametrize("mask", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", MASK])
async def test_every_mask(meet: Meet, mask: bytes) -> None:
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(HELLO))
    async with stranger(meet.url) as line:
        line.send(bytes((0x81, 0x80 | len(HELLO))) + mask + masked + OPEN)
        await outcome(line, Case("", "", b"", 1))


async def test_a_length_in_more_bytes_than_it_needs_is_understood(meet: Meet) -> None:
    """More than §5.2 allows, as most servers do."""
    masked = frame(TEXT, HELLO)[2:]
    async with stranger(meet.url) as line:
        line.send(bytes((0x81, 0x80 | 126)) + struct.pack("!H", len(HELLO)) + masked + OPEN)
        await outcome(line, Case("", "", b"", 1))
