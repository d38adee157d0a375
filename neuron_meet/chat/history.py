"""The chat of a room, page by page, for those who may read it."""

from __future__ import annotations

from neuron_meet.errors import ROOM_NOT_FOUND, Refused
from neuron_meet.store.attendance import Attendance
from neuron_meet.store.models import Message


class UnknownMessageError(Exception):
    """The message to page back from was not written in that room."""


class History:
    """Reads a room's messages. May raise StoreError."""

    def __init__(self, attendance: Attendance) -> None:
        self._attendance = attendance

    async def page(self, room_id: str, caller_id: str, *, limit: int, before: str | None) -> list[Message]:
        """The newest `limit` messages (of those just older than the message `before`), ascending.

        Raises :class:`Refused` (`ROOM_NOT_FOUND`), also when the caller neither hosts nor attended the room, so
        that strangers do not learn which ids exist; :class:`UnknownMessageError` for a `before` of no message
        of this room (of another one's, likewise).
        """
        if not await self._attendance.may_read(room_id, caller_id):
            raise Refused(ROOM_NOT_FOUND)
        if before is None:
            return await self._attendance.messages(room_id, limit=limit)
        anchor = await self._attendance.message(room_id, before)
        if anchor is None:
            raise UnknownMessageError
        return await self._attendance.messages(room_id, limit=limit, before=anchor)
