"""Leaving a room because one wants to."""

from __future__ import annotations

from neuron_meet.signaling import lobby
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart
from neuron_meet.signaling.effects import Decision, Outcome
from neuron_meet.signaling.events import LeaveRoom
from neuron_meet.signaling.membership import member
from neuron_meet.signaling.presence.room import LiveRoom


def leave_room(signaling: Signaling, caller: Caller, request: LeaveRoom) -> Decision:
    """Leave the room, or the waiting room. In neither nothing happens, successfully; another room's id is refused."""
    sid, whereabouts = caller.sid, signaling.presence.whereabouts
    inside, waits_at = whereabouts.inside.get(sid), whereabouts.waiting.get(sid)
    code = inside or waits_at
    if code is None:
        return Outcome()

    def leave(room: LiveRoom) -> Outcome:
        if sid in room.waiting:
            return Outcome(lobby.take_back(room, sid))
        if inside is None and sid not in room.members:
            return Outcome()  # turned away meanwhile
        member(room, caller, request.room_id)  # perhaps let in meanwhile: among nodes others have their say
        return Outcome(depart(signaling, room, sid))

    return signaling.act(code, leave, urgent=True)
