"""The chat of a room, page by page, for those who may read it."""

from __future__ import annotations

import asyncio

from neuron_meet.rooms.reading import Reader, Reading
from neuron_meet.store.attendance import Attendance
from neuron_meet.store.models import Message

PAGES_AT_ONCE = 2
"""Pages that are read at the same time. One of 200 long messages takes some 30 MB while it is read, for 3 MB of answer;
one process gains nothing by reading more of them side by side."""


class UnknownMessageError(Exception):
    """The message to page back from was not written in that room, or the caller may not read it."""


class History:
    """Reads a room's messages. May raise StoreError."""

    def __init__(self, attendance: Attendance, reading: Reading) -> None:
        self._attendance = attendance
        self._reading = reading
        self._turns = asyncio.Semaphore(PAGES_AT_ONCE)

    async def page(self, room_id: str, caller_id: str, *, limit: int, before: str | None) -> list[Message]:
        """The newest `limit` messages that the caller may read (of those just older than the message `before`),
        ascending.

        Raises as :meth:`neuron_meet.rooms.reading.Reading.read`; :class:`UnknownMessageError` for a `before` of no
        message of this room, and likewise of another one's or of one that is too young for the caller: that there is
        such a message is not for them to know.
        """

        async def messages(reader: Reader) -> list[Message]:
            async with self._turns:
                if before is None:
                    return await self._attendance.messages(room_id, limit=limit, until=reader.until)
                anchor = await self._attendance.message(room_id, before)
                if anchor is None or (reader.until is not None and anchor.createdAt > reader.until):
                    raise UnknownMessageError
                return await self._attendance.messages(room_id, limit=limit, before=anchor)

        return await self._reading.read(room_id, caller_id, messages)
