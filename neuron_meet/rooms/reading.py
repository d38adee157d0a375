"""Who may read what was said in a room and who is in it, over REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from neuron_meet.errors import ROOM_NOT_FOUND, Refused
from neuron_meet.rooms.live import LiveRooms
from neuron_meet.store.attendance import Attendance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may read a room: all of it, or nothing that is younger than `until`, their last leaving."""

    until: datetime | None = None


class Reading:
    """The rules (docs/protocol.md#who-may-read-a-room): the host and who is inside, everything; an attendee who has
    left, up to that moment; who was removed, nothing as long as that keeps them from joining; a stranger, nothing.
    """

    def __init__(self, attendance: Attendance, live: LiveRooms) -> None:
        self._attendance = attendance
        self._live = live

    async def read(self, room_id: str, user_id: str, query: Callable[[Reader], Awaitable[T]]) -> T:
        """What `query` finds for the account as a reader of the room.

        Raises :class:`Refused` (`ROOM_NOT_FOUND`) where it may not read the room, also for an unknown one: an answer of
        its own would tell strangers which ids exist. Raises PresenceUnavailable where nobody knows who is inside, and
        what the query raises. It may run again: who was inside when it began may be out when it ends.
        """
        while True:
            attended = await self._attendance.attended(room_id, user_id)
            if attended is None:
                raise Refused(ROOM_NOT_FOUND)
            if attended.is_host:
                return await query(Reader())
            standing = await self._live.standing(attended.code, user_id)
            if standing.removed or self._lasts(attended.removed_until):
                raise Refused(ROOM_NOT_FOUND)
            if not standing.inside:
                if attended.left_at is None:  # no row, no right: never as if that were no limit
                    raise Refused(ROOM_NOT_FOUND)
                return await query(Reader(attended.left_at))
            found = await query(Reader())
            if (await self._live.standing(attended.code, user_id)).inside:
                return found

    def _lasts(self, until: datetime | None) -> bool:
        return until is not None and until > self._attendance.now()
