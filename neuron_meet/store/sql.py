"""What the store's statements of SQL have in common: each row is one JSON text, of the columns that are used.

Prisma reads a relation with a statement of its own, all columns of it, and has no word for a comparison of rows. So
what is asked often, and what needs an index used in one certain way, is SQL of our own: one statement, one round trip.

How the statements are written keeps the planner from having to guess: what belongs to a row is a subquery that looks it
up by its key, a limit is a number in the text, and a range stands beside the order of an index. So the plan is the same
for every value and every size of the tables, and is made once for each connection (`plan_cache_mode`, engine/pool.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from neuron_meet.store.engine.shape import column_time
from neuron_meet.store.models import Message, MessageType, Room, User

DISABLED = "!"
"""What a disabled account's hash begins with, as in /etc/shadow: no password fits it, here or in the former server,
and without it the hash is what it was."""

decoded = msgspec.json.Decoder().decode

NOW = "date_trunc('milliseconds', statement_timestamp() AT TIME ZONE 'UTC')"
"""This moment as a column holds it."""


def is_disabled(account: str) -> str:
    """Whether an account is disabled, in SQL: one letter of the hash is looked at, and stays where it is."""
    return f"(left({account}.password, 1) = '{DISABLED}')"


def moment(column: str) -> str:
    """A moment's column, as text in ISO 8601, in UTC."""
    return f"""to_char({column}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def moment_text(at: datetime) -> str:
    """A moment as a value of a statement, for `$n::timestamp`."""
    return column_time(at).replace(tzinfo=None).isoformat(timespec="milliseconds")


def person(user_id: str, *columns: str) -> str:
    """These columns of the account `user_id`, NULL where there is none; by default what others see of it."""
    named = ", ".join(f'u."{column}"' for column in columns or ("id", "displayName", "avatarUrl"))
    return f"(SELECT row_to_json(account) FROM (SELECT {named} FROM {{User}} u WHERE u.id = {user_id}) AS account)"


SETTINGS = """(SELECT row_to_json(kept) FROM (
  SELECT s.id, s."roomId", s."allowChat", s."allowScreenShare", s."allowGuestAccess", s."waitingRoom",
    s."muteParticipantsOnJoin", s."isLocked", s."maxParticipants"
  FROM {RoomSettings} s WHERE s."roomId" = r.id) AS kept)"""
ROOM = f"""r.id, r.code, r.name, r."hostId", r."isActive", r."isLocked", {moment('r."startedAt"')} AS "startedAt",
  {moment('r."endedAt"')} AS "endedAt", {moment('r."createdAt"')} AS "createdAt",
  {moment('r."updatedAt"')} AS "updatedAt", {SETTINGS} AS settings"""
"""The columns of a room `r` with its settings, for :func:`room_of`."""


def room_of(row: dict[str, Any]) -> Room:
    """A room from a row of `ROOM`; with its `host`, if the row has one, who has those columns only that were read."""
    host = row.pop("host", None)
    room = Room.model_validate(row)
    if host is not None:
        room.host = User.model_construct(**host)
    return room


def message_of(row: dict[str, Any]) -> Message:
    """A message from a row with all its columns; with its `user` as in :func:`room_of`."""
    user = row.pop("user", None)
    row["createdAt"] = datetime.fromisoformat(row["createdAt"])
    row["type"] = MessageType(row["type"])
    return Message.model_construct(**row, user=None if user is None else User.model_construct(**user))
