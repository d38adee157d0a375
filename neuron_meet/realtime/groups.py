"""Rooms as groups of sockets of this server."""

from __future__ import annotations

import structlog

from neuron_meet.realtime.connection import Connection
from neuron_meet.realtime.frames import Frames
from neuron_meet.signaling.effects import ToRoom

log = structlog.get_logger(__name__)


class Groups:
    """The sockets of each room, by room code. A room without any is forgotten."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._groups: dict[str, dict[str, Connection]] = {}
        self._log = log.bind()  # the logger behind the name: structlog looks for it at each line otherwise

    def enter(self, room: str, connection: Connection) -> None:
        """A socket is one of the room's from now on."""
        self._groups.setdefault(room, {})[connection.caller.sid] = connection

    def leave(self, room: str, sid: str) -> None:
        """A socket is none of the room's any more."""
        group = self._groups.get(room)
        if group is not None:
            if group.pop(sid, None) is not None:
                self._log.info("left", sid=sid, room=room)
            if not group:
                del self._groups[room]

    def leave_all(self, sid: str) -> None:
        """A socket is in no room any more."""
        for room in [room for room, group in self._groups.items() if sid in group]:
            self.leave(room, sid)

    def send(self, effect: ToRoom) -> int:
        """Send an event to everybody in the room but `skip`, encoded once. Returns to how many."""
        group = self._groups.get(effect.room)
        if not group:
            return 0
        frame, skip = self._frames.event(effect.payload), effect.skip
        for sid, connection in group.items():
            if sid != skip:
                connection.write(frame)
        return len(group) - (skip in group)
