"""What goes wrong in a plan run in this process is the exception that the host's answer would be, word for word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from neuron_meet.store.errors import (
    DataError,
    ForeignKeyViolationError,
    InputError,
    RecordNotFoundError,
    TableNotFoundError,
    UniqueViolationError,
)
from neuron_meet.store.generated.client import Prisma
from tests.store.plan_pair import Pair, RunHere, a_pair
from tests.store.seeds import NOON, a_room

Ask = Callable[[Prisma], Awaitable[Any]]


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[Pair]:
    async with a_pair(database_url) as pair:
        yield pair


async def alike(pair: Pair, ask: Ask, kind: type[Exception]) -> Any:
    """What the client that runs plans raises: of this kind, and in everything like what the host's client raises."""
    here, host = await pair.failures(ask)
    assert type(here) is type(host) is kind
    assert str(here) == str(host)
    if isinstance(here, DataError) and isinstance(host, DataError):
        assert (here.code, here.meta, here.data) == (host.code, host.meta, host.data)
    return here


def participant(prisma: Prisma, **data: Any) -> Awaitable[Any]:
    return prisma.participant.create(data={"id": "p", "joinedAt": NOON, **data})  # type: ignore[typeddict-item]


async def test_violations_of_constraints(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await a_room(pair.host.prisma)
    await participant(pair.host.prisma, roomId=room.id)
    counted = RunHere(monkeypatch)

    unique = await alike(pair, lambda prisma: participant(prisma, roomId=room.id), UniqueViolationError)
    assert (unique.code, unique.meta) == ("P2002", {"target": ["id"]})
    for user in (None, "nobody"):
        ask: Ask = lambda prisma, user=user: participant(prisma, id="q", roomId="none", userId=user)  # noqa: E731
        await alike(pair, ask, ForeignKeyViolationError)
    ask = lambda prisma: participant(prisma, id="q", roomId=room.id, userId="nobody")  # noqa: E731
    foreign = await alike(pair, ask, ForeignKeyViolationError)
    assert foreign.meta == {"field_name": "Participant_userId_fkey"}

    async def write_messages(prisma: Prisma) -> Any:
        data: Any = [
            {"id": "m", "roomId": room.id, "content": "a", "createdAt": NOON},
            {"id": "n", "roomId": "none", "content": "b", "createdAt": NOON},
        ]
        return await prisma.message.create_many(data=data, skip_duplicates=True)

    await alike(pair, write_messages, ForeignKeyViolationError)
    assert await pair.here.prisma.message.count() == 0
    # One failure in many does not end the connection, and nothing was left to the host.
    assert counted.host == 5
    assert counted.here == 1


async def test_a_row_that_others_need(pair: Pair) -> None:
    """PostgreSQL 18 has a code of its own for ON DELETE RESTRICT."""
    room = await a_room(pair.host.prisma)
    ask: Ask = lambda prisma: prisma.user.delete_many(where={"id": room.hostId})  # noqa: E731
    error = await alike(pair, ask, ForeignKeyViolationError)
    assert error.meta == {"field_name": "Room_hostId_fkey"}


async def test_records_that_are_not_there(pair: Pair) -> None:
    ask: Ask = lambda prisma: prisma.user.find_first_or_raise(where={"id": "none"})  # noqa: E731
    await alike(pair, ask, RecordNotFoundError)
    ask = lambda prisma: prisma.user.find_unique_or_raise(where={"id": "none"})  # noqa: E731
    await alike(pair, ask, RecordNotFoundError)
    for prisma in (pair.here.prisma, pair.host.prisma):
        assert await prisma.user.update(where={"id": "none"}, data={"name": "a"}) is None
        assert await prisma.user.delete(where={"id": "none"}) is None


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfff"])
async def test_text_that_no_database_can_store(pair: Pair, text: str) -> None:
    asks: list[Ask] = [
        lambda prisma: prisma.user.find_unique(where={"id": text}),
        lambda prisma: prisma.user.find_many(where={"id": {"in": ["a", text]}}),
        lambda prisma: prisma.user.update_many(where={"id": "a"}, data={"name": text}),
    ]
    for ask in asks:
        for _ in range(2):  # the first time and with a plan that is there
            await alike(pair, ask, InputError)
        assert await pair.here.prisma.user.find_unique(where={"id": "good"}) is None
        await pair.here.prisma.user.update_many(where={"id": "a"}, data={"name": "good"})
        await pair.here.prisma.user.find_many(where={"id": {"in": ["good"]}})


async def test_a_query_that_the_compiler_refuses(pair: Pair) -> None:
    ask: Ask = lambda prisma: prisma.user.find_many(where={"nonsense": "a"})  # type: ignore[typeddict-unknown-key]  # noqa: E731
    here, host = await pair.failures(ask)
    assert type(here) is type(host)
    assert str(here) == str(host)


async def test_tables_and_columns_that_have_gone(pair: Pair, database_url: str) -> None:
    prisma = pair.here.prisma
    for _ in range(2):
        await prisma.message.find_first()
        await prisma.participant.find_first()
    connection = await asyncpg.connect(database_url)
    await connection.execute('ALTER TABLE "Participant" DROP COLUMN "leftAt"; DROP TABLE "Message"')
    await connection.close()
    error = await alike(pair, lambda prisma: prisma.message.find_first(), TableNotFoundError)
    assert error.code == "P2021"
    error = await alike(pair, lambda prisma: prisma.participant.find_first(), DataError)
    assert error.code == "P2022"


async def test_a_column_that_has_changed_is_read_anew(pair: Pair, database_url: str) -> None:
    prisma = pair.here.prisma
    room = await a_room(pair.host.prisma)
    for _ in range(8):
        assert await prisma.room.find_unique(where={"id": room.id}) == room.model_copy(
            update={"settings": None}
        )
    connection = await asyncpg.connect(database_url)
    await connection.execute('ALTER TABLE "Room" ALTER COLUMN name TYPE varchar(200)')
    await connection.close()
    found = await prisma.room.find_unique(where={"id": room.id})
    assert found
    assert found.name == room.name


async def test_a_value_that_the_column_cannot_hold(pair: Pair, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        'ALTER TABLE "User" ALTER COLUMN name TYPE varchar(5);'
        'ALTER TABLE "Participant" ALTER COLUMN "guestName" SET NOT NULL'
    )
    await connection.close()
    room = await a_room(pair.host.prisma)
    ask: Ask = lambda prisma: prisma.user.update_many(where={"id": room.hostId}, data={"name": "too long"})  # noqa: E731
    assert (await alike(pair, ask, DataError)).code == "P2000"
    ask = lambda prisma: participant(prisma, roomId=room.id, guestName=None)  # noqa: E731
    assert (await alike(pair, ask, DataError)).code == "P2011"


async def test_an_enum_with_a_member_that_the_schema_lacks(pair: Pair, database_url: str) -> None:
    room = await a_room(pair.host.prisma)
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TYPE \"MessageType\" ADD VALUE 'POLL'")
    await connection.execute(
        "INSERT INTO \"Message\" (id, \"roomId\", content, type) VALUES ('m', $1, 'a', 'POLL')", room.id
    )
    await connection.close()
    for _ in range(3):
        await alike(pair, lambda prisma: prisma.message.find_first(), DataError)
    assert await pair.here.prisma.message.count() == 1


async def test_no_values_in_messages(pair: Pair) -> None:
    secret = "a-private-value"
    await pair.host.prisma.user.create({"id": secret, "email": secret, "name": secret, "password": secret})
    prisma = pair.here.prisma
    await prisma.user.create({"email": "other", "name": "b", "password": "c"})
    with pytest.raises(UniqueViolationError) as error:
        await prisma.user.update_many(where={"email": "other"}, data={"email": secret})
    assert secret not in f"{error.value} {error.value.data}"
    with pytest.raises(ForeignKeyViolationError) as foreign:
        await participant(prisma, roomId=secret)
    assert secret not in f"{foreign.value} {foreign.value.data}"
