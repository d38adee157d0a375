"""What nodes send each other about sockets that move from one of them to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct

ASK, ANSWER, FRAME = b"Q", b"R", b"F"
"""The first byte of messages to a node: a question, an answer, a frame that comes after its socket."""


class Luggage(Struct, array_like=True):
    """A socket on its way: who it is, and the frames that it has missed, as Engine.IO packets."""

    sid: str
    code: str
    user_id: str | None
    auth_name: str
    capabilities: list[str]
    frames: list[bytes]
    version: int
    """The room's version up to which `frames` go."""
    run: str = ""
    numbers: list[int] = []
    """Of those parked, whose client has not said yet what it has: the run of the server, the frames' numbers."""

    def unseen(self, offset: str) -> list[bytes]:
        """The frames that a client has not seen whose last one was at `offset`."""
        run, _, number = offset.partition(".")
        seen = int(number) if run == self.run and number.isdecimal() else 0
        return [frame for frame, at in zip(self.frames, self.numbers, strict=True) if at > seen]


class Question(Struct, array_like=True):
    """From the node to which a socket comes: `offset` None asks who it is, else for the socket."""

    id: str
    asker: str
    pid: str
    user_id: str | None
    offset: str | None = None
    code: str = ""
    """The room in which the asker expects it."""


class Answer(Struct, array_like=True):
    """What the asked node has; None: no such socket, or no way back for it."""

    id: str
    luggage: Luggage | None = None


class Following(Struct, array_like=True):
    """A frame that is sent after a socket."""

    sid: str
    frame: bytes


class MovingSockets(Protocol):
    """The sockets of this node, as far as they may move (`realtime/handover.py`)."""

    def seek(self, pid: str, user_id: str | None) -> Luggage | None:
        """Who is behind a pid here, without frames; None where it is nobody, or somebody else."""
        ...

    async def quiet(self, sid: str) -> None:
        """Return when what a socket has asked for is done, or takes too long."""
        ...

    def hand_over(self, pid: str, offset: str, onward: Callable[[bytes], None]) -> list[bytes] | None:
        """Let a socket go without leaving its room. What it has missed; None, and it stays, where that is not kept.

        `onward` is called with each frame that is written to it here afterwards.
        """
        ...

    def put_down(self, pid: str) -> None:
        """Let a socket go that is parked."""
        ...

    def follow(self, sid: str, frame: bytes) -> bool:
        """A frame comes after a socket that is here. False where it is not."""
        ...

    def give_up(self, pid: str) -> None:
        """There is no way back for a socket: its place is free."""
        ...


encode = msgspec.msgpack.Encoder().encode
"""Any of these as it travels."""
_decode_question = msgspec.msgpack.Decoder(Question).decode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode
_decode_following = msgspec.msgpack.Decoder(Following).decode
_decode_luggage = msgspec.msgpack.Decoder(Luggage).decode


def question_of(message: bytes) -> Question:
    """A message that begins with ASK. Raises msgspec.MsgspecError."""
    return _decode_question(memoryview(message)[1:])


def answer_of(message: bytes) -> Answer:
    """A message that begins with ANSWER. Raises msgspec.MsgspecError."""
    return _decode_answer(memoryview(message)[1:])


def following_of(message: bytes) -> Following:
    """A message that begins with FRAME. Raises msgspec.MsgspecError."""
    return _decode_following(memoryview(message)[1:])


def luggage_of(data: bytes) -> Luggage:
    """Luggage that was parked. Raises msgspec.MsgspecError."""
    return _decode_luggage(data)
