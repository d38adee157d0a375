"""The server's queries, compiled before the first of them is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime

import structlog

from neuron_meet.store.attendance import PAGE_SIZES, Attendance
from neuron_meet.store.client import Database
from neuron_meet.store.engine.prisma import Rehearsed
from neuron_meet.store.errors import StoreError
from neuron_meet.store.messages import Messages
from neuron_meet.store.models import Message, MessageType
from neuron_meet.store.participants import Participants
from neuron_meet.store.removals import StoredRemovals
from neuron_meet.store.rooms import Rooms
from neuron_meet.store.users import Users

log = structlog.get_logger(__name__)

NEWEST_MESSAGES, NEWEST_ROOMS, NEWEST_OF_ALL, HISTORY_ROWS = 50, 20, 50, 50
"""How many the server asks for where its caller does not say. A limit belongs to a query's shape."""


async def rehearse(database: Database, *, newest_messages: int = NEWEST_MESSAGES) -> None:
    """Have the plans of joining, leaving and chat compiled, so that the first join does not wait for it.

    Nothing is asked of the database. A query that cannot be compiled now is compiled when it is asked for.
    """
    await _ask(_frequent(database.rehearsal(), newest_messages))


async def rehearse_all(rehearsal: Database) -> None:
    """Have the plans of all the server's queries compiled."""
    await _ask(_frequent(rehearsal, NEWEST_MESSAGES))
    await _ask(_others(rehearsal))


async def _ask(queries: Iterator[Awaitable[object]]) -> None:
    for query in queries:
        try:
            with contextlib.suppress(Rehearsed):
                await query
        except StoreError as error:
            log.warning("query plan not compiled ahead", error=type(error).__name__)


def _frequent(database: Database, newest_messages: int) -> Iterator[Awaitable[object]]:
    yield Messages(database).find("a message")


def _others(database: Database) -> Iterator[Awaitable[object]]:
    users, rooms, participants = Users(database), Rooms(database), Participants(database)
    for model in ("user", "room", "roomsettings", "participant", "message", "roomremoval"):
        yield getattr(database.prisma, model).find_first()
    yield participants.open_ids(["a room"], "prefix")
    yield participants.reopen(["a row"])
    for most_open in (None, 10):  # the second one counts, and its plan of making a room is the first one's
        yield rooms.create(
            code="a-code",
            name="A",
            host_id="an account",
            waiting_room=False,
            max_participants=50,
            most_open=most_open,
        )
    for column in (
        "allowChat",
        "allowScreenShare",
        "waitingRoom",
        "muteParticipantsOnJoin",
        "allowGuestAccess",
    ):
        yield rooms.change_settings("a room", {column: True}, is_locked=None)
    yield rooms.change_settings("a room", {"maxParticipants": 50}, is_locked=True)
    yield rooms.end("a room", datetime.now(UTC))
    yield users.create(email="ada@example.org", display_name="Ada", password_hash="hash")  # noqa: S106
    yield users.credentials("ada@example.org")
    yield users.credentials_in_any_case("ada@example.org")
    yield users.set_password("an account", "hash")
    for name, address, changed in ((None, "url", True), (None, None, True), ("A", None, False)):
        yield users.update("an account", display_name=name, avatar_url=address, set_avatar=changed)
    for address in ("url", None):
        yield users.update("an account", display_name="Ada", avatar_url=address, set_avatar=True)
    yield rooms.find("a room")
    yield rooms.find_by_code("a-code")
    yield rooms.newest_of("an account", NEWEST_ROOMS)
    for active in (True, False):
        yield rooms.newest(NEWEST_OF_ALL, active=active)
    for user_id in ("an account", None):
        yield participants.history("a row", user_id, HISTORY_ROWS)
    attendance = Attendance(database)
    yield attendance.attended("a room", "an account")
    yield attendance.open_rows("a room")
    yield attendance.message("a room", "a message")
    before = Message(
        id="a message",
        roomId="a room",
        content="text",
        type=MessageType.TEXT,
        createdAt=datetime.now(UTC),
    )
    for size in PAGE_SIZES:
        for anchor in (None, before):
            yield attendance.messages("a room", limit=size, before=anchor)
        yield attendance.messages("a room", limit=size, until=datetime.now(UTC))
    removed = datetime.now(UTC)
    yield StoredRemovals(database).record("a room", "an account", removed, removed)
