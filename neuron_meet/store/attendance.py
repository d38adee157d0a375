"""Who was in a room and what was said there, for those who may ask: its host and its attendees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuron_meet.store.client import Database
from neuron_meet.store.models import Message, Participant
from neuron_meet.store.text import is_storable
from neuron_meet.store.users import without_hash

if TYPE_CHECKING:
    from neuron_meet.store.generated.types import MessageWhereInput, RoomWhereInput

PAGE_SIZES = (10, 50, 100, 200)
"""How many messages are read at once: the next of these, whatever number is asked for."""


class Attendance:
    """Queries on the Participant and Message models of one room. All may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def may_read(self, room_id: str, user_id: str) -> bool:
        """Whether there is such a room and the account hosts it or has ever been in it."""
        if not is_storable(room_id):
            return False
        return await self._database.prisma.room.find_first(where=_read_by(room_id, user_id)) is not None

    async def open_rows(self, room_id: str, user_id: str) -> list[Participant] | None:
        """The room's open Participant rows with their accounts, by the time they joined, in one query.

        None where `user_id` may not read the room (see :meth:`may_read`).
        """
        if not is_storable(room_id):
            return None
        room = await self._database.prisma.room.find_first(
            where=_read_by(room_id, user_id),
            include={
                "participants": {
                    "where": {"isActive": True},
                    "order_by": [{"joinedAt": "asc"}, {"id": "asc"}],
                    "include": {"user": True},
                }
            },
        )
        if room is None:
            return None
        rows = room.participants or []
        for row in rows:
            if row.user is not None:
                without_hash(row.user)
        return rows

    async def message(self, room_id: str, message_id: str) -> Message | None:
        """The message with that id, if it was written in that room."""
        if not is_storable(message_id):
            return None
        return await self._database.prisma.message.find_first(where={"id": message_id, "roomId": room_id})

    async def messages(self, room_id: str, *, limit: int, before: Message | None = None) -> list[Message]:
        """The newest `limit` messages of the room, of those older than `before`, ascending, with their accounts.

        Keyset paging: `(createdAt, id)` is a total order, so following it back gives each row once, however
        many share a time and whatever is written meanwhile.
        """
        where: MessageWhereInput = {"roomId": room_id}
        if before is not None:
            where["OR"] = [
                {"createdAt": {"lt": before.createdAt}},
                {"createdAt": before.createdAt, "id": {"lt": before.id}},
            ]
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


def _page(limit: int) -> int:
    """How many to read for `limit`: a number belongs to a query's shape, and each shape has a plan of its own."""
    return next((size for size in PAGE_SIZES if size >= limit), limit)


def _read_by(room_id: str, user_id: str) -> RoomWhereInput:
    return {
        "id": room_id,
        "OR": [{"hostId": user_id}, {"participants": {"some": {"userId": user_id}}}],
    }
