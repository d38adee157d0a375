"""Rooms with their settings and host: queries on the Room and RoomSettings models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, cast

from neuron_meet.store.client import Database
from neuron_meet.store.errors import ForeignKeyViolationError
from neuron_meet.store.ids import new_id
from neuron_meet.store.models import Room
from neuron_meet.store.text import is_storable
from neuron_meet.store.users import without_hash

if TYPE_CHECKING:
    from neuron_meet.store.generated.types import (
        RoomCreateInput,
        RoomInclude,
        RoomSettingsUpdateManyMutationInput,
    )

_LOCK = "SELECT 1 AS one FROM {} WHERE id = $1 FOR NO KEY UPDATE"
_WITH_SETTINGS_AND_HOST: RoomInclude = {"settings": True, "host": True}


class Rooms:
    """Queries on the Room model. All may raise StoreError.

    Rooms come with `settings` (None for some of the former server's) and `host`, its password hash blanked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        *,
        code: str,
        name: str,
        host_id: str,
        waiting_room: bool,
        max_participants: int,
        most_open: int | None = None,
    ) -> Room | None:
        """A new active room with its settings; None when the account hosts `most_open` active ones already.

        Exact, however many servers make rooms for the account at once: the account's row is locked from the
        count to the commit. `NO KEY`, so that it holds up no row that refers to the account.
        Raises UniqueViolationError when `code` is taken, ForeignKeyViolationError (or RecordNotFoundError) when
        there is no such account.
        """
        data: RoomCreateInput = {
            "id": new_id(),  # with ids of Prisma's the host would have to run this
            "code": code,
            "name": name,
            "hostId": host_id,
            "settings": {
                "create": {"id": new_id(), "waitingRoom": waiting_room, "maxParticipants": max_participants}
            },
        }
        if most_open is None:
            return _clean(await self._database.prisma.room.create(data, include=_WITH_SETTINGS_AND_HOST))
        async with self._database.transaction(_LOCK.format(self._database.table("User")), host_id) as tx:
            if await tx.room.count(where={"hostId": host_id, "isActive": True}) >= most_open:
                return None
            return _clean(await tx.room.create(data, include=_WITH_SETTINGS_AND_HOST))

    async def find(self, room_id: str) -> Room | None:
        """The room with that id."""
        if not is_storable(room_id):
            return None
        room = await self._database.prisma.room.find_unique(
            where={"id": room_id}, include=_WITH_SETTINGS_AND_HOST
        )
        return None if room is None else _clean(room)

    async def find_by_code(self, code: str) -> Room | None:
        """The room with that code."""
        if not is_storable(code):
            return None
        room = await self._database.prisma.room.find_unique(
            where={"code": code}, include=_WITH_SETTINGS_AND_HOST
        )
        return None if room is None else _clean(room)

    async def newest_of(self, user_id: str, limit: int) -> list[Room]:
        """The newest rooms that the account hosts or has a Participant row in, each once, newest first."""
        rooms = await self._database.prisma.room.find_many(
            where={"OR": [{"hostId": user_id}, {"participants": {"some": {"userId": user_id}}}]},
            include=_WITH_SETTINGS_AND_HOST,
            order=[{"createdAt": "desc"}, {"id": "desc"}],
            take=limit,
        )
        return [_clean(room) for room in rooms]

    async def newest(self, limit: int, *, active: bool) -> list[Room]:
        """The newest `limit` rooms of all, newest first; with `active` only those that have not ended."""
        rooms = await self._database.prisma.room.find_many(
            where={"isActive": True} if active else {},
            include=_WITH_SETTINGS_AND_HOST,
            order=[{"createdAt": "desc"}, {"id": "desc"}],
            take=limit,
        )
        return [_clean(room) for room in rooms]

    async def change_settings(
        self, room_id: str, changes: Mapping[str, bool | int], *, is_locked: bool | None
    ) -> Room | None:
        """Change columns of the settings row, which is made where there is none, and the lock.

        The lock stands in both `Room.isLocked` and `RoomSettings.isLocked`; all of it is one transaction.
        Returns the room as it is then, None when there is none with that id.
        """
        if changes or is_locked is not None:
            columns = dict(changes) if is_locked is None else {**changes, "isLocked": is_locked}
            batch = self._database.prisma.batch_()
            if is_locked is not None:
                batch.room.update_many(where={"id": room_id}, data={"isLocked": is_locked})
            # No upsert, and each column by itself: a query for each column, whose plans are all known beforehand.
            batch.roomsettings.create_many([{"id": new_id(), "roomId": room_id}], skip_duplicates=True)
            for column, value in columns.items():
                change = cast("RoomSettingsUpdateManyMutationInput", {column: value})
                batch.roomsettings.update_many(where={"roomId": room_id}, data=change)
            try:
                await batch.commit()
            except ForeignKeyViolationError:
                return None
        return await self.find(room_id)

    async def end(self, room_id: str, ended_at: datetime) -> Room | None:
        """End a room and close its open participant rows, in one transaction.

        One that has ended stays as it is, its `endedAt` included. Returns the room as it is then.
        """
        async with self._database.prisma.batch_() as batch:
            batch.room.update_many(
                where={"id": room_id, "isActive": True}, data={"isActive": False, "endedAt": ended_at}
            )
            batch.participant.update_many(
                where={"roomId": room_id, "isActive": True}, data={"isActive": False, "leftAt": ended_at}
            )
        return await self.find(room_id)


def _clean(room: Room) -> Room:
    if room.host is not None:
        without_hash(room.host)
    return room
