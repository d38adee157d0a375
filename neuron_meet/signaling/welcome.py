"""What a join tells everybody, decided in one step together with the presence it reports."""

from __future__ import annotations

from msgspec import UNSET

from neuron_meet import errors
from neuron_meet.rooms.policy import RoomRules
from neuron_meet.signaling import lobby
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart
from neuron_meet.signaling.effects import Enter, Outcome, RoomEffect, ToRoom, ToSocket
from neuron_meet.signaling.events import (
    FEATURES,
    ForceDisconnect,
    ForceMute,
    HistoryMessage,
    RoomJoined,
    RoomSettingsView,
    UserJoined,
    event_and_ack,
)
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom


def welcome(
    signaling: Signaling,
    room: LiveRoom,
    participant: Participant,
    stored: list[HistoryMessage],
    *,
    force_mute: bool,
) -> Outcome:
    """Make a seated participant present. Part of one step: snapshot and subscription are the same moment.
    `force_mute`: their microphone is to be switched off, by the room's rule.

    In the order of the contract: the former self leaves, `user-joined` to the others, `room-joined` to the
    joiner, the ack. Of two who join at once, the later one has the earlier one in its snapshot.
    """
    room.forget_knock(participant.sid)
    effects = lobby.replace_knocks(room, participant.sid, participant.seat)
    effects += _leave_former_self(signaling, room, participant)
    others = room.admit(participant)
    rules = room.known_rules
    joined = RoomJoined(
        room_id=rules.room_id,
        room_code=rules.code,
        is_host=participant.is_host,
        participants=[other.listed() for other in others],
        messages=room.replay(stored),
        settings=_settings_view(rules),
        features=FEATURES,
        waiting=[waiter.view() for waiter in room.waiting.values()] if participant.is_host else UNSET,
        ice_servers=signaling.ice.for_member(participant.user_id or participant.sid) or UNSET,
    )
    event, ack = event_and_ack(joined)
    effects += [
        ToRoom(room.code, UserJoined(participant=participant.view())),
        Enter(participant.sid, room.code),
        ToSocket(participant.sid, event),
    ]
    if force_mute:
        effects.append(ToSocket(participant.sid, ForceMute()))
    return Outcome(effects, ack)


def _leave_former_self(signaling: Signaling, room: LiveRoom, participant: Participant) -> list[RoomEffect]:
    """The same socket's former presence, and the same account's other socket, make room."""
    effects = depart(signaling, room, participant.sid)
    former = room.holder(participant.user_id)
    if former is not None:
        effects += depart(signaling, room, former.sid)
        effects.append(ToSocket(former.sid, ForceDisconnect(reason=errors.TAKEN_OVER)))
    return effects


def _settings_view(rules: RoomRules) -> RoomSettingsView | None:
    if not rules.has_settings:
        return None
    return RoomSettingsView(
        allow_screen_share=rules.allow_screen_share,
        allow_chat=rules.allow_chat,
        waiting_room=rules.waiting_room,
    )
