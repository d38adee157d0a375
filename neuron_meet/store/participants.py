"""Participant rows: who was in which room, from when to when."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from neuron_meet.store.client import Database
from neuron_meet.store.errors import AccountDisabled
from neuron_meet.store.sql import is_disabled, moment, moment_text

_OPEN = f"""
WITH opened AS (
  INSERT INTO {{Participant}} (id, "roomId", "userId", "guestName", "isHost", "joinedAt")
  VALUES ($1, $2, $3, $4, $5::text::boolean, $6::text::timestamp) RETURNING "userId")
SELECT row_to_json(account)::text AS found FROM opened CROSS JOIN LATERAL (
  SELECT u.id, u.name, u."displayName", u."avatarUrl", {is_disabled("u")} AS disabled
  FROM {{User}} u WHERE u.id = opened."userId") AS account
"""
_VISIT = f"""
SELECT row_to_json(v)::text AS found FROM (
  SELECT {moment('p."joinedAt"')} AS "joinedAt", {moment('p."leftAt"')} AS "leftAt", p."isHost",
    (SELECT r.code FROM {{Room}} r WHERE r.id = p."roomId") AS code
  FROM {{Participant}} p
"""
_OF_ACCOUNT = f"""{_VISIT}WHERE p."userId" = $1 ORDER BY p."joinedAt" DESC, p.id DESC LIMIT {{limit}}) AS v"""
_OF_GUEST = _VISIT + "WHERE p.id = $1) AS v"
# `::int`, so that only the key finds a row: by the index on `isActive` it would be looked for among all open ones.
_CHANGE = """
WITH changed AS (
  UPDATE {Participant} AS p SET "isActive" = <to>, "leftAt" = <left_at>
  WHERE p.id = ANY(ARRAY(SELECT json_array_elements_text($1::json))) AND p."isActive"::int = <from>
  RETURNING p.id)
SELECT count(*)::text AS found FROM changed
"""
_CLOSE = _CHANGE.replace("<to>", "false").replace("<from>", "1").replace("<left_at>", "$2::text::timestamp")
_REOPEN = _CHANGE.replace("<to>", "true").replace("<from>", "0").replace("<left_at>", "NULL")
_OPEN_IDS = """
SELECT to_json(p.id)::text AS found FROM {Participant} p
WHERE p."isActive" AND p."roomId" = ANY(ARRAY(SELECT json_array_elements_text($1::json)))
  AND left(p.id, length($2::text)) = $2
"""


class Person(Struct, frozen=True, rename="camel"):
    """What a meeting shows of an account."""

    id: str
    name: str
    display_name: str | None
    avatar_url: str | None


class _Opened(Person, frozen=True, rename="camel", kw_only=True):
    disabled: bool


class Visit(Struct, frozen=True, rename="camel"):
    """A Participant row with its room's code; moments are in UTC."""

    code: str
    joined_at: datetime
    left_at: datetime | None
    is_host: bool


_account = msgspec.json.Decoder(_Opened).decode
_visit = msgspec.json.Decoder(Visit).decode
_text = msgspec.json.Decoder(str).decode


class Participants:
    """Queries on the Participant model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
        *,
        record_id: str,
        room_id: str,
        user_id: str | None,
        guest_name: str | None,
        is_host: bool,
        joined_at: datetime,
    ) -> Person | None:
        """Write the row of a join; one statement, one round trip. Returns the account behind it, None for a guest.

        Raises ForeignKeyViolationError where the account or the room does not exist (any more), and AccountDisabled,
        the row being written then: the account is known by that query only.
        """
        rows = await self._database.write(
            _OPEN,
            record_id,
            room_id,
            user_id,
            None if user_id else guest_name,
            str(is_host),
            moment_text(joined_at),
            operation="open",
            model="Participant",
        )
        if not rows:
            return None
        account = _account(rows[0])
        if account.disabled:
            raise AccountDisabled
        return account

    async def history(self, record_id: str, user_id: str | None, limit: int) -> list[Visit]:
        """The newest `limit` rows of an account with their rooms, newest first; of a guest, the one that there is."""
        statement, key = (_OF_ACCOUNT, user_id) if user_id else (_OF_GUEST, record_id)
        rows = await self._database.read(
            statement, key, operation="history", model="Participant", limit=limit
        )
        return [_visit(row) for row in rows]

    async def close(self, record_ids: Sequence[str], left_at: datetime) -> int:
        """Close the rows that are still open. Returns how many were."""
        given = json.dumps(list(record_ids))
        [count] = await self._database.write(
            _CLOSE, given, moment_text(left_at), operation="close", model="Participant"
        )
        return int(count)

    async def open_ids(self, room_ids: Collection[str], prefix: str) -> list[str]:
        """Ids of the open rows in these rooms that begin with `prefix` (the rows of one run, store/ids.py)."""
        given = json.dumps(list(room_ids))
        rows = await self._database.read(_OPEN_IDS, given, prefix, operation="open_ids", model="Participant")
        return [_text(row) for row in rows]

    async def reopen(self, record_ids: Collection[str]) -> int:
        """Open rows again that were closed though their participants are there. Returns how many were."""
        given = json.dumps(list(record_ids))
        [count] = await self._database.write(_REOPEN, given, operation="reopen", model="Participant")
        return int(count)
