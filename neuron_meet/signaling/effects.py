"""What a use case wants done: plain values that `realtime` carries out, in order, in one turn of the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from datetime import datetime
from inspect import isawaitable
from typing import Protocol, TypeAlias, TypeVar, cast

from msgspec import Struct, field

from neuron_meet.signaling.events import OK, Ack, EncodedPayload, ServerPayload

T = TypeVar("T")


class Enter(Struct):
    """From now on the socket gets the room's events."""

    sid: str
    room: str


class Leave(Struct):
    """From now on the socket gets no event of the room."""

    sid: str
    room: str


class ToSocket(Struct):
    """Send to one socket."""

    sid: str
    payload: ServerPayload | EncodedPayload


class ToRoom(Struct):
    """Send to everybody in the room but `skip`."""

    room: str
    payload: ServerPayload | EncodedPayload
    skip: str | None = None


class Drop(Struct):
    """Close a socket's connection: it does not keep to the rules."""

    sid: str
    reason: str


class CloseRow(Struct):
    """Close a Participant row, as of `left_at`."""

    record_id: str
    left_at: datetime


class EndTyping(Struct):
    """A socket types no longer, and everybody is being told."""

    sid: str


Effect: TypeAlias = Enter | Leave | ToSocket | ToRoom | Drop
RoomEffect: TypeAlias = Effect | CloseRow | EndTyping
"""What a step on a room may want: what `realtime` carries out, and what signaling does itself."""


def _success() -> Ack:
    return OK


class Outcome(Struct):
    """What a use case decided: the effects, in order, and then the acknowledgement."""

    effects: Sequence[RoomEffect] = field(default_factory=list[RoomEffect])
    ack: Ack = field(default_factory=_success)


Decision: TypeAlias = Outcome | Awaitable[Outcome]
"""An outcome, now or later (where other nodes have a say in it)."""


async def settled(decision: T | Awaitable[T]) -> T:
    """What is decided, when it is there. Where it is there already nothing else happens in between."""
    if isawaitable(decision):
        return await cast("Awaitable[T]", decision)
    return cast("T", decision)


class Delivery(Protocol):
    """Carries effects out. Synchronous: nothing else happens between the first and the last."""

    def __call__(self, effects: Iterable[Effect], /) -> None:
        """Deliver `effects` in order. Sockets and rooms that are gone are passed over."""
        ...
