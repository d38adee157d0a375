"""Rooms with their settings and host: queries on the Room and RoomSettings models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, cast

from neuron_meet.store.client import Database
from neuron_meet.store.errors import ForeignKeyViolationError
from neuron_meet.store.ids import new_id
from neuron_meet.store.models import Room
from neuron_meet.store.sql import NOW, ROOM, SETTINGS, decoded, person, room_of
from neuron_meet.store.text import is_storable

if TYPE_CHECKING:
    from neuron_meet.store.generated.types import RoomSettingsUpdateManyMutationInput

_LOCK = "SELECT 1 AS one FROM {} WHERE id = $1 FOR NO KEY UPDATE"
_ROOM = f"""{ROOM}, {person('r."hostId"')} AS host"""
_WITH_ADDRESS = f"""{ROOM}, {person('r."hostId"', "email")} AS host"""
_JUST_MADE = _ROOM.replace(SETTINGS, "(SELECT row_to_json(kept) FROM kept)")
_BY_ID = (
    f"SELECT row_to_json(found)::text AS found FROM (SELECT {_ROOM} FROM {{Room}} r WHERE r.id = $1) AS found"
)
_BY_CODE = f"SELECT row_to_json(found)::text AS found FROM (SELECT {_ROOM} FROM {{Room}} r WHERE r.code = $1) AS found"
_CREATE = f"""
WITH r AS (
  INSERT INTO {{Room}} (id, code, name, "hostId", "startedAt", "createdAt", "updatedAt")
  SELECT $1, $2, $3, $4, {NOW}, {NOW}, {NOW} {{unless_many}} RETURNING *),
kept AS (
  INSERT INTO {{RoomSettings}} (id, "roomId", "waitingRoom", "maxParticipants")
  SELECT $5, r.id, $6::text::boolean, $7::text::int FROM r RETURNING *)
SELECT row_to_json(found)::text AS found FROM (SELECT {_JUST_MADE} FROM r) AS found
"""
_UNLESS_MANY = """WHERE (SELECT count(*) FROM (
    SELECT FROM {Room} o WHERE o."hostId" = $4 AND o."isActive" LIMIT {most_open}) AS open) < {most_open}"""
# Of each kind the newest, in the order of an index; then the newest of these few.
_NEWEST = """SELECT {kind}.id, {kind}."createdAt" FROM {{Room}} {kind} WHERE {where}{kind}."isActive" = {active}
  ORDER BY {kind}."createdAt" DESC, {kind}.id DESC LIMIT {{limit}}"""


def _newest(where: str, *, ended_too: bool = True) -> str:
    """The newest rooms, in parentheses for a UNION."""
    kinds = [("o", "true"), ("e", "false")] if ended_too else [("o", "true")]
    return " UNION ALL ".join(
        f"({_NEWEST.format(kind=kind, active=active, where=where.format(kind))})" for kind, active in kinds
    )


def _listed(columns: str, chosen: str) -> str:
    """The newest of the rooms that `chosen` gives (`id`, `createdAt`), whole."""
    return f"""
SELECT (SELECT row_to_json(one) FROM (SELECT {columns} FROM {{Room}} r WHERE r.id = chosen.id) AS one)::text AS found
FROM (SELECT c.id, c."createdAt" FROM ({chosen}) AS c ORDER BY c."createdAt" DESC, c.id DESC LIMIT {{limit}}) AS chosen
ORDER BY chosen."createdAt" DESC, chosen.id DESC
"""


# OFFSET 0 keeps the planner from reading all rooms for an account that has been in many.
_NEWEST_OF = _listed(
    _ROOM,
    f"""{_newest('{}."hostId" = $1 AND ')} UNION SELECT a.id, a."createdAt" FROM (
      SELECT DISTINCT p."roomId" FROM {{Participant}} p WHERE p."userId" = $1 OFFSET 0) AS been
    CROSS JOIN LATERAL (
      SELECT v.id, v."createdAt" FROM {{Room}} v WHERE v.id = been."roomId" OFFSET 0) AS a""",
)
_NEWEST_OPEN = _listed(_WITH_ADDRESS, _newest("", ended_too=False))
_NEWEST_OF_ALL = _listed(_WITH_ADDRESS, _newest(""))


class Rooms:
    """Queries on the Room model. All may raise StoreError.

    Rooms come with `settings` (None for some of the former server's) and `host`, of whom only those columns are there
    that are shown: `id`, `displayName` and `avatarUrl` where nothing else is said.
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

        Exact, however many servers make rooms for the account at once: the account's row is locked from before the
        count to the commit. `NO KEY`, so that it holds up no row that refers to the account.
        Raises UniqueViolationError when `code` is taken, ForeignKeyViolationError when there is no such account.
        """
        values = (new_id(), code, name, host_id, new_id(), str(waiting_room), str(max_participants))
        database = self._database
        if most_open is None:
            [row] = await database.write(_CREATE, *values, operation="create", model="Room", unless_many="")
            return room_of(decoded(row))
        unless_many = _UNLESS_MANY.format(Room="{Room}", most_open=most_open)
        # A statement after the lock: one that waits for it would count what was there before.
        async with database.transaction(_LOCK.format(database.table("User")), host_id) as tx:
            rows = await database.write(
                _CREATE, *values, operation="create", model="Room", within=tx, unless_many=unless_many
            )
            return room_of(decoded(rows[0])) if rows else None

    async def find(self, room_id: str) -> Room | None:
        """The room with that id."""
        return await self._find(_BY_ID, room_id)

    async def find_by_code(self, code: str) -> Room | None:
        """The room with that code."""
        return await self._find(_BY_CODE, code)

    async def newest_of(self, user_id: str, limit: int) -> list[Room]:
        """The newest rooms that the account hosts or has a Participant row in, each once, newest first."""
        return _rooms(
            await self._database.read(_NEWEST_OF, user_id, operation="newest_of", model="Room", limit=limit)
        )

    async def newest(self, limit: int, *, active: bool) -> list[Room]:
        """The newest `limit` rooms of all, newest first; with `active` only those that have not ended.

        Of their hosts `email` is there, and nothing else.
        """
        statement = _NEWEST_OPEN if active else _NEWEST_OF_ALL
        return _rooms(await self._database.read(statement, operation="newest", model="Room", limit=limit))

    async def _find(self, statement: str, key: str) -> Room | None:
        if not is_storable(key):
            return None
        rows = await self._database.read(statement, key, operation="find", model="Room")
        return room_of(decoded(rows[0])) if rows else None

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


def _rooms(rows: list[str]) -> list[Room]:
    return [room_of(decoded(row)) for row in rows]
