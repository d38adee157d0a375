"""A replica that has missed what happened becomes what the room is, and those at its node are told the difference."""

from __future__ import annotations

from typing import cast

from neuron_meet.rooms.policy import RoomRules
from neuron_meet.signaling.effects import RoomEffect, ToRoom
from neuron_meet.signaling.events import (
    RoomLocked,
    RoomSettingsChanged,
    ScreenShareStarted,
    ScreenShareStopped,
    ServerPayload,
    UserHandLowered,
    UserHandRaised,
    UserJoined,
    UserLeft,
    UserToggleAudio,
    UserToggleVideo,
)
from neuron_meet.signaling.presence.kept_out import SharedKeptOut
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom


def become(room: LiveRoom, other: LiveRoom) -> None:
    """Let `room` be as `other` is, in place: it is held on to. Messages that were said since stay known."""
    for sid, member in list(room.members.items()):
        if sid not in other.members or other.members[sid].admitted_after != member.admitted_after:
            room.put_member(sid, None)  # gone, or joined anew: now behind the others
    for sid, member in other.members.items():
        room.put_member(sid, member)
    for record_id in [record_id for record_id in room.reserved if record_id not in other.reserved]:
        room.put_reservation(record_id, None)
    for record_id, reservation in other.reserved.items():
        room.put_reservation(record_id, reservation)
    for sid in [sid for sid in room.waiting if sid not in other.waiting]:
        room.put_waiter(sid, None)
    for sid, waiter in other.waiting.items():
        room.put_waiter(sid, waiter)
    if other.rules is not None and other.rules_version >= room.rules_version:
        room.rules, room.rules_version = other.rules, other.rules_version
    room.kept_out = SharedKeptOut(dict(cast("SharedKeptOut", other.kept_out).until))
    room.version = other.version


def difference(before: LiveRoom, after: LiveRoom) -> list[RoomEffect]:
    """What the sockets in a room are told who have seen `before` and not what led to `after`."""
    payloads: list[ServerPayload] = [
        UserLeft(socket_id=sid, user_id=member.user_id)
        for sid, member in before.members.items()
        if sid not in after.members
    ]
    for sid, member in after.members.items():
        former = before.members.get(sid)
        if former is None:
            payloads.append(UserJoined(participant=member.view()))
        else:
            payloads += _changes(former, member)
    payloads += _rules(before.rules, after.rules)
    return [ToRoom(after.code, payload) for payload in payloads]


def _changes(former: Participant, member: Participant) -> list[ServerPayload]:
    sid, payloads = member.sid, list[ServerPayload]()
    if former.is_muted != member.is_muted:
        payloads.append(UserToggleAudio(socket_id=sid, enabled=not member.is_muted))
    if former.is_video_off != member.is_video_off:
        payloads.append(UserToggleVideo(socket_id=sid, enabled=not member.is_video_off))
    if former.is_screen_sharing != member.is_screen_sharing:
        shares = member.is_screen_sharing
        payloads.append(ScreenShareStarted(socket_id=sid) if shares else ScreenShareStopped(socket_id=sid))
    if former.is_hand_raised != member.is_hand_raised:
        name = member.display_name
        raised = UserHandRaised(socket_id=sid, display_name=name)
        payloads.append(raised if member.is_hand_raised else UserHandLowered(socket_id=sid))
    return payloads


def _rules(before: RoomRules | None, after: RoomRules | None) -> list[ServerPayload]:
    if before is None or after is None or before == after:
        return []
    payloads: list[ServerPayload] = [settings_event(after)]
    if before.is_locked != after.is_locked:
        payloads.append(RoomLocked(locked=after.is_locked))
    return payloads


def settings_event(rules: RoomRules) -> RoomSettingsChanged:
    """`room-settings`, as the rules are."""
    return RoomSettingsChanged(
        allow_screen_share=rules.allow_screen_share,
        allow_chat=rules.allow_chat,
        waiting_room=rules.waiting_room,
        allow_guest_access=rules.allow_guest_access,
        mute_participants_on_join=rules.mute_participants_on_join,
        is_locked=rules.is_locked,
        max_participants=rules.max_participants,
    )
