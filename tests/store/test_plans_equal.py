"""Plans run in this process give what the host gives: the same models, from the same rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel

from neuron_meet.store.engine.plan_engine import PlanEngine
from neuron_meet.store.generated.client import Prisma
from tests.store.conftest import Emptied
from tests.store.plan_asker import Asker
from tests.store.plan_pair import Pair, RunHere, a_pair
from tests.store.plan_rows import write_rows
from tests.store.seeds import NOON


@pytest.fixture(scope="session")
async def shared_pair(emptied: Emptied) -> AsyncIterator[Pair]:
    """Two clients for all tests of this worker."""
    async with a_pair(emptied.url) as pair:
        yield pair


@pytest.fixture
async def pair(shared_pair: Pair, emptied: Emptied) -> Pair:
    """Two clients on a database with rows of every kind."""
    await emptied.empty()
    await write_rows(emptied.url)
    return shared_pair


def comparable(result: Any) -> Any:
    """A result with everything that a caller could see of it."""
    if isinstance(result, list):
        return [comparable(item) for item in result]
    if isinstance(result, BaseModel):
        return type(result), result.model_dump(), result.model_dump_json(), sorted(result.model_fields_set)
    return result


@pytest.mark.parametrize("seed", range(4))
async def test_random_queries_give_the_same_models(
    pair: Pair, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = RunHere(monkeypatch)
    for number in range(120):
        seed_of_query = seed * 1000 + number
        here = await Asker(seed_of_query).ask(pair.here.prisma)
        host = await Asker(seed_of_query).ask(pair.host.prisma)
        assert comparable(here) == comparable(host), f"query {seed_of_query}"
    assert counted.here > 50


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_texts_in_any_case(pair: Pair, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = RunHere(monkeypatch)
    known = [user.email for user in await pair.here.prisma.user.find_many(order={"id": "asc"}, take=count)]
    for emails in (known, [email.swapcase() for email in known], ["%", "_", "ß", "İ", "none"][:count]):

        async def ask(prisma: Prisma, emails: list[str] = emails) -> Any:
            return await prisma.user.find_many(
                where={"email": {"in": emails, "mode": "insensitive"}}, order={"id": "asc"}
            )

        here, host = await pair.both(ask)
        assert comparable(here) == comparable(host)
        assert [user.email for user in here] == (known if "none" not in emails and "%" not in emails else [])
    assert counted.here >= 3


async def test_a_shape_gives_each_of_its_queries_its_own_answer(pair: Pair) -> None:
    for code in ("code-k1", "code-k4", "none", "code-k1"):
        for newest in (2, 50):

            async def ask(prisma: Prisma, code: str = code, newest: int = newest) -> Any:
                return await prisma.room.find_unique(
                    where={"code": code},
                    include={
                        "settings": True,
                        "messages": {
                            "take": newest,
                            "order_by": [{"createdAt": "desc"}, {"id": "desc"}],
                            "include": {"user": True},
                        },
                    },
                )

            here, host = await pair.both(ask)
            assert comparable(here) == comparable(host)
            assert (here is None) == (code == "none")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 64, 300])
async def test_lists_of_every_length_share_a_shape(
    pair: Pair, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"m{number:02}" for number in range(length)]
    repeated = [*ids, *ids[:1]]
    counted = RunHere(monkeypatch)
    for chosen in (ids, repeated):
        for operator in ("in", "not_in"):

            async def ask(prisma: Prisma, chosen: list[str] = chosen, operator: str = operator) -> Any:
                where: Any = {"id": {operator: chosen}, "content": {"not": "-"}}
                return await prisma.message.find_many(where=where, order={"id": "asc"})

            here, host = await pair.both(ask)
            assert comparable(here) == comparable(host)
    assert counted.here >= 2 if length else counted.host >= 2


async def test_writes_are_the_same_rows(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = RunHere(monkeypatch)
    moment = NOON.astimezone(timezone(timedelta(hours=-3))) + timedelta(microseconds=987654)
    rows: dict[str, list[Any]] = {"here": [], "host": []}
    for name, prisma in (("here", pair.here.prisma), ("host", pair.host.prisma)):
        for key, user_id, guest in (("1", "k1", None), ("2", None, "Zoë 🎉")):
            row = await prisma.participant.create(
                data={
                    "id": f"{name}{key}",
                    "roomId": "k1",
                    "userId": user_id,
                    "guestName": guest,
                    "joinedAt": moment,
                },
                include={"user": True, "room": {"include": {"settings": True}}},
            )
            rows[name].append(row.model_dump(exclude={"id"}))
        ids = [f"{name}1", f"{name}2", "none"]
        closed = {"isActive": False, "leftAt": moment}
        rows[name].append(await prisma.participant.update_many(where={"id": {"in": ids}}, data=closed))  # type: ignore[arg-type]
        found = await prisma.participant.find_many(where={"id": {"in": ids}}, order={"id": "asc"})
        rows[name].append([row.model_dump(exclude={"id"}) for row in found])
        data: list[Any] = [
            {"id": f"{name}{n}", "roomId": "k1", "userId": user, "content": text, "createdAt": moment}
            for n, (user, text) in enumerate([("k1", "ä"), (None, "b"), ("k2", 'c"'), (None, "")])
        ]
        rows[name].append(await prisma.message.create_many(data=data, skip_duplicates=True))
        rows[name].append(await prisma.message.create_many(data=[*data, data[0]], skip_duplicates=True))
        written = await prisma.message.find_many(
            where={"id": {"in": [row["id"] for row in data]}}, order={"id": "asc"}
        )
        rows[name].append([row.model_dump(exclude={"id"}) for row in written])
        updated = await prisma.user.update(where={"id": "k3"}, data={"displayName": "neu", "avatarUrl": None})
        rows[name].append(updated and updated.model_dump(exclude={"updatedAt"}))
        rows[name].append(await prisma.user.update(where={"id": "nobody"}, data={"displayName": "neu"}))
        rows[name].append(await prisma.message.delete_many(where={"roomId": "none"}))
    assert rows["here"] == rows["host"]
    assert rows["here"][0]["joinedAt"] == datetime(2026, 5, 4, 12, 0, 0, 987000, tzinfo=UTC)
    assert counted.here == 9  # all but the update of nobody, which raised


async def test_now_is_now(pair: Pair) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    user = await pair.here.prisma.user.update(where={"id": "k1"}, data={"displayName": "later"})
    assert user
    assert before <= user.updatedAt <= datetime.now(UTC)


async def test_it_compiles_a_shape_once_however_many_ask(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original = PlanEngine.compile

    async def compile_plan(engine: PlanEngine, request: Any) -> Any:
        asked.append(request)
        return await original(engine, request)

    monkeypatch.setattr(PlanEngine, "compile", compile_plan)
    prisma = pair.here.prisma
    engine: Any = prisma._engine  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(engine._plans, "_compile", engine.compile)

    rows = await asyncio.gather(*(prisma.user.find_first(where={"name": str(n)}) for n in range(20)))
    assert len(rows) == 20
    assert len(asked) == 1
