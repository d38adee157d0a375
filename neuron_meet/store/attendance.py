"""Who was in a room and what was said there, for those who may ask: its host and its attendees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from neuron_meet.store.client import Database
from neuron_meet.store.models import Message, Participant, User
from neuron_meet.store.sql import decoded, message_of, moment, moment_text, person
from neuron_meet.store.text import is_storable

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


class _Visit(Struct, frozen=True, rename="camel"):
    joined_at: datetime
    left_at: datetime | None


class _Removal(Struct, frozen=True, rename="camel"):
    removed_at: datetime
    until: datetime


class _Attended(Struct, frozen=True, rename="camel"):
    code: str
    is_host: bool
    visits: list[_Visit]
    removal: _Removal | None


_attended = msgspec.json.Decoder(_Attended).decode
_ATTENDED = f"""
SELECT row_to_json(found)::text AS found FROM (
  SELECT r.code, r."hostId" = $2 AS "isHost", ARRAY(
    SELECT row_to_json(visit) FROM (
      SELECT {moment('p."joinedAt"')} AS "joinedAt", {moment('p."leftAt"')} AS "leftAt" FROM {{Participant}} p
      WHERE p."userId" = $2 AND p."roomId" = r.id ORDER BY p."joinedAt" DESC LIMIT {{rows}}) AS visit) AS visits,
    (SELECT row_to_json(removal) FROM (
      SELECT {moment('b."removedAt"')} AS "removedAt", {moment('b."until"')} AS "until"
      FROM {{RoomRemoval}} b WHERE b."roomId" = r.id AND b."userId" = $2) AS removal) AS removal
  FROM {{Room}} r WHERE r.id = $1) AS found
"""
_OPEN_ROWS = f"""
SELECT row_to_json(found)::text AS found FROM (
  SELECT p.id, p."roomId", p."userId", p."guestName", p."isActive", p."isHost",
    {moment('p."joinedAt"')} AS "joinedAt", {moment('p."leftAt"')} AS "leftAt", {person('p."userId"')} AS user
  FROM {{Participant}} p WHERE p."isActive" AND p."roomId" = $1 ORDER BY p."joinedAt", p.id) AS found
"""
_PAGE = f"""
SELECT row_to_json(found)::text AS found FROM (
  SELECT m.id, m."roomId", m."userId", m."senderName", m.content, m.type, {moment('m."createdAt"')} AS "createdAt",
    {person('m."userId"', "id", "name", "displayName")} AS user
  FROM {{Message}} m WHERE m."roomId" = $1"""
_IN_ORDER = ' ORDER BY m."createdAt" DESC, m.id DESC LIMIT {limit}) AS found'
_NEWEST = _PAGE + _IN_ORDER
_UNTIL = _PAGE + ' AND m."createdAt" <= $2::text::timestamp' + _IN_ORDER
# A comparison of rows is one bound in the index. With OR, which is all that Prisma has, there would be none, and
# everything newer would be read and left out.
_OLDER = _PAGE + ' AND (m."createdAt", m.id) < ($2::text::timestamp, $3)' + _IN_ORDER


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
        rows = await self._database.read(
            _ATTENDED, room_id, user_id, operation="attended", model="Room", rows=ROWS_LOOKED_AT
        )
        if not rows:
            return None
        found = _attended(rows[0])
        if not found.is_host and not found.visits:
            return None
        removed_at = found.removal.removed_at if found.removal else None
        left = [_left(visit, removed_at) for visit in found.visits]
        until = found.removal.until if found.removal else None
        return Attended(found.code, found.is_host, max(left, default=None), until)

    async def open_rows(self, room_id: str) -> list[Participant]:
        """The room's open Participant rows with their accounts, by the time they joined.

        Of an account `id`, `displayName` and `avatarUrl` are there.
        """
        rows = await self._database.read(_OPEN_ROWS, room_id, operation="open_rows", model="Participant")
        return [_participant(decoded(row)) for row in rows]

    async def message(self, room_id: str, message_id: str) -> Message | None:
        """The message with that id, if it was written in that room."""
        if not is_storable(message_id):
            return None
        return await self._database.prisma.message.find_first(where={"id": message_id, "roomId": room_id})

    async def messages(
        self, room_id: str, *, limit: int, before: Message | None = None, until: datetime | None = None
    ) -> list[Message]:
        """The newest `limit` messages of the room, ascending, with their accounts: of those older than `before`, or of
        those that are not younger than `until`. Of an account `id`, `name` and `displayName` are there.

        Keyset paging: `(createdAt, id)` is a total order, so following it back gives each row once, however
        many share a time and whatever is written meanwhile.
        """
        if before is not None:
            statement, values = _OLDER, (moment_text(before.createdAt), before.id)
        elif until is not None:
            statement, values = _UNTIL, (moment_text(until),)
        else:
            statement, values = _NEWEST, ()
        rows = await self._database.read(
            statement, room_id, *values, operation="messages", model="Message", limit=_page(limit)
        )
        return [message_of(decoded(row)) for row in rows[:limit]][::-1]


def _left(visit: _Visit, removed_at: datetime | None) -> datetime:
    """When one left who was in by that row."""
    if (
        removed_at is not None
        and visit.joined_at <= removed_at
        and (not visit.left_at or removed_at < visit.left_at)
    ):
        return removed_at  # rows are closed in groups: up to a second later
    return visit.left_at or visit.joined_at


def _participant(row: dict[str, Any]) -> Participant:
    user = row.pop("user")
    participant = Participant.model_validate(row)
    participant.user = None if user is None else User.model_construct(**user)
    return participant


def _page(limit: int) -> int:
    """How many to read for `limit`: a number belongs to a query's shape, and each shape has a plan of its own."""
    return next((size for size in PAGE_SIZES if size >= limit), limit)
