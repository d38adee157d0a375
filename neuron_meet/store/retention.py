"""Rows that need not be kept: what is older than some moment goes, in small batches that hold nobody up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from neuron_meet.store.session import address_of, session

BATCH = 1000
"""Rows in one transaction: some 10 ms of locks on rows that nobody uses any more."""
ROOMS_AT_ONCE = 200

# By the rows' places, not by a join: each statement reads the rows that it deletes and no others, at any size.
MESSAGES = """
DELETE FROM "Message" WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM "Message" WHERE "createdAt" < $1 ORDER BY "createdAt" LIMIT $2 FOR UPDATE SKIP LOCKED))
"""
REMOVALS = """
DELETE FROM "RoomRemoval" WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM "RoomRemoval" WHERE "until" < $1 ORDER BY "until" LIMIT $2 FOR UPDATE SKIP LOCKED))
"""
ENDED = """
SELECT id, "endedAt" FROM "Room" WHERE "endedAt" < $1 AND ("endedAt", id) > ($2, $3) AND NOT "isActive"
ORDER BY "endedAt", id LIMIT $4
"""
"""Rooms that ended, from one on: each is looked at once, however many have to stay."""
PARTICIPANTS = """
DELETE FROM "Participant" WHERE ctid = ANY(ARRAY(
  SELECT p.ctid FROM unnest($1::text[]) AS room (id) CROSS JOIN LATERAL (
    SELECT ctid FROM "Participant" WHERE "roomId" = room.id LIMIT $2 FOR UPDATE SKIP LOCKED) AS p LIMIT $2))
"""
ROOMS = """
DELETE FROM "Room" WHERE ctid = ANY(ARRAY(
  SELECT r.ctid FROM unnest($1::text[]) AS room (id) CROSS JOIN LATERAL (
    SELECT o.ctid FROM "Room" o WHERE o.id = room.id AND NOT o."isActive"
    AND NOT EXISTS (SELECT FROM "Participant" p WHERE p."roomId" = room.id OFFSET 0)
    AND NOT EXISTS (SELECT FROM "Message" m WHERE m."roomId" = room.id OFFSET 0) FOR UPDATE SKIP LOCKED) AS r))
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
    counts = {"messages": 0, "participants": 0, "rooms": 0, "removals": 0}

    def done(what: str, rows: int) -> int:
        counts[what] += rows
        if rows:
            said(what, counts[what])
        return rows

    async with session(address) as connection:

        async def batch(statement: str, *values: object) -> int:
            async with connection.transaction():
                await connection.execute(
                    "SELECT set_config('search_path', quote_ident($1), true)", address.schema
                )
                return int(str(await connection.execute(statement, *values)).rpartition(" ")[2])

        for what, statement in (("messages", MESSAGES), ("removals", REMOVALS)):
            while done(what, await batch(statement, moment, BATCH)):
                pass
        last = datetime(1, 1, 1), ""
        while ended := await _ended(connection, address.schema, moment, last):
            last = ended[-1]["endedAt"], ended[-1]["id"]
            ids = [room["id"] for room in ended]
            while done("participants", await batch(PARTICIPANTS, ids, BATCH)):
                pass
            done("rooms", await batch(ROOMS, ids))
    return Pruned(**counts)


async def _ended(connection: Any, schema: str, moment: datetime, last: tuple[datetime, str]) -> Sequence[Any]:
    async with connection.transaction():
        await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", schema)
        return await connection.fetch(ENDED, moment, *last, ROOMS_AT_ONCE)
