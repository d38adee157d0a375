"""Message rows: what was said in which room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from neuron_meet.store.client import Database


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored; `id` and `created_at` are made by the server."""

    id: str
    room_id: str
    user_id: str | None
    sender_name: str
    content: str
    created_at: datetime


class Messages:
    """Queries on the Message model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, messages: Sequence[NewMessage]) -> None:
        """Store messages in one statement: all of them or none.

        One that is stored already is passed over, so that the same call can be made again after a doubt.
        Raises ForeignKeyViolationError where a room or an account does not exist (any more).
        """
        await self._database.prisma.message.create_many(
            data=[
                {
                    "id": message.id,
                    "roomId": message.room_id,
                    "userId": message.user_id,
                    "senderName": message.sender_name,
                    "content": message.content,
                    "createdAt": message.created_at,
                }
                for message in messages
            ],
            skip_duplicates=True,
        )
