"""Rows that need not be kept: what is older than some moment goes, in small batches that hold nobody up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from neuron_meet.store.session import address_of, session

BATCH = 1000
"""Rows in one transaction: some 10 ms of locks on rows that nobody uses any more."""

MESSAGES = """
DELETE FROM "Message" WHERE id IN (
  SELECT id FROM "Message" WHERE "createdAt" < $1 ORDER BY "createdAt" LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
PARTICIPANTS = """
DELETE FROM "Participant" WHERE id IN (
  SELECT p.id FROM "Participant" p JOIN "Room" r ON r.id = p."roomId"
  WHERE NOT r."isActive" AND r."endedAt" < $1 LIMIT $2 FOR UPDATE OF p SKIP LOCKED)
"""
ROOMS = """
DELETE FROM "Room" WHERE id IN (
  SELECT r.id FROM "Room" r WHERE NOT r."isActive" AND r."endedAt" < $1
  AND NOT EXISTS (SELECT 1 FROM "Participant" p WHERE p."roomId" = r.id)
  AND NOT EXISTS (SELECT 1 FROM "Message" m WHERE m."roomId" = r.id) LIMIT $2 FOR UPDATE SKIP LOCKED)
"""
REMOVALS = """
DELETE FROM "RoomRemoval" WHERE ("roomId", "userId") IN (
  SELECT "roomId", "userId" FROM "RoomRemoval" WHERE "until" < $1 ORDER BY "until" LIMIT $2 FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went."""

    messages: int
    participants: int
    rooms: int
    removals: int


async def prune(
    url: str, before: datetime, said: Callable[[str, int], None] = lambda _what, _rows: None
) -> Pruned:
    """Delete messages older than `before`, rooms that ended before it with who was in them, and removals that were
    over by then.

    Accounts, rooms that have not ended and who was in those stay. Each batch is a transaction of its own, so it may be
    stopped and run again at any time. `said` is called after each batch. Raises DatabaseUnreachable.
    """
    address = address_of(url)
    moment = before.astimezone(UTC).replace(tzinfo=None)  # Prisma's columns hold UTC
    counts: dict[str, int] = {}
    async with session(address) as connection:
        for what, statement in (
            ("messages", MESSAGES),
            ("participants", PARTICIPANTS),
            ("removals", REMOVALS),
            ("rooms", ROOMS),
        ):
            total = 0
            while rows := await _batch(connection, address.schema, statement, moment):
                total += rows
                said(what, total)
            counts[what] = total
    return Pruned(**counts)


async def _batch(connection: Any, schema: str, statement: str, moment: datetime) -> int:
    async with connection.transaction():
        await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", schema)
        return int(str(await connection.execute(statement, moment, BATCH)).rpartition(" ")[2])
