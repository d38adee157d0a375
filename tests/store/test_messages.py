"""Message rows: a group in one statement, all of them or none; when they were created; none twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from neuron_meet.store.client import Database
from neuron_meet.store.errors import ForeignKeyViolationError
from neuron_meet.store.messages import AHEAD, Messages
from tests.store.seeds import a_message, a_room, a_row, a_user

MILLISECOND = timedelta(milliseconds=1)
TEXTS = [
    "plain",
    "  kept  as\n it is\t",
    "quotes ' \" ` $1 $$ \\ %s {}",
    "Ünïcödé 李 \U0001f469\u200d\U0001f467",
    "x" * 100_000,
]


async def clock(database: Database) -> datetime:
    """PostgreSQL's clock, asked past the server's knowledge of it."""
    [row] = await database.prisma.query_raw("SELECT clock_timestamp()::text AS now")
    return datetime.fromisoformat(row["now"] + ":00" if row["now"][-3] in "+-" else row["now"])


async def stored(database: Database) -> list[str]:
    rows = await database.prisma.message.find_many(order=[{"createdAt": "asc"}, {"id": "asc"}])
    return [row.content for row in rows]


async def test_a_group_is_stored_as_it_is(database: Database) -> None:
    ada, room = await a_user(database.prisma), await a_room(database.prisma)
    before = await clock(database)
    moments = await Messages(database).append(
        [a_message(room.id, text, user_id=ada.id if n % 2 else None) for n, text in enumerate(TEXTS)]
    )
    after = await clock(database)
    rows = await database.prisma.message.find_many(order={"createdAt": "asc"})
    assert [row.content for row in rows] == TEXTS
    assert [row.userId for row in rows] == [None, ada.id, None, ada.id, None]
    assert [row.createdAt for row in rows] == moments
    assert moments[0]
    assert before - MILLISECOND <= moments[0] <= after
    assert moments == [moments[0] + MILLISECOND * n for n in range(len(TEXTS))]
    assert {(row.roomId, row.senderName, str(row.type)) for row in rows} == {(room.id, "Ada", "TEXT")}


async def test_one_bad_message_keeps_its_group_out(database: Database) -> None:
    room = await a_room(database.prisma)
    with pytest.raises(ForeignKeyViolationError):
        await Messages(database).append([a_message(room.id, "good"), a_message("nowhere", "bad")])
    assert await database.prisma.message.count() == 0


async def test_the_same_call_again_stores_nothing_twice_and_changes_nothing(database: Database) -> None:
    room, messages = await a_room(database.prisma), Messages(database)
    first = a_message(room.id, "first", message_id="m1")
    assert all(await messages.append([first]))
    again, second = await messages.append([first, a_message(room.id, "second", message_id="m2")])
    assert again is None
    assert second is not None
    assert await messages.append([a_message(room.id, "not that", message_id="m1")]) == [None]
    rows = await database.prisma.message.find_many(order={"id": "asc"})
    assert [(row.id, row.content) for row in rows] == [("m1", "first"), ("m2", "second")]


async def test_of_two_of_one_id_in_one_statement_the_first_is_stored(database: Database) -> None:
    room = await a_room(database.prisma)
    twice = [a_message(room.id, text, message_id="m1") for text in ("first", "again")]
    first, again, other = await Messages(database).append([*twice, a_message(room.id, "other")])
    assert (again, first is not None, other is not None) == (None, True, True)
    assert await stored(database) == ["first", "other"]


async def test_of_two_of_one_id_at_once_one_is_stored(own_database: Database, database_url: str) -> None:
    """Two nodes are two clients of the database."""
    room = await a_room(own_database.prisma)
    other = Database(database_url)
    await other.start()
    try:
        nodes = [Messages(own_database), Messages(other)]
        for n in range(10):
            message = a_message(room.id, str(n), message_id=f"m{n}")
            both = await asyncio.gather(*(node.append([message]) for node in nodes))
            assert sorted(moment is None for [moment] in both) == [False, True]
            found = [await node.find(message.id) for node in nodes]
            assert [row and row.content for row in found] == [str(n)] * 2
    finally:
        await other.stop()
    assert await stored(own_database) == [str(n) for n in range(10)]


@pytest.mark.parametrize("ahead", [timedelta(seconds=5), AHEAD - timedelta(seconds=5)])
async def test_what_is_stored_comes_after_the_newest_of_its_room(
    database: Database, ahead: timedelta
) -> None:
    room, other, messages = await a_room(database.prisma), await a_room(database.prisma), Messages(database)
    newest = (await clock(database) + ahead).replace(microsecond=123_000)
    await a_row(database.prisma, a_message(room.id, "ahead"), newest)
    [[first], [second]] = [await messages.append([a_message(room.id, text)]) for text in ("one", "two")]
    assert (first, second) == (newest + MILLISECOND, newest + 2 * MILLISECOND)
    [elsewhere, here] = await messages.append([a_message(other.id, "elsewhere"), a_message(room.id, "three")])
    assert here == newest + 3 * MILLISECOND
    assert elsewhere is not None
    assert elsewhere < newest


async def test_what_is_further_ahead_moves_nothing(database: Database) -> None:
    room = await a_room(database.prisma)
    newest = await clock(database) + AHEAD + timedelta(hours=1)
    await a_row(database.prisma, a_message(room.id, "ahead"), newest)
    [moment] = await Messages(database).append([a_message(room.id, "now")])
    assert moment is not None
    assert moment <= await clock(database)


async def test_moments_in_one_room_never_repeat(database: Database) -> None:
    room, messages = await a_room(database.prisma), Messages(database)
    moments = [moment for n in range(200) for moment in await messages.append([a_message(room.id, str(n))])]
    assert None not in moments
    assert moments == sorted(set(moments))  # type: ignore[type-var]
    assert await stored(database) == [str(n) for n in range(200)]


async def test_the_query_engine_stores_them_likewise(database_url: str) -> None:
    """With three connections, or behind a pooler, this process has none of its own."""
    by_engine = Database(database_url, pool_size=3)
    await by_engine.start()
    try:
        room, messages = await a_room(by_engine.prisma), Messages(by_engine)
        newest = (await clock(by_engine) + timedelta(seconds=5)).replace(microsecond=0)
        await a_row(by_engine.prisma, a_message(room.id, "ahead"), newest)
        group = [a_message(room.id, text, message_id=f"m{n}") for n, text in enumerate(TEXTS)]
        moments = await messages.append(group)
        assert moments == [newest + MILLISECOND * (n + 1) for n in range(len(TEXTS))]
        assert await messages.append(group) == [None] * len(TEXTS)
        rows = await by_engine.prisma.message.find_many(order={"createdAt": "asc"})
        assert [row.content for row in rows] == ["ahead", *TEXTS]
        assert [row.createdAt for row in rows[1:]] == moments
        assert abs(by_engine.clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    finally:
        await by_engine.stop()
