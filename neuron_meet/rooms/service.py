"""Rooms: making, finding, changing and ending them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from weakref import WeakValueDictionary

import structlog

from neuron_meet.audit import NOWHERE, Audit
from neuron_meet.errors import (
    ENDED_BY_HOST,
    ONLY_HOST_END,
    ONLY_HOST_SETTINGS,
    ROOM_NOT_FOUND,
    TOO_MANY_ROOMS,
    UNAUTHORIZED,
    UNAVAILABLE,
    Refusal,
    Refused,
)
from neuron_meet.rooms.codes import new_room_code, room_code_in
from neuron_meet.rooms.live import LiveParticipant, LiveRooms
from neuron_meet.rooms.reading import Reader, Reading
from neuron_meet.store.attendance import Attendance
from neuron_meet.store.errors import ForeignKeyViolationError, RecordNotFoundError, UniqueViolationError
from neuron_meet.store.models import Participant, Room
from neuron_meet.store.rooms import Rooms

log = structlog.get_logger(__name__)

CODE_ATTEMPTS = 8
"""Of 26^9 codes: even with a million rooms eight collisions in a row mean that something else is wrong."""
NEWEST_ROOMS = 20
"""How many of an account's rooms are listed (contract/rest.md)."""


class RoomService:
    """Rooms in the database, and the effect of a change in the meeting. May raise StoreError."""

    def __init__(
        self,
        rooms: Rooms,
        attendance: Attendance,
        live: LiveRooms,
        *,
        most_open: int | None = None,
        audit: Audit = NOWHERE,
    ) -> None:
        """`most_open`: active rooms that one account may host; None sets no limit."""
        self._audit = audit
        self._rooms = rooms
        self._attendance = attendance
        self._live = live
        self._reading = Reading(attendance, live)
        self._most_open = most_open
        self._creating: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, host_id: str, *, name: str, waiting_room: bool, max_participants: int) -> Room:
        """A new active room with settings and host. A code that is taken is replaced by another.

        Raises :class:`Refused` (`UNAUTHORIZED`) when the account has gone meanwhile, `TOO_MANY_ROOMS` when it
        hosts as many active ones as it may.
        """
        # The database counts exactly, by a lock on the account's row. One at a time here, so that those who wait
        # for that lock do not hold the connections that others need.
        lock = self._creating.setdefault(host_id, asyncio.Lock())
        async with lock:
            for _ in range(CODE_ATTEMPTS):
                try:
                    room = await self._rooms.create(
                        code=new_room_code(),
                        name=name,
                        host_id=host_id,
                        waiting_room=waiting_room,
                        max_participants=max_participants,
                        most_open=self._most_open,
                    )
                except UniqueViolationError:
                    log.info("room.code_taken")
                except (ForeignKeyViolationError, RecordNotFoundError):
                    raise Refused(UNAUTHORIZED) from None
                else:
                    if room is None:
                        raise Refused(TOO_MANY_ROOMS)
                    self._audit.record("create-room", actor=host_id, room=room.code)
                    return room
        raise Refused(UNAVAILABLE)

    async def find(self, room_id: str) -> Room:
        """The room with settings and host. Raises :class:`Refused` (`ROOM_NOT_FOUND`)."""
        return _found(await self._rooms.find(room_id))

    async def find_by_code(self, code: str) -> Room:
        """The room with settings and host. Raises :class:`Refused` (`ROOM_NOT_FOUND`)."""
        meant = room_code_in(code)
        return _found(await self._rooms.find_by_code(meant) if meant is not None else None)

    async def newest_of(self, user_id: str) -> list[Room]:
        """The newest rooms that the account hosts or attended, with settings and host, newest first."""
        return await self._rooms.newest_of(user_id, NEWEST_ROOMS)

    async def live_participants(self, code: str) -> list[LiveParticipant]:
        """Those in the room now, by the time they joined; [] for an unknown code."""
        meant = room_code_in(code)
        return await self._live.participants(meant) if meant is not None else []

    async def open_participants(self, room_id: str, caller_id: str) -> list[Participant]:
        """The open Participant rows with their accounts; none for an attendee who has left.

        Raises as :meth:`neuron_meet.rooms.reading.Reading.read`.
        """

        async def rows(reader: Reader) -> list[Participant]:
            return await self._attendance.open_rows(room_id) if reader.until is None else []

        return await self._reading.read(room_id, caller_id, rows)

    async def change_settings(
        self, room_id: str, caller_id: str, changes: Mapping[str, bool | int], *, is_locked: bool | None
    ) -> Room:
        """The room after a change of settings columns and of its lock (None leaves it), which holds at once.

        `changes` maps columns of RoomSettings but `isLocked`. Raises :class:`Refused` (`ROOM_NOT_FOUND`,
        `ONLY_HOST_SETTINGS`).
        """
        code = await self._code_for_host(room_id, caller_id, ONLY_HOST_SETTINGS)
        async with self._live.changing(code):
            room = _found(await self._rooms.change_settings(room_id, changes, is_locked=is_locked))
            await self._live.settings_changed(room)
        lock = {} if is_locked is None else {"isLocked": is_locked}
        self._audit.record("change-room", actor=caller_id, room=code, detail={**changes, **lock})
        return room

    async def end(self, room_id: str, caller_id: str) -> Room:
        """The room after its end: everybody in it is told and leaves, open Participant rows are closed.

        Ending it again changes nothing and succeeds, so that a client may repeat a request whose answer it
        lost. Raises :class:`Refused` (`ROOM_NOT_FOUND`, `ONLY_HOST_END`).
        """
        code = await self._code_for_host(room_id, caller_id, ONLY_HOST_END)
        async with self._live.changing(code):
            room = _found(await self._rooms.end(room_id, self._attendance.now()))
            await self._live.ended(room, ENDED_BY_HOST)
        self._audit.record("end-room", actor=caller_id, room=code)
        return room

    async def _code_for_host(self, room_id: str, caller_id: str, otherwise: Refusal) -> str:
        room = await self.find(room_id)
        if room.hostId != caller_id:
            self._audit.record("control-room", outcome=otherwise.code, actor=caller_id, room=room.code)
            raise Refused(otherwise)
        return room.code


def _found(room: Room | None) -> Room:
    if room is None:
        raise Refused(ROOM_NOT_FOUND)
    return room
