"""What a stranger puts on a websocket: every frame type of RFC 6455, every packet type of Engine.IO and Socket.IO.

Standard library only: the stranger is a process of its own, which has to start quickly.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
FIN = 0x80
SHORT_LENGTH, TWO_BYTES, EIGHT_BYTES = 125, 126, 127
MASK_KEY = bytes(4)
"""Zeros: masked, as RFC 6455 §5.3 asks of a client, and yet the bytes as they are."""

LIMIT = 1_000_000
"""The largest packet of a default server (`maxPayload` in the handshake)."""
SIZES = (0, 1, 125, 126, 65_536, LIMIT, LIMIT + 1)


def frame(
    opcode: int, payload: bytes = b"", *, head: int = FIN, masked: bool = True, claims: int | None = None
) -> bytes:
    """A frame. `head`: FIN and reserved bits; `claims`: another length than the payload has."""
    length = len(payload) if claims is None else claims
    mask = 0x80 if masked else 0
    key = MASK_KEY if masked else b""
    if length <= SHORT_LENGTH:
        start = bytes((head | opcode, mask | length))
    elif length < 1 << 16:
        start = bytes((head | opcode, mask | TWO_BYTES)) + struct.pack("!H", length)
    else:
        start = bytes((head | opcode, mask | EIGHT_BYTES)) + struct.pack("!Q", length)
    return start + key + payload


def text(packet: str | bytes) -> bytes:
    """A text frame with one Engine.IO packet."""
    return frame(TEXT, packet.encode() if isinstance(packet, str) else packet)


def _long_form(size: int) -> bytes:
    """A length in eight bytes that needs fewer."""
    payload = b"9" * size
    return bytes((FIN | TEXT, 0x80 | EIGHT_BYTES)) + struct.pack("!Q", size) + MASK_KEY + payload


def _close(size: int) -> bytes:
    """A close frame; with two bytes and more, its code and a reason."""
    return frame(CLOSE, (struct.pack("!H", 1000) + b"x" * size)[:size])


FRAMES: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "text": (b"", lambda size: frame(TEXT, b"9" * size)),
    "binary": (b"", lambda size: frame(BINARY, bytes(size))),
    "continuation-of-nothing": (b"", lambda size: frame(CONTINUATION, b"x" * size)),
    "ping": (b"", lambda size: frame(PING, b"x" * size)),
    "pong": (b"", lambda size: frame(PONG, b"x" * size)),
    "close": (b"", _close),
    **{
        f"reserved-{code}": (b"", lambda size, code=code: frame(code, b"x" * size)) for code in (3, 7, 11, 15)
    },
    **{
        f"rsv{bit}": (b"", lambda size, bit=bit: frame(TEXT, b"9" * size, head=FIN | 0x80 >> bit))
        for bit in (1, 2, 3)
    },
    "unmasked": (b"", lambda size: frame(TEXT, b"9" * size, masked=False)),
    "fragments": (frame(TEXT, b"4", head=0), lambda size: frame(CONTINUATION, b"x" * size, head=0)),
    "fragmented-ping": (b"", lambda size: frame(PING, b"x" * size, head=0)),
    "text-in-fragments": (frame(TEXT, b"4", head=0), lambda size: frame(TEXT, b"9" * size)),
    "not-utf-8": (b"", lambda size: frame(TEXT, b"\xff" * size)),
    "long-form-length": (b"", _long_form),
    "claims-2**62": (b"", lambda size: frame(TEXT, b"x" * size, claims=1 << 62)),
    "claims-more": (b"", lambda size: frame(TEXT, b"x" * size, claims=size + 1)),
}
"""By name: what comes first, and what is sent again and again, for a size of its payload."""

ENGINE_IO = ("", "0", "0{}", "1", "2", "2probe", "3", "4", "5", "6", "7", "x", "b4AAAA")
SOCKET_IO = (
    "40",
    "40{}",
    "40/admin,{}",
    "41",
    "41/other,",
    '42["no-such-event"]',
    "42",
    "42[]",
    "42{}",
    '42/other,["x"]',
    '429999999999999999999["no-such-event"]',
    '42["typing-start",{"roomId":"x"}]',
    '42["toggle-audio",{"roomId":"x","enabled":true}]',
    '42["leave-room",{"roomId":"x"}]',
    '42["join-room",{"roomCode":"abc-def-ghi"}]',
    "430[]",
    "43999999999999[]",
    '44{"message":"x"}',
    '451-["x",{"_placeholder":true,"num":0}]',
    '45999999999-["x"]',
    '461-1[{"_placeholder":true,"num":0}]',
    "47",
    "4x",
)
"""Packets of both protocols (docs/protocol.md#transport), of every type there is and some that there are not."""


def padded(packet: str, size: int) -> bytes:
    """A text frame with the packet, made so long with what belongs to nothing."""
    return text(packet.encode() + b"x" * (size - len(packet)))


def event(name: str, payload: str, ack: int | None = None) -> bytes:
    """An event; `payload` is JSON."""
    return text(f'42{"" if ack is None else ack}["{name}",{payload}]')
