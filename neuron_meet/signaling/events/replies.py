"""Acknowledgements: `success`, then `error` or what the event promises."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from neuron_meet.signaling.events.server import EncodedPayload, RoomJoined
from neuron_meet.signaling.events.shapes import SentMessage


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

    message: SentMessage
    success: Literal[True] = True


Ack: TypeAlias = Struct | Raw
"""An acknowledgement, or its JSON."""
_encode = msgspec.json.Encoder().encode


def event_and_ack(joined: RoomJoined) -> tuple[EncodedPayload, Raw]:
    """The event of a join, and its acknowledgement (:class:`RoomJoinedAck`): what both say is encoded once."""
    body = _encode(joined)
    return EncodedPayload(joined.event, joined.volatile, body), Raw(body[:-1] + b',"success":true}')


OK = Success()
