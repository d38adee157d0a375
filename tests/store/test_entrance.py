"""The one query of a join: the room, its settings, its newest messages with their authors."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from neuron_meet.signaling.events import HistoryMessage
from neuron_meet.signaling.history import replayed
from neuron_meet.store.client import Database
from neuron_meet.store.entrance import Entrance
from tests.store.seeds import NOON, a_message, a_room, a_row, a_user


async def test_an_unknown_code(database: Database) -> None:
    assert await Entrance(database).room("abc-def-ghi", newest_messages=50) is None


async def test_a_room_with_and_without_settings(database: Database) -> None:
    for settings in (True, False):
        room = await a_room(database.prisma, settings=settings)
        found = await Entrance(database).room(room.code, newest_messages=50)
        assert found is not None
        assert (found.room.id, found.room.code, found.room.hostId) == (room.id, room.code, room.hostId)
        assert (found.room.settings is not None) is settings
        assert found.messages == []


async def test_the_newest_fifty_of_sixty_in_order(database: Database) -> None:
    ada, room, other = (
        await a_user(database.prisma, name="Ada", displayName="Ada L."),
        await a_room(database.prisma),
        await a_room(database.prisma),
    )
    for n in [*range(30, 60), *range(30)]:  # written in another order than said: the time decides
        message = a_message(room.id, str(n), user_id=ada.id if n % 2 else None)
        await a_row(database.prisma, message, NOON + timedelta(seconds=n))
    await a_row(database.prisma, a_message(other.id, "elsewhere"), NOON + timedelta(days=1))
    found = await Entrance(database).room(room.code, newest_messages=50)
    assert found is not None
    history = replayed(found.messages, {})
    assert [message.content for message in history] == [str(n) for n in range(10, 60)]
    for n, message in enumerate(history, start=10):
        assert message.sender_id == (ada.id if n % 2 else None)
        assert (message.user and (message.user.id, message.user.name, message.user.display_name)) == (
            (ada.id, "Ada", "Ada L.") if n % 2 else None
        )
        assert message.sender_name == "Ada"
        assert message.type == "TEXT"
        assert message.timestamp == f"2026-05-04T12:00:{n:02d}.000Z"


async def test_what_is_known_is_taken_unless_its_row_says_otherwise(database: Database) -> None:
    prisma = database.prisma
    ada, bob = await a_user(prisma, name="Ada"), await a_user(prisma, name="Bob")
    room = await a_room(prisma)
    authors = (ada, bob, None)
    written = [
        await a_row(
            prisma,
            a_message(room.id, str(n), user_id=authors[n % 3] and authors[n % 3].id),
            NOON + timedelta(seconds=n),
        )
        for n in range(6)
    ]

    async def replay(known: dict[str, HistoryMessage]) -> list[HistoryMessage]:
        found = await Entrance(database).room(room.code, newest_messages=5)
        assert found is not None
        return replayed(found.messages, known)

    first = await replay({})
    known = {message.id: message for message in first}
    await prisma.user.update(where={"id": ada.id}, data={"displayName": "Countess"})
    await prisma.user.delete(where={"id": bob.id})
    await prisma.message.update(where={"id": written[5].id}, data={"content": "edited"})
    await a_row(prisma, a_message(room.id, "new"), NOON + timedelta(minutes=1))

    then = await replay(known)

    assert then == await replay({})
    assert [message.content for message in then] == ["2", "3", "4", "edited", "new"]
    assert [message.user and message.user.display_name for message in then] == [
        None,
        "Countess",
        None,
        None,
        None,
    ]
    # Only what is unchanged is taken over.
    assert [known.get(message.id) is message for message in then] == [True, False, False, False, False]


async def test_equal_times_are_told_apart_by_id(database: Database) -> None:
    room = await a_room(database.prisma)
    ids = [f"m{n:02d}" for n in range(60)]
    for message_id in reversed(ids):
        await a_row(database.prisma, a_message(room.id, message_id, message_id=message_id))
    found = await Entrance(database).room(room.code, newest_messages=50)
    assert found is not None
    assert [message.id for message in replayed(found.messages, {})] == ids[10:]


async def test_former_rows_without_a_senders_name_are_named_by_their_account(database: Database) -> None:
    prisma = database.prisma
    room = await a_room(prisma)
    named, plain = await a_user(prisma, name="Ada", displayName="Countess"), await a_user(prisma, name="Bob")
    for n, (user_id, kind) in enumerate(((named.id, "FILE"), (plain.id, "TEXT"), (None, "SYSTEM"))):
        await prisma.message.create(
            {
                "roomId": room.id,
                "userId": user_id,
                "content": str(n),
                "type": kind,  # type: ignore[typeddict-item]
                "createdAt": NOON + timedelta(seconds=n),
            }
        )
    found = await Entrance(database).room(room.code, newest_messages=50)
    assert found is not None
    assert [(message.sender_name, message.type) for message in replayed(found.messages, {})] == [
        ("Countess", "FILE"),
        ("Bob", "TEXT"),
        (None, "SYSTEM"),
    ]


@pytest.mark.parametrize("off", [timedelta(hours=-3), timedelta(seconds=3)])
async def test_messages_too_far_ahead_of_the_databases_clock_are_left_out(
    database: Database, off: timedelta
) -> None:
    """Also where this process thinks that the clock says something else: it looks before it leaves any out."""
    room, now = await a_room(database.prisma), datetime.now(UTC)
    for text, ahead in (("past", -10), ("now", 0), ("near", 30), ("far", 90), ("further", 9000)):
        await a_row(database.prisma, a_message(room.id, text), now + timedelta(seconds=ahead))
    for newest, expected in ((50, ["near", "now", "past"]), (2, ["near", "now"])):
        moment = time.monotonic()
        database.clock.learn(now + off, moment, moment)
        found = await Entrance(database).room(room.code, newest_messages=newest)
        assert found is not None
        assert [message["content"] for message in found.messages] == expected
    await database.ping()
