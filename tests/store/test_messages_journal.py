"""The chat journal on a real database: order, groups, and what a failure takes along."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from neuron_meet.chat.journal import LARGEST_GROUP, Journal
from neuron_meet.store.client import Database
from neuron_meet.store.errors import EngineUnavailable, ForeignKeyViolationError
from neuron_meet.store.messages import Messages, NewMessage, Said
from tests.store.seeds import a_message, a_room, a_user, all_statements_done, nobody_writes


@pytest.fixture
def database(own_database: Database) -> Database:
    """A client of the test's own: others lock the same database's tables by its URL."""
    return own_database


class Watched(Messages):
    """The real queries; remembers what each statement held, and tells when the first is under way."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.groups: list[list[str]] = []
        self.busy = asyncio.Event()

    async def append(self, messages: Sequence[NewMessage]) -> list[datetime | None]:
        self.groups.append([message.content for message in messages])
        self.busy.set()
        return await super().append(messages)


async def stored(database: Database) -> list[str]:
    rows = await database.prisma.message.find_many(order=[{"createdAt": "asc"}, {"id": "asc"}])
    return [row.content for row in rows]


async def test_callers_come_back_in_order_and_rows_are_there_by_then(database: Database) -> None:
    room, journal = await a_room(database.prisma), Journal(Messages(database))
    back: list[str] = []

    async def say(n: int) -> None:
        message = a_message(room.id, str(n))
        await journal.append(message)
        back.append(message.content)
        if n % 40 == 0:
            assert await database.prisma.message.find_unique(where={"id": message.id}) is not None

    await asyncio.gather(*(say(n) for n in range(200)))
    assert back == [str(n) for n in range(200)]
    assert await stored(database) == back


async def test_a_busy_journal_writes_all_that_came_meanwhile_at_once(
    database: Database, database_url: str
) -> None:
    room, watched = await a_room(database.prisma), Watched(database)
    journal = Journal(watched)
    async with asyncio.TaskGroup() as callers, nobody_writes(database_url, "Message"):
        callers.create_task(journal.append(a_message(room.id, "first")))
        await watched.busy.wait()
        for n in range(LARGEST_GROUP + 6):
            callers.create_task(journal.append(a_message(room.id, str(n))))
        await asyncio.sleep(0)  # a turn of the loop: all of them have begun
    assert [len(group) for group in watched.groups] == [1, LARGEST_GROUP, 6]
    assert [text for group in watched.groups for text in group] == await stored(database)
    await journal.append(a_message(room.id, "last"))
    assert watched.groups[-1] == ["last"]


async def test_one_bad_message_takes_no_other_along(database: Database, database_url: str) -> None:
    room, watched = await a_room(database.prisma), Watched(database)
    journal = Journal(watched)
    async with nobody_writes(database_url, "Message"):
        first = asyncio.create_task(journal.append(a_message(room.id, "first")))
        await watched.busy.wait()
        rest = [
            asyncio.create_task(journal.append(a_message(room_id, text)))
            for n, (room_id, text) in enumerate(
                [(room.id, "second"), ("deleted meanwhile", "bad"), (room.id, "third")]
            )
        ]
        await asyncio.sleep(0)
    await first
    outcomes = await asyncio.gather(*rest, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Said, ForeignKeyViolationError, Said]
    assert await stored(database) == ["first", "second", "third"]


async def test_a_bad_message_by_itself(database: Database) -> None:
    journal = Journal(Messages(database))
    with pytest.raises(ForeignKeyViolationError):
        await journal.append(a_message("nowhere", "bad"))
    room = await a_room(database.prisma)
    await journal.append(a_message(room.id, "good"))
    assert await stored(database) == ["good"]


async def test_whoever_waits_behind_a_store_that_is_away_is_told_with_the_first(
    database: Database, database_url: str
) -> None:
    """The deadline is 2 s: with one for each group, seven groups would take fourteen."""
    room, watched = await a_room(database.prisma), Watched(database)
    journal = Journal(watched)
    loop = asyncio.get_running_loop()
    async with nobody_writes(database_url, "Message"):
        start = loop.time()
        first = asyncio.create_task(journal.append(a_message(room.id, "first")))
        await watched.busy.wait()
        rest = [
            asyncio.create_task(journal.append(a_message(room.id, str(n)))) for n in range(6 * LARGEST_GROUP)
        ]
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(first, *rest, return_exceptions=True)
        assert loop.time() - start < 10
    assert {type(outcome) for outcome in outcomes} == {EngineUnavailable}
    assert len(watched.groups) == 1
    await journal.append(a_message(room.id, "afterwards"))
    assert "afterwards" in await stored(database)


async def test_what_nobody_was_told_of_is_not_stored_later(database: Database, database_url: str) -> None:
    """A message that was refused ("Failed to send message") must not turn up when the store is back."""
    room, journal = await a_room(database.prisma), Journal(Messages(database))
    async with nobody_writes(database_url, "Message"):
        with pytest.raises(EngineUnavailable):
            await journal.append(a_message(room.id, "refused"))
    await all_statements_done(database_url)
    await journal.append(a_message(room.id, "sent"))
    assert await stored(database) == ["sent"]


async def test_a_caller_who_goes_away_disturbs_nobody(database: Database, database_url: str) -> None:
    room, watched = await a_room(database.prisma), Watched(database)
    journal = Journal(watched)
    async with nobody_writes(database_url, "Message"):
        first = asyncio.create_task(journal.append(a_message(room.id, "first")))
        await watched.busy.wait()
        second = asyncio.create_task(journal.append(a_message(room.id, "second")))
        third = asyncio.create_task(journal.append(a_message(room.id, "third")))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await asyncio.wait([first, second])
    await third
    assert await stored(database) == ["first", "second", "third"]


async def test_drain_waits_for_what_is_under_way(database: Database, database_url: str) -> None:
    room, watched = await a_room(database.prisma), Watched(database)
    journal = Journal(watched)
    await journal.drain()
    async with nobody_writes(database_url, "Message"):
        sent = [asyncio.create_task(journal.append(a_message(room.id, "one")))]
        await watched.busy.wait()
        sent.append(asyncio.create_task(journal.append(a_message(room.id, "two"))))
        await asyncio.sleep(0)
        drained = asyncio.create_task(journal.drain())
        done, _ = await asyncio.wait([drained], timeout=0.05)
        assert not done
    await drained
    assert await stored(database) == ["one", "two"]
    await asyncio.gather(*sent)


async def test_twenty_senders_each_in_their_own_order(database: Database) -> None:
    ada, room = await a_user(database.prisma), await a_room(database.prisma)
    journal, sent = Journal(Messages(database)), 0

    async def sender(name: str) -> None:
        nonlocal sent
        for n in range(10):
            sent += 1
            await journal.append(a_message(room.id, f"{name} {n}", user_id=ada.id))

    await asyncio.gather(*(sender(str(n)) for n in range(20)))
    texts = await stored(database)
    assert len(texts) == 200
    for name in range(20):
        own = [text for text in texts if text.startswith(f"{name} ")]
        assert own == [f"{name} {n}" for n in range(10)]
