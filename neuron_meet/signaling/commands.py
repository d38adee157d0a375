"""The events that clients may send: each one's payload, use case, order and limits, in one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import msgspec
from msgspec import Raw, Struct

from neuron_meet.json_text import member_as_it_came, unicode_text
from neuron_meet.signaling import admission, chat, controls, events, leave, media, relay
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.events import ClientPayload
from neuron_meet.signaling.join import join_room
from neuron_meet.signaling.limits import Pace

OPAQUE_FIELDS = frozenset({"sdp", "candidate"})
"""What is relayed without being read."""

UseCase = Callable[[Signaling, Caller, Any], Outcome | Awaitable[Outcome]]


class Order(Enum):
    """How an event is ordered among the others of its connection (see `Lane`)."""

    AT_ONCE = "at once"
    QUEUED = "queued"
    MOVES = "moves"


class Command(Struct):
    """An event that clients may send: its payload, its use case, its order, its limits (`max_bytes` of JSON)."""

    decoder: msgspec.json.Decoder[Any]
    use_case: UseCase
    pace: Pace
    order: Order
    max_bytes: int

    def decode(self, payload: Raw) -> ClientPayload | None:
        """An event's payload, from JSON; None where it is not that."""
        if len(memoryview(payload)) > self.max_bytes:
            return None
        try:
            return self.decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._decode_halved(bytes(payload))

    def _decode_halved(self, text: bytes) -> ClientPayload | None:
        """A payload with half an emoji in it: read with U+FFFD in its place, what is relayed as it came."""
        readable = unicode_text(text)
        if readable is None:
            return None
        try:
            payload: ClientPayload = self.decoder.decode(readable)
            for field in OPAQUE_FIELDS.intersection(payload.__struct_fields__):
                original = member_as_it_came(text, readable, field)
                if original is None:
                    return None
                setattr(payload, field, Raw(original))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return payload


def _command(
    payload: type[ClientPayload],
    use_case: UseCase,
    pace: Pace,
    order: Order = Order.AT_ONCE,
    max_bytes: int = 2_000,
) -> tuple[str, Command]:
    return payload.event, Command(msgspec.json.Decoder(payload), use_case, pace, order, max_bytes)


def commands(*, max_message_length: int, max_sdp_bytes: int, clustered: bool = False) -> dict[str, Command]:
    """Every event that clients may send. Sizes are of the payload's JSON, in bytes.

    `clustered`: what changes a room takes its time, because other nodes have a say in it.
    """
    media_order = Order.QUEUED if clustered else Order.AT_ONCE
    # A character is at most 12 bytes of JSON (two \\uXXXX escapes); blanks that are trimmed may come on top.
    chat_bytes = max_message_length * 12 + 10_000
    return dict(
        (
            _command(events.JoinRoom, join_room, Pace.JOIN, Order.MOVES, 20_000),
            _command(events.LeaveRoom, leave.leave_room, Pace.JOIN, Order.MOVES),
            _command(events.Offer, relay.relay_offer, Pace.RELAY, max_bytes=max_sdp_bytes),
            _command(events.Answer, relay.relay_answer, Pace.RELAY, max_bytes=max_sdp_bytes),
            _command(events.IceCandidate, relay.relay_candidate, Pace.RELAY, max_bytes=10_000),
            _command(events.ToggleAudio, media.toggle_audio, Pace.MEDIA, media_order),
            _command(events.ToggleVideo, media.toggle_video, Pace.MEDIA, media_order),
            _command(events.StartScreenShare, media.start_screen_share, Pace.MEDIA, media_order),
            _command(events.StopScreenShare, media.stop_screen_share, Pace.MEDIA, media_order),
            _command(events.ToggleHandRaise, media.toggle_hand_raise, Pace.MEDIA, media_order),
            _command(events.SendChatMessage, chat.send_message, Pace.CHAT, Order.QUEUED, chat_bytes),
            _command(events.TypingStart, chat.start_typing, Pace.TYPING),
            _command(events.TypingStop, chat.stop_typing, Pace.TYPING),
            _command(events.MuteParticipant, controls.mute_participant, Pace.HOST, Order.QUEUED),
            _command(events.RemoveParticipant, controls.remove_participant, Pace.HOST, Order.QUEUED),
            _command(events.AdmitParticipant, admission.admit_participant, Pace.HOST, Order.QUEUED),
            _command(events.DenyParticipant, admission.deny_participant, Pace.HOST, Order.QUEUED),
            _command(events.LockRoom, controls.lock_room, Pace.HOST, Order.QUEUED),
        )
    )
