"""Who was in a room and what was said there, for those who may ask: its host and its attendees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from neuron_meet.store.client import Database
from neuron_meet.store.models import Message, Participant
from neuron_meet.store.text import is_storable
from neuron_meet.store.users import without_hash

if TYPE_CHECKING:
    from neuron_meet.store.generated.types import MessageWhereInput

PAGE_SIZES = (10, 50, 100, 200)
"""How many messages are read at once: the next of these, whatever number is asked for."""
ROWS_LOOKED_AT = 20
"""An account has one seat, so its newest row is the one that it left last; those of the former server may overlap."""


@dataclass(frozen=True, slots=True)
class Attended:
    """What the rows say of an account and a room that it hosts or has been in. Moments are in UTC.

    `left_at`: its last leaving; of a row without one the moment of joining, whether it counts as open or (as the former
    server left them) as closed. None for a host who has never been in. `removed_until`: when its last removal is over.
    """

    code: str
    is_host: bool
    left_at: datetime | None
    removed_until: datetime | None = None


class Attendance:
    """Queries on the Participant and Message models of one room. All may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        """This moment by the database's clock, which is that of the rows."""
        return self._database.clock.now()

    async def attended(self, room_id: str, user_id: str) -> Attended | None:
        """What is known of the account and the room, in one query. None where it neither hosts nor attended it."""
        if not is_storable(room_id):
            return None
        # By the id alone, or Prisma would read all rows of the account and cut them itself.
        room = await self._database.prisma.room.find_unique(
            where={"id": room_id},
            include={
                "participants": {
                    "where": {"userId": user_id},
                    "order_by": [{"joinedAt": "desc"}, {"id": "desc"}],
                    "take": ROWS_LOOKED_AT,
                },
                "removals": {"where": {"userId": user_id}},
            },
        )
        if room is None or (room.hostId != user_id and not room.participants):
            return None
        removal = room.removals[0] if room.removals else None
        removed_at = removal.removedAt if removal else None
        left = [_left(row, removed_at) for row in room.participants or []]
        return Attended(
            room.code, room.hostId == user_id, max(left, default=None), removal.until if removal else None
        )

    async def open_rows(self, room_id: str) -> list[Participant]:
        """The room's open Participant rows with their accounts, by the time they joined."""
        rows = await self._database.prisma.participant.find_many(
            where={"roomId": room_id, "isActive": True},
            include={"user": True},
            order=[{"joinedAt": "asc"}, {"id": "asc"}],
        )
        for row in rows:
            if row.user is not None:
                without_hash(row.user)
        return rows

    async def message(self, room_id: str, message_id: str) -> Message | None:
        """The message with that id, if it was written in that room."""
        if not is_storable(message_id):
            return None
        return await self._database.prisma.message.find_first(where={"id": message_id, "roomId": room_id})

    async def messages(
        self, room_id: str, *, limit: int, before: Message | None = None, until: datetime | None = None
    ) -> list[Message]:
        """The newest `limit` messages of the room, ascending, with their accounts: of those older than `before`, or of
        those that are not younger than `until`.

        Keyset paging: `(createdAt, id)` is a total order, so following it back gives each row once, however
        many share a time and whatever is written meanwhile.
        """
        where: MessageWhereInput = {"roomId": room_id}
        if before is not None:
            where["OR"] = [
                {"createdAt": {"lt": before.createdAt}},
                {"createdAt": before.createdAt, "id": {"lt": before.id}},
            ]
        elif until is not None:
            where["createdAt"] = {"lte": until}
        rows = await self._database.prisma.message.find_many(
            where=where,
            include={"user": True},
            order=[{"createdAt": "desc"}, {"id": "desc"}],
            take=_page(limit),
        )
        for row in rows:
            if row.user is not None:
                without_hash(row.user)
        return rows[:limit][::-1]


def _left(row: Participant, removed_at: datetime | None) -> datetime:
    """When one left who was in by that row."""
    if removed_at is not None and row.joinedAt <= removed_at and (not row.leftAt or removed_at < row.leftAt):
        return removed_at  # rows are closed in groups: up to a second later
    return row.leftAt or row.joinedAt


def _page(limit: int) -> int:
    """How many to read for `limit`: a number belongs to a query's shape, and each shape has a plan of its own."""
    return next((size for size in PAGE_SIZES if size >= limit), limit)
