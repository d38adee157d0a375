"""Rows of every kind, and the values that they are made of."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import asyncpg

from tests.store.seeds import NOON

TEXTS = [
    "",
    "a",
    "b",
    "Zoë",
    "日本語 🎉",
    'quo"te',
    "back\\slash",
    "100%",
    "_",
    "a'b",
    "\u2028\u0085\t\n",
    "{}",
    "NULL",
]
MOMENTS = [
    NOON,
    NOON + timedelta(milliseconds=1),
    NOON + timedelta(milliseconds=123),
    datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    datetime(2100, 2, 28, 0, 0, 0, 500000, tzinfo=UTC),
]
TYPES = ["TEXT", "SYSTEM", "FILE"]
KEYS = ["k1", "k2", "k3", "k4", "k5", "nobody"]


async def write_rows(url: str) -> None:
    """Write them into an empty database: NULLs, ties, odd texts, rooms without settings. Always the same ones."""
    connection = await asyncpg.connect(url)
    chance = random.Random(7)

    def moment() -> datetime:
        return chance.choice(MOMENTS).replace(tzinfo=None)

    for key in KEYS[:-1]:
        await connection.execute(
            'INSERT INTO "User" (id, email, name, "displayName", password, "avatarUrl", "createdAt", "updatedAt")'
            " VALUES ($1, $2, $3, $4, 'hash', $5, $6, $7)",
            key, f"{key}@example.com", chance.choice(TEXTS), chance.choice([None, *TEXTS]),
            chance.choice([None, "https://example.com/é.png"]), moment(), moment(),
        )  # fmt: skip
    for key in KEYS[:-1]:
        await connection.execute(
            'INSERT INTO "Room" (id, code, name, "hostId", "isLocked", "startedAt", "endedAt", "updatedAt")'
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            key, f"code-{key}", chance.choice(TEXTS), chance.choice(KEYS[:3]), chance.random() < 0.5,
            moment(), chance.choice([None, moment()]), moment(),
        )  # fmt: skip
    for key in KEYS[:3]:
        await connection.execute(
            'INSERT INTO "RoomSettings" (id, "roomId", "allowChat", "maxParticipants") VALUES ($1, $1, $2, $3)',
            key, chance.random() < 0.5, chance.choice([2, 50, 100]),
        )  # fmt: skip
    for number in range(60):
        room, user = chance.choice(KEYS[:4]), chance.choice([None, *KEYS[:3]])
        await connection.execute(
            'INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, type, "createdAt")'
            ' VALUES ($1, $2, $3, $4, $5, $6::text::"MessageType", $7)',
            f"m{number:02}", room, user, chance.choice([None, *TEXTS]), chance.choice(TEXTS), chance.choice(TYPES),
            moment(),
        )  # fmt: skip
        await connection.execute(
            'INSERT INTO "Participant" (id, "roomId", "userId", "guestName", "isHost", "joinedAt", "leftAt")'
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            f"p{number:02}", room, user, None if user else chance.choice(TEXTS), chance.random() < 0.3, moment(),
            chance.choice([None, moment()]),
        )  # fmt: skip
    await connection.close()
