"""Acknowledgements: `success`, then `error` or what the event promises."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from neuron_meet.signaling.events.server import RoomJoined
from neuron_meet.signaling.events.shapes import HistoryMessage


class Success(Struct, rename="camel"):
    """It was done."""

    success: Literal[True] = True


class Failure(Struct, rename="camel"):
    """It was refused; `error` says why, in one of the contract's texts."""

    error: str
    success: Literal[False] = False


class Waiting(Struct, rename="camel"):
    """Not in yet: the host has been asked."""

    error: str
    waiting: Literal[True] = True
    success: Literal[False] = False


class RoomJoinedAck(RoomJoined, kw_only=True):
    """The acknowledgement of a join: what the event says, and `success`."""

    success: Literal[True] = True


class ChatAck(Struct, rename="camel"):
    """The acknowledgement of a chat message; `message.senderId` is the account's id or null."""

    message: HistoryMessage
    success: Literal[True] = True


Ack: TypeAlias = Struct

OK = Success()
