"""Presence in this process's memory: no await and no I/O, so every operation is atomic on the loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from neuron_meet.rooms.removals import Removals, RoomRemovals
from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.presence.interface import NO_TURN, Hold, Step
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom, Whereabouts


class MemoryPresence:
    """Who is in which room now, on the only node (:class:`neuron_meet.signaling.presence.interface.Presence`)."""

    node = ""

    def __init__(self, removals: Removals, denials: Removals) -> None:
        self._rooms: dict[str, LiveRoom] = {}
        self._removals, self._denials = removals, denials
        self.whereabouts = Whereabouts()

    # -- looking
    def room(self, code: str) -> LiveRoom | None:
        """The room, where it is in use."""
        return self._rooms.get(code)

    def participant(self, sid: str) -> Participant | None:
        """The participant behind a socket, None where it is in no room."""
        code = self.whereabouts.inside.get(sid)
        return None if code is None else self._rooms[code].members[sid]

    def located(self, sid: str) -> tuple[Participant, LiveRoom] | None:
        """The participant behind a socket together with its room."""
        code = self.whereabouts.inside.get(sid)
        if code is None:
            return None
        room = self._rooms[code]
        return room.members[sid], room

    def participants(self) -> Iterator[Participant]:
        """Everybody in any room whose socket is at this node."""
        return (member for room in self._rooms.values() for member in room.members.values())

    def rooms(self) -> Iterator[LiveRoom]:
        """Every room in use at this node."""
        return iter(self._rooms.values())

    def members(self, code: str) -> list[Participant]:
        """Everybody in a room, in use at this node or not."""
        room = self._rooms.get(code)
        return list(room.members.values()) if room else []

    def look(self, code: str) -> LiveRoom:
        """The room, in use at this node or not. To be looked at, never to be changed."""
        return self._rooms.get(code) or self._new(code)

    def reachable(self, participant: Participant) -> bool:
        """Whether what is sent to a participant gets to the node that has the socket."""
        return True

    # -- changing
    def act(self, code: str, step: Step, *, urgent: bool = False) -> Outcome:
        """Do `step`. The caller delivers what it decided, in the same turn. Raises what `step` raises."""
        room = self._rooms.get(code)
        if room is None:
            room = self._rooms[code] = self._new(code)
        try:
            return step(room)
        finally:
            self._forget_if_idle(room)

    def hold(self, code: str) -> Hold:
        """Keep the room's live state while something is under way: nothing that happens meanwhile is missed."""
        room = self._rooms.get(code)
        if room is None:
            room = self._rooms[code] = self._new(code)
        return Hold(room, self._forget_if_idle)

    def changing(self, live: LiveRoom) -> AbstractAsyncContextManager[object]:
        """One change of the room's stored rules at a time."""
        return live.changing

    def speaking(self, live: LiveRoom) -> AbstractAsyncContextManager[object]:
        """The room's messages get their moments and are stored in one order; here the journal sees to it."""
        return NO_TURN

    def _new(self, code: str) -> LiveRoom:
        return LiveRoom(code, self.whereabouts, RoomRemovals(code, self._removals, self._denials))

    def _forget_if_idle(self, room: LiveRoom) -> None:
        if room.idle and self._rooms.get(room.code) is room:
            del self._rooms[room.code]
