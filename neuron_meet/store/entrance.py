"""The one query that a join begins with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import msgspec

from neuron_meet.store.client import Database
from neuron_meet.store.messages import AHEAD
from neuron_meet.store.models import Room
from neuron_meet.store.sql import ROOM, moment, moment_text, person, room_of

_ENTER = f"""
SELECT row_to_json(found)::text AS found FROM (
  SELECT (SELECT row_to_json(room) FROM (SELECT {ROOM}) AS room) AS room, ARRAY(
    SELECT row_to_json(said) FROM (
      SELECT m.id, m."userId", m."senderName", m.content, m.type, {moment('m."createdAt"')} AS "createdAt",
        {person('m."userId"', "id", "name", "displayName")} AS user
      FROM {{Message}} m
      WHERE m."roomId" = r.id AND m."createdAt" <= coalesce($2::text::timestamp, 'infinity')
      ORDER BY m."createdAt" DESC, m.id DESC LIMIT {{newest}}) AS said) AS messages
  FROM {{Room}} r WHERE r.code = $1) AS found
"""


class AuthorRow(TypedDict):
    """The columns of a message's account that somebody who enters is shown."""

    id: str
    name: str
    displayName: str | None


class MessageRow(TypedDict):
    """A message as its row has it; `createdAt` is in UTC."""

    id: str
    userId: str | None
    senderName: str | None
    content: str
    type: str
    createdAt: datetime
    user: AuthorRow | None


@dataclass(frozen=True, slots=True)
class Entered:
    """A room with its settings, and its newest messages, newest first."""

    room: Room
    messages: list[MessageRow]

    def ends_after(self, moment: datetime) -> bool:
        """Whether the newest message is younger than that."""
        return bool(self.messages) and self.messages[0]["createdAt"] > moment


class _Found(TypedDict):
    room: dict[str, Any]
    messages: list[MessageRow]


_decode = msgspec.json.Decoder(_Found).decode


class Entrance:
    """What a join must know about a room."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def room(self, code: str, *, newest_messages: int) -> Entered | None:
        """The room with `code`, its settings and its newest messages (newest first) with their authors.

        One statement, one round trip. None where there is no such room. The messages stay rows:
        models of fifty messages and their authors would cost a third of the join (docs/performance.md).

        Messages too far ahead of the database's clock (`AHEAD_SECONDS`) would hide all new ones and are left out. Only
        where there seem to be any is the clock asked and the room read again.
        """
        clock = self._database.clock
        found = await self._read(code, newest_messages, None)
        if found is not None and found.ends_after(clock.now() + AHEAD):
            await self._database.ping()
            until = clock.now() + AHEAD
            if found.ends_after(until):
                found = await self._read(code, newest_messages, until)
        return found

    async def _read(self, code: str, newest_messages: int, until: datetime | None) -> Entered | None:
        """The room, with messages that are not younger than `until`, if given."""
        rows = await self._database.read(
            _ENTER,
            code,
            moment_text(until) if until is not None else None,
            operation="enter",
            model="Room",
            newest=newest_messages,
        )
        if not rows:
            return None
        found = _decode(rows[0])
        return Entered(room_of(found["room"]), found["messages"])
