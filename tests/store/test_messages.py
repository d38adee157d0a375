"""Message rows: a group in one statement, all of them or none."""

from __future__ import annotations

from datetime import timedelta

import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.errors import ForeignKeyViolationError
from neuron_meet.store.messages import Messages
from tests.store.seeds import NOON, a_message, a_room, a_user

MILLISECOND = timedelta(milliseconds=1)
TEXTS = [
    "plain",
    "  kept  as\n it is\t",
    "quotes ' \" ` $1 $$ \\ %s {}",
    "Ünïcödé 李 \U0001f469\u200d\U0001f467",
    "x" * 100_000,
]


async def test_a_group_is_stored_as_it_is(database: Database) -> None:
    ada, room = await a_user(database.prisma), await a_room(database.prisma)
    await Messages(database).append(
        [
            a_message(room.id, text, at=NOON + MILLISECOND * n, user_id=ada.id if n % 2 else None)
            for n, text in enumerate(TEXTS)
        ]
    )
    rows = await database.prisma.message.find_many(order={"createdAt": "asc"})
    assert [row.content for row in rows] == TEXTS
    assert [row.userId for row in rows] == [None, ada.id, None, ada.id, None]
    assert [row.createdAt for row in rows] == [NOON + MILLISECOND * n for n in range(len(TEXTS))]
    assert {(row.roomId, row.senderName, str(row.type)) for row in rows} == {(room.id, "Ada", "TEXT")}


async def test_one_bad_message_keeps_its_group_out(database: Database) -> None:
    room = await a_room(database.prisma)
    with pytest.raises(ForeignKeyViolationError):
        await Messages(database).append([a_message(room.id, "good"), a_message("nowhere", "bad")])
    assert await database.prisma.message.count() == 0


async def test_the_same_call_again_stores_nothing_twice_and_changes_nothing(database: Database) -> None:
    room, messages = await a_room(database.prisma), Messages(database)
    first = a_message(room.id, "first", message_id="m1")
    await messages.append([first])
    await messages.append([first, a_message(room.id, "second", message_id="m2")])
    await messages.append([a_message(room.id, "not that", message_id="m1")])
    rows = await database.prisma.message.find_many(order={"id": "asc"})
    assert [(row.id, row.content) for row in rows] == [("m1", "first"), ("m2", "second")]
