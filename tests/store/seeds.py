"""Rows that a test begins with, and a second connection that gets in the server's way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from neuron_meet.rooms.codes import new_room_code
from neuron_meet.store.generated.client import Prisma
from neuron_meet.store.ids import new_id
from neuron_meet.store.messages import NewMessage
from neuron_meet.store.models import Room, User

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


async def a_user(prisma: Prisma, **fields: str) -> User:
    """A new account."""
    given = {"email": f"{uuid.uuid4().hex}@example.com", "name": "Ada", "password": "no hash"}
    return await prisma.user.create({**given, **fields})  # type: ignore[typeddict-item]


async def a_room(prisma: Prisma, host: User | None = None, *, settings: bool = True) -> Room:
    """A new room, of a new host where none is given."""
    host = host or await a_user(prisma, name="Host")
    return await prisma.room.create(
        {
            "code": new_room_code(),
            "name": "Standup",
            "hostId": host.id,
            **({"settings": {"create": {}}} if settings else {}),  # type: ignore[typeddict-item]
        }
    )


def a_message(room_id: str, content: str, *, user_id: str | None = None, message_id: str = "") -> NewMessage:
    """A message to be stored."""
    return NewMessage(message_id or new_id(), room_id, user_id, "Ada", content)


async def a_row(prisma: Prisma, message: NewMessage, at: datetime = NOON) -> NewMessage:
    """A message that was stored at some moment: by the former server, another clock, an import."""
    await prisma.message.create(
        {
            "id": message.id,
            "roomId": message.room_id,
            "userId": message.user_id,
            "senderName": message.sender_name,
            "content": message.content,
            "createdAt": at,
        }
    )
    return message


@asynccontextmanager
async def nobody_writes(url: str, table: str) -> AsyncIterator[None]:
    """While the block lasts, writes to the table wait and reads go on (PostgreSQL's EXCLUSIVE mode)."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')
            yield
    finally:
        await connection.close()


async def all_statements_done(url: str) -> None:
    """Wait until PostgreSQL works on no statement of anybody else in this database, an abandoned one included."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND state <> 'idle' AND pid <> pg_backend_pid()"
            ):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
