"""How a participant goes, whatever the reason: one place, so that no way of going forgets a part of it."""

from __future__ import annotations

from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import CloseRow, EndTyping, Leave, Outcome, RoomEffect, ToRoom
from neuron_meet.signaling.events import UserLeft, UserTyping
from neuron_meet.signaling.presence.room import LiveRoom


def depart(signaling: Signaling, room: LiveRoom, sid: str, *, announce: bool = True) -> list[RoomEffect]:
    """Take a socket out of a room: presence, row, indicators. Nothing happens where it is not in it.

    Returns what the room must see: the end of typing, then `user-left` (not with `announce=False`, for a
    room that ended for everybody).
    """
    participant = room.leave(sid)
    if participant is None:
        return []
    effects: list[RoomEffect] = [
        CloseRow(participant.record_id, signaling.now()),
        Leave(sid, participant.room_code),
    ]
    if announce:
        if signaling.typing.typing(sid):
            ended = UserTyping(socket_id=sid, display_name=participant.display_name, is_typing=False)
            effects.append(ToRoom(participant.room_code, ended))
        effects.append(ToRoom(participant.room_code, UserLeft(socket_id=sid, user_id=participant.user_id)))
    effects.append(EndTyping(sid))
    return effects


def walk_out(signaling: Signaling, sid: str) -> None:
    """A socket goes from the room that it is in, if it is in one."""
    code = signaling.presence.whereabouts.inside.get(sid)
    if code is not None:
        signaling.act_soon(code, lambda room: Outcome(depart(signaling, room, sid)))
