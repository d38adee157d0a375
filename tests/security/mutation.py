"""Packets that no honest client sends: every event's valid packet, bent; and Socket.IO and Engine.IO garbage."""

from __future__ import annotations

import json
from random import Random
from typing import Any

FIELDS: dict[str, dict[str, Any]] = {
    "join-room": {"roomCode": "$code", "displayName": "Fuzz", "userId": "$sid"},
    "leave-room": {"roomId": "$room"},
    "offer": {"targetId": "$sid", "sdp": {"type": "offer", "sdp": "v=0\r\n"}},
    "answer": {"targetId": "$sid", "sdp": {"type": "answer", "sdp": "v=0\r\n"}},
    "ice-candidate": {"targetId": "$sid", "candidate": {"candidate": "candidate:1", "sdpMLineIndex": 0}},
    "toggle-audio": {"roomId": "$room", "enabled": True},
    "toggle-video": {"roomId": "$room", "enabled": False},
    "start-screen-share": {"roomId": "$room"},
    "stop-screen-share": {"roomId": "$room"},
    "toggle-hand-raise": {"roomId": "$room", "raised": True},
    "chat-message": {"roomId": "$room", "content": "hello"},
    "typing-start": {"roomId": "$room"},
    "typing-stop": {"roomId": "$room"},
    "mute-participant": {"roomId": "$room", "targetId": "$sid"},
    "remove-participant": {"roomId": "$room", "participantId": "$sid"},
    "admit-participant": {"roomId": "$room", "targetId": "$sid"},
    "deny-participant": {"roomId": "$room", "targetId": "$sid"},
    "lock-room": {"roomId": "$room", "locked": True},
}
KEYS = [
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "$where",
    "",
    "roomId",
    "event",
    "\u0000",
]
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**53, -(2**63), 2**64, 1.5, 1e308, "", " ", "\u0000", "null", "\ud7ff", "\u202e",
    "💬" * 50, [], {}, [[]], [None], {"$bytes": "AA=="}, {"_placeholder": True, "num": 0}, {"__proto__": {}},
    "'; DROP TABLE \"User\"; --", "../../etc/passwd", "{{7*7}}", "x" * 127, "x" * 129, "x" * 1001, "x" * 3000,
]  # fmt: skip
BYTES = [
    b"\xff", b"\xfe\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\x1e", b"\x1e41\x1e", b"\n",
    b"\\", b'"', b"]", b"}", b",", b"[", b"{", b"\\u0000", b"\\ud800", b"\\x", b"1e999999", b"NaN", b"-",
    b"//", b"\xef\xbb\xbf",
]  # fmt: skip
GARBAGE = [
    b"", b"0", b"2", b"3", b"5", b"6", b"7", b"9", b"b", b"bAQID", b"2probe", b"3probe", b"4", b"40", b"40{}", b"40[]",
    b"40/admin,", b'40/admin,{"token":1}', b"40{", b'40{"token":{"a":[]}}', b"41/admin,", b"42", b"42[", b"42[]",
    b"42{}", b'42["', b"42[1]", b"42[null]", b'42[["chat-message"]]', b'42["chat-message"', b"42null",
    b"42999999999999999999[]",
    b'42-1["leave-room",{}]', b'42/admin,["join-room",{}]', b"42/", b"42/,", b"43", b"43[]", b"431[]",
    b"439999999999[1]", b"44", b'44{"message":"x"}', b"45", b'451-["chat-message",{"_placeholder":true,"num":0}]',
    b"45999999999-[]",
    b"45-1-[]", b'461-7[{"_placeholder":true,"num":0}]', b"47", b"48[]", b"4\xff", b"\xff\xff", b"4" * 500,
    b"42" + b"[" * 900, b'42["disconnect"]', b'42["connect"]', b'42["error",{}]', b'42["room-joined",{"isHost":true}]',
    b'42["__proto__",{}]',
]  # fmt: skip


class Mutator:
    """Makes packets. `ids` are what it puts where a valid packet has an id: real ones, and nobody's."""

    def __init__(self, dice: Random, *, rooms: list[str], codes: list[str], sids: list[str]) -> None:
        self._dice = dice
        self._ids = {"$room": rooms, "$code": codes, "$sid": sids}
        self._nobody = ["x", "aaa-aaa-aaa", *rooms, *codes, *sids, "x" * 128, "__proto__"]
        self._events = [*FIELDS] * 3 + [
            "offer",
            "answer",
            "ice-candidate",
            "toggle-audio",
            "typing-start",
        ] * 4

    def packet(self) -> bytes:
        """An Engine.IO packet, as the bytes of a text frame."""
        chance = self._dice.random()
        if chance < 0.08:
            return self._dice.choice(GARBAGE)
        if chance < 0.09:
            return self._dice.randbytes(self._dice.randrange(1, 80))
        if chance < 0.10:
            return self._deep()
        packet = self._event()
        return self._bent(packet) if chance < 0.35 else packet

    def binary(self) -> bytes:
        """The bytes of a binary frame."""
        return self._dice.randbytes(self._dice.choice([0, 1, 20, 2000]))

    def _event(self) -> bytes:
        """An event whose payload is almost right, or nothing like it."""
        dice = self._dice
        name = dice.choice(self._events)
        if (
            name in ("join-room", "leave-room") and dice.random() < 0.8
        ):  # who is outside is refused everything
            name = "toggle-hand-raise"
        payload: Any = {key: self._id(value) for key, value in FIELDS[name].items()}
        for _ in range(dice.choice([0, 0, 0, 1, 1, 2, 3])):
            payload = self._mutated(payload)
        if dice.random() < 0.03:
            name = dice.choice([name.upper(), name + " ", name[:-1], "", *KEYS])
        arguments = dice.choices([[payload], [], [payload, payload], [payload, "1"]], [94, 2, 2, 2])[0]
        number = dice.choice(["", "", str(dice.randrange(1000)), "0007"])
        return f"42{number}{json.dumps([name, *arguments], ensure_ascii=dice.random() < 0.5)}".encode(
            errors="surrogatepass"
        )

    def _id(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        return self._dice.choice(self._ids[value] if self._dice.random() < 0.8 else self._nobody)

    def _mutated(self, payload: Any) -> Any:
        dice = self._dice
        how = dice.randrange(6)
        if not isinstance(payload, dict) or how == 0:
            return dice.choice(VALUES)
        key = dice.choice(list(payload) or [""])
        if how == 1:
            return {other: value for other, value in payload.items() if other != key}
        if how == 2:
            return payload | {dice.choice(KEYS): dice.choice(VALUES)}
        if how == 3 and dice.random() < 0.05:
            return payload | {key: "x" * dice.choice([2_001, 20_001, 100_001])}
        return payload | {key: dice.choice(VALUES)}

    def _bent(self, packet: bytes) -> bytes:
        """Bytes put in, taken out, cut off or said twice."""
        dice = self._dice
        at = dice.randrange(len(packet) + 1)
        match dice.randrange(5):
            case 0:
                return packet[:at] + dice.choice(BYTES) + packet[at:]
            case 1:
                return packet[:at]
            case 2:
                return packet[:at] + packet[at + dice.randrange(1, 6) :]
            case 3:
                return packet + packet
            case _:
                return packet[:at] + dice.randbytes(dice.randrange(1, 6)) + packet[at:]

    def _deep(self) -> bytes:
        """Nested beyond what anybody means."""
        depth = self._dice.choice([50, 500, 5_000, 45_000])
        opening, closing = self._dice.choice([(b"[", b"]"), (b'{"a":', b"}")])
        target = self._dice.choice(self._ids["$sid"]).encode()
        return b'42["offer",{"targetId":"%b","sdp":%b1%b}]' % (target, opening * depth, closing * depth)
