"""The check that every event of a room begins with: the sender's room is what the server recorded."""

from __future__ import annotations

from neuron_meet import errors
from neuron_meet.errors import Refused
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom


def present(signaling: Signaling, caller: Caller, room_id: str | None = None) -> tuple[Participant, LiveRoom]:
    """The caller's presence. Raises Refused where they are in no room, or in another than `room_id`."""
    located = signaling.presence.located(caller.sid)
    if located is None or (room_id is not None and located[0].room_id != room_id):
        raise Refused(errors.NOT_IN_ROOM)
    return located


def code_of(signaling: Signaling, caller: Caller, room_id: str) -> str:
    """The code of the room that the caller is in. Raises Refused where they are in no room, or in another."""
    return present(signaling, caller, room_id)[1].code


def member(room: LiveRoom, caller: Caller, room_id: str) -> Participant:
    """The caller as a member of `room`, at the moment of a step. Raises Refused where they are not, or no longer."""
    sender = room.members.get(caller.sid)
    if sender is None or sender.room_id != room_id:
        raise Refused(errors.NOT_IN_ROOM)
    return sender


def companion(live: LiveRoom, participant: Participant, target_id: str) -> Participant:
    """Another participant of the same room. Raises Refused for anybody else, and for oneself."""
    target = live.members.get(target_id)
    if target is None or target is participant:
        raise Refused(errors.TARGET_NOT_IN_ROOM)
    return target
