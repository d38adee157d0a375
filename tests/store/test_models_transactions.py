"""Transactions, batches, raw queries and many calls at a time, on a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from neuron_meet.store.errors import TransactionError, UniqueViolationError
from neuron_meet.store.generated.client import Prisma
from neuron_meet.store.models import User


async def a_user(prisma: Prisma, email: str = "ada@example.org") -> User:
    return await prisma.user.create({"email": email, "name": "Ada", "password": "$2b$10$hash"})


async def test_a_transaction_is_committed_or_undone_as_a_whole(prisma: Prisma) -> None:
    async with prisma.tx() as tx:
        user = await a_user(tx)
        await tx.query_raw('SELECT id FROM "User" WHERE id = $1 FOR UPDATE', user.id)
        assert await prisma.user.count() == 0
        assert await tx.user.count() == 1
        await tx.room.create(
            {"code": "a", "name": "R", "hostId": user.id, "settings": {"create": {}}},
            include={"settings": True, "host": True, "messages": True, "participants": True},
        )
    assert await prisma.user.count() == 1

    with pytest.raises(LookupError):
        async with prisma.tx() as tx:
            await a_user(tx, "second@example.org")
            raise LookupError
    assert await prisma.user.count() == 1


async def test_a_transaction_with_a_failed_query_cannot_pretend_to_be_committed(prisma: Prisma) -> None:
    with pytest.raises(TransactionError, match="rolled back"):
        async with prisma.tx() as tx:
            await a_user(tx)
            with pytest.raises(UniqueViolationError):
                await a_user(tx)
    assert await prisma.user.count() == 0


async def test_a_transaction_that_takes_too_long_is_undone(prisma: Prisma) -> None:
    tx = await prisma.tx(timeout=timedelta(milliseconds=50)).start()
    await a_user(tx)
    with pytest.raises(TransactionError):
        while True:  # ends when the time is over
            await tx.query_raw("SELECT 1 AS one FROM pg_sleep(0.02)")
    assert await prisma.user.count() == 0


async def test_a_batch_is_done_as_a_whole(prisma: Prisma) -> None:
    async with prisma.batch_() as batch:
        batch.user.create({"email": "a", "name": "x", "password": "x"})
        batch.user.create({"email": "b", "name": "x", "password": "x"})
        batch.user.update(where={"email": "a"}, data={"name": "y\u2028"})
        batch.execute_raw('UPDATE "User" SET "displayName" = $1 WHERE email = $2', "z", "b")
    rows = await prisma.user.find_many(order={"email": "asc"})
    assert [(row.name, row.displayName) for row in rows] == [("y\u2028", None), ("x", "z")]
    with pytest.raises(UniqueViolationError):
        async with prisma.batch_() as batch:
            batch.user.create({"email": "c", "name": "x", "password": "x"})
            batch.user.create({"email": "a", "name": "x", "password": "x"})
    assert await prisma.user.count() == 2


async def test_raw_queries_return_typed_values(prisma: Prisma) -> None:
    rows = await prisma.query_raw(
        "SELECT $1::int4 AS i, $2::int8 AS b, $3::numeric AS d, $4::text AS t, true AS y, NULL AS n,"
        " '{1,2}'::int4[] AS l, '{\"a\": [1]}'::jsonb AS j, timestamp '2024-01-01 10:00' AS w",
        1,
        9_007_199_254_740_993,
        "1.50",
        "text",
    )
    when = rows[0].pop("w")
    assert rows == [
        {
            "i": 1,
            "b": 9_007_199_254_740_993,
            "d": 1.5,
            "t": "text",
            "y": True,
            "n": None,
            "l": [1, 2],
            "j": {"a": [1]},
        }
    ]
    assert when.startswith("2024-01-01T10:00:00")
    assert await prisma.execute_raw('DELETE FROM "User"') == 0


async def test_fifty_at_a_time(prisma: Prisma) -> None:
    user = await a_user(prisma)
    rooms = await asyncio.gather(
        *(
            prisma.room.create({"code": str(n), "name": "R", "hostId": user.id, "settings": {"create": {}}})
            for n in range(50)
        )
    )
    assert len({room.id for room in rooms}) == 50
    found = await asyncio.gather(*(prisma.room.find_unique(where={"code": str(n)}) for n in range(50)))
    assert [room.code for room in found if room] == [str(n) for n in range(50)]
    outcomes = await asyncio.gather(
        *(a_user(prisma, "same@example.org") for _ in range(50)), return_exceptions=True
    )
    assert sum(isinstance(outcome, User) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, UniqueViolationError) for outcome in outcomes) == 49
