"""Message rows: what was said in which room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from neuron_meet.store.client import Database
from neuron_meet.store.models import Message

AHEAD_SECONDS = 60
"""How far ahead of the database's clock a row may be and still count as the newest of its room: further than clocks
that NTP sets are apart, and soon over. Rows further ahead (an import, a clock that was wrong) hide nothing."""
AHEAD = timedelta(seconds=AHEAD_SECONDS)

# The newest row is looked for among those that are not older than this moment, in all rooms: usually there is none, and
# the index on createdAt says so at once. The rooms' index would read all that was ever said in the room (there is none
# on both columns; the fence of OFFSET 0 keeps the planner from it).
_APPEND = """
WITH clock AS (SELECT date_trunc('milliseconds', statement_timestamp() AT TIME ZONE 'UTC') AS now),
given AS MATERIALIZED (
  SELECT g.*, row_number() OVER (PARTITION BY g."roomId" ORDER BY g.place) - 1 AS later
  FROM json_to_recordset($1::json)
    AS g(place int, id text, "roomId" text, "userId" text, "senderName" text, content text)),
ahead AS MATERIALIZED (
  SELECT m."roomId", max(m."createdAt") AS newest
  FROM (
    SELECT "roomId", "createdAt" FROM {Message}
    WHERE "createdAt" >= date_trunc('milliseconds', statement_timestamp() AT TIME ZONE 'UTC')
      AND "createdAt" <= statement_timestamp() AT TIME ZONE 'UTC' + interval '{ahead} s' OFFSET 0) AS m
  WHERE m."roomId" IN (SELECT given."roomId" FROM given) GROUP BY m."roomId"),
written AS (
  INSERT INTO {Message} (id, "roomId", "userId", "senderName", content, "createdAt")
  SELECT given.id, given."roomId", given."userId", given."senderName", given.content,
    greatest(clock.now, ahead.newest + interval '1 ms') + given.later * interval '1 ms'
  FROM clock CROSS JOIN given LEFT JOIN ahead ON ahead."roomId" = given."roomId"
  ORDER BY given.place
  ON CONFLICT (id) DO NOTHING RETURNING id, "createdAt")
SELECT json_build_array(id, to_char("createdAt", 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))::text AS found FROM written
"""


class NewMessage(Struct, frozen=True, rename="camel"):
    """A message to be stored; its id is made by the server, its moment by the database."""

    id: str
    room_id: str
    user_id: str | None
    sender_name: str
    content: str


class _Given(NewMessage, frozen=True, rename="camel", kw_only=True):
    place: int


_encode = msgspec.json.Encoder().encode
_written = msgspec.json.Decoder(tuple[str, datetime]).decode


@dataclass(frozen=True, slots=True)
class Said:
    """A message as its row has it; `repeated`: it was stored before, and perhaps says something else."""

    message: NewMessage
    created_at: datetime
    repeated: bool = False


class Messages:
    """Queries on the Message model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, messages: Sequence[NewMessage]) -> list[datetime | None]:
        """Store messages in one statement: all of them or none. Returns when each was created, in UTC.

        The moments are those of PostgreSQL's clock in milliseconds, and in each room later than that of every row which
        is there, those left out that are more than `AHEAD_SECONDS` ahead of that clock. None for one whose id is
        stored already: that row stays as it is, also where it is another one of these messages.

        Raises ForeignKeyViolationError where a room or an account does not exist (any more).
        """
        given = [
            _Given(
                place=place,
                id=message.id,
                room_id=message.room_id,
                user_id=message.user_id,
                sender_name=message.sender_name,
                content=message.content,
            )
            for place, message in enumerate(messages)
        ]
        rows = await self._database.write(
            _APPEND, _encode(given).decode(), operation="append", model="Message", ahead=AHEAD_SECONDS
        )
        moments: dict[str, datetime] = dict(_written(row) for row in rows)
        return [moments.pop(message.id, None) for message in messages]

    async def find(self, message_id: str) -> Message | None:
        """The message with that id."""
        return await self._database.prisma.message.find_unique(where={"id": message_id})
