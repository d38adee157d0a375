"""Participant rows: who was in which room, from when to when."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from neuron_meet.store.client import Database
from neuron_meet.store.errors import AccountDisabled
from neuron_meet.store.models import Participant, User
from neuron_meet.store.users import is_disabled


class Participants:
    """Queries on the Participant model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
        *,
        record_id: str,
        room_id: str,
        user_id: str | None,
        guest_name: str | None,
        is_host: bool,
        joined_at: datetime,
    ) -> User | None:
        """Write the row of a join; one round trip. Returns the account behind it, None for a guest.

        Raises ForeignKeyViolationError where the account or the room does not exist (any more), and AccountDisabled,
        the row being written then: the account is known by that query only.
        """
        row = await self._database.prisma.participant.create(
            data={
                "id": record_id,
                "roomId": room_id,
                "userId": user_id,
                "guestName": None if user_id else guest_name,
                "isHost": is_host,
                "joinedAt": joined_at,
            },
            include={"user": True} if user_id else None,
        )
        if row.user is not None and is_disabled(row.user):
            raise AccountDisabled
        return row.user

    async def history(self, record_id: str, user_id: str | None, limit: int) -> list[Participant]:
        """The newest `limit` rows of an account with their rooms, newest first; of a guest, the one that there is."""
        return await self._database.prisma.participant.find_many(
            where={"userId": user_id} if user_id else {"id": record_id},
            include={"room": True},
            order=[{"joinedAt": "desc"}, {"id": "desc"}],
            take=limit,
        )

    async def close(self, record_ids: Sequence[str], left_at: datetime) -> int:
        """Close the rows that are still open. Returns how many were."""
        return await self._database.prisma.participant.update_many(
            where={"id": {"in": list(record_ids)}, "isActive": True},
            data={"isActive": False, "leftAt": left_at},
        )

    async def open_ids(self, room_ids: Collection[str], prefix: str) -> list[str]:
        """Ids of the open rows in these rooms that begin with `prefix` (the rows of one run, store/ids.py)."""
        rows = await self._database.prisma.participant.find_many(
            where={"roomId": {"in": list(room_ids)}, "isActive": True}
        )
        # Compared here: no plan of this process has a prefix, and the host would be kept for this alone.
        return [row.id for row in rows if row.id.startswith(prefix)]

    async def reopen(self, record_ids: Collection[str]) -> int:
        """Open rows again that were closed though their participants are there. Returns how many were."""
        return await self._database.prisma.participant.update_many(
            where={"id": {"in": list(record_ids)}, "isActive": False},
            data={"isActive": True, "leftAt": None},
        )
