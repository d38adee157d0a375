"""A node has died: its participants leave, its knocks are taken back, its joins under way are over."""

from __future__ import annotations

from neuron_meet.signaling import lobby
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart
from neuron_meet.signaling.effects import Outcome, RoomEffect
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.room import LiveRoom


def bury(signaling: Signaling, node: str) -> Step:
    """The step that takes all of a dead node out of a room. Done twice it does nothing."""

    def step(room: LiveRoom) -> Outcome:
        effects: list[RoomEffect] = []
        for sid in [sid for sid, member in room.members.items() if member.node == node]:
            effects += depart(signaling, room, sid)
        for sid in [sid for sid, waiter in room.waiting.items() if waiter.node == node]:
            effects += lobby.take_back(room, sid)
        for record_id in [key for key, reservation in room.reserved.items() if reservation.node == node]:
            room.release(record_id)
        return Outcome(effects)

    return step
