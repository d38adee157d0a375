"""The one query that a join begins with."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from neuron_meet.store.client import Database
from neuron_meet.store.engine.prisma import find_unique_row
from neuron_meet.store.engine.query import COLUMNS
from neuron_meet.store.messages import AHEAD
from neuron_meet.store.models import Room


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


class Entrance:
    """What a join must know about a room."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def room(self, code: str, *, newest_messages: int) -> Entered | None:
        """The room with `code`, its settings and its newest messages (newest first) with their authors.

        One round trip. None where there is no such room. The messages stay rows:
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

    def queries(self, code: str, newest_messages: int, until: datetime) -> list[Awaitable[object]]:
        """What :meth:`room` asks, always and where messages are too far ahead: to be compiled."""
        return [self._read(code, newest_messages, None), self._read(code, newest_messages, until)]

    async def _read(self, code: str, newest_messages: int, until: datetime | None) -> Entered | None:
        """The room, with messages that are not younger than `until`, if given."""
        found = await find_unique_row(
            self._database.prisma,
            Room,
            {
                "where": {"code": code},
                "include": {
                    "settings": True,
                    "messages": {
                        **({"where": {"createdAt": {"lte": until}}} if until is not None else {}),
                        "take": newest_messages,
                        "order_by": [{"createdAt": "desc"}, {"id": "desc"}],
                        # Not the others: fifty pictures of 95 kB, which nobody is sent, would be 5 MB for each join.
                        "include": {"user": {COLUMNS: sorted(AuthorRow.__annotations__)}},
                    },
                },
            },
        )
        if found is None:
            return None
        rows: list[Any] = found.pop("messages")
        if rows and isinstance(rows[0]["createdAt"], str):  # the host's answers are JSON
            for row in rows:
                row["createdAt"] = datetime.fromisoformat(row["createdAt"])
        return Entered(Room.model_validate(found), rows)
