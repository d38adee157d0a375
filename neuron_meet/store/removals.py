"""RoomRemoval rows: which account was removed from which room, and until when that keeps it out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from neuron_meet.store.client import Database
from neuron_meet.store.session import address_of, session

_ACTIVE = """
SELECT r.code, r."hostId" AS host, b."userId" AS account, b."until"
FROM "RoomRemoval" b CROSS JOIN LATERAL (
  SELECT code, "hostId", "isActive" FROM "Room" WHERE id = b."roomId" OFFSET 0) AS r
WHERE b."until" > $1 AND r."isActive" ORDER BY b."until" DESC LIMIT $2
"""


class ActiveRemoval(NamedTuple):
    """An account that is kept out of a room: the room's code and host, the account, the end (UTC)."""

    code: str
    host_id: str
    user_id: str
    until: datetime


class StoredRemovals:
    """Queries on the RoomRemoval model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, room_id: str, user_id: str, removed_at: datetime, until: datetime) -> None:
        """Store a removal; it takes the place of a former one of the same account. One transaction.

        Raises StoreError: ForeignKeyViolationError where the room or the account does not exist (any more).
        """
        # No upsert: the plans of these two are known beforehand (store/rehearsal.py).
        batch = self._database.prisma.batch_()
        batch.roomremoval.create_many(
            [{"roomId": room_id, "userId": user_id, "removedAt": removed_at, "until": until}],
            skip_duplicates=True,
        )
        batch.roomremoval.update_many(
            where={"roomId": room_id, "userId": user_id}, data={"removedAt": removed_at, "until": until}
        )
        await batch.commit()


async def active_removals(url: str, now: datetime, limit: int) -> Sequence[ActiveRemoval]:
    """The removals that still keep somebody out of a room that has not ended; of more than `limit` the newest.

    For starts: one query on a connection of its own, without a model for each row. Raises DatabaseUnreachable.
    """
    address = address_of(url)
    async with session(address) as connection, connection.transaction():
        await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", address.schema)
        rows = await connection.fetch(_ACTIVE, now.astimezone(UTC).replace(tzinfo=None), limit)
    return [
        ActiveRemoval(row["code"], row["host"], row["account"], row["until"].replace(tzinfo=UTC))
        for row in rows
    ]
