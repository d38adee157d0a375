"""Participant rows: opened by a join, closed once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.errors import ForeignKeyViolationError, UniqueViolationError
from neuron_meet.store.ids import new_id
from neuron_meet.store.participants import Participants
from tests.store.seeds import NOON, a_room, a_user


async def test_a_guests_row_and_an_accounts(database: Database) -> None:
    prisma, participants = database.prisma, Participants(database)
    ada, room = await a_user(prisma, name="Ada", displayName="Ada L."), await a_room(prisma)
    guest = await participants.open(
        record_id="guest", room_id=room.id, user_id=None, guest_name="Gus", is_host=False, joined_at=NOON
    )
    account = await participants.open(
        record_id="ada", room_id=room.id, user_id=ada.id, guest_name="Ada", is_host=True, joined_at=NOON
    )
    assert guest is None
    assert account is not None
    assert (account.id, account.name, account.display_name, account.avatar_url) == (
        ada.id,
        "Ada",
        "Ada L.",
        None,
    )
    rows = await prisma.participant.find_many(order={"id": "asc"})
    assert [
        (row.id, row.roomId, row.userId, row.guestName, row.isHost, row.isActive, row.joinedAt, row.leftAt)
        for row in rows
    ] == [
        ("ada", room.id, ada.id, None, True, True, NOON, None),
        ("guest", room.id, None, "Gus", False, True, NOON, None),
    ]


@pytest.mark.parametrize("missing", ["room", "account"])
async def test_no_row_without_its_room_and_its_account(database: Database, missing: str) -> None:
    room = await a_room(database.prisma)
    with pytest.raises(ForeignKeyViolationError):
        await Participants(database).open(
            record_id=new_id(),
            room_id="nowhere" if missing == "room" else room.id,
            user_id="nobody" if missing == "account" else None,
            guest_name="Gus",
            is_host=False,
            joined_at=NOON,
        )
    assert await database.prisma.participant.count() == 0


async def test_the_same_row_is_not_opened_twice(database: Database) -> None:
    room, participants = await a_room(database.prisma), Participants(database)
    for attempt in range(2):
        opening = participants.open(
            record_id="one", room_id=room.id, user_id=None, guest_name="G", is_host=False, joined_at=NOON
        )
        if attempt == 0:
            await opening
        else:
            with pytest.raises(UniqueViolationError):
                await opening


async def test_rows_are_closed_once_and_only_those_named(database: Database) -> None:
    prisma, participants = database.prisma, Participants(database)
    room = await a_room(prisma)
    for record_id in ("a", "b", "c"):
        await participants.open(
            record_id=record_id, room_id=room.id, user_id=None, guest_name="G", is_host=False, joined_at=NOON
        )
    assert await participants.close([], NOON) == 0
    assert await participants.close(["a", "b", "never there"], NOON + timedelta(seconds=1)) == 2
    assert await participants.close(["a", "b"], NOON + timedelta(hours=1)) == 0
    rows = await prisma.participant.find_many(order={"id": "asc"})
    assert [(row.isActive, row.leftAt) for row in rows] == [
        (False, NOON + timedelta(seconds=1)),
        (False, NOON + timedelta(seconds=1)),
        (True, None),
    ]
