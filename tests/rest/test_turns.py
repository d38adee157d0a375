"""Requests under way of one account and of one address: bounded, in turn, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web

from neuron_meet.rest.limits import TooManyRequests
from neuron_meet.rest.turns import MOST_OF_ACCOUNT, WAITING_OF_ACCOUNT, Held, Turns, sent
from neuron_meet.store.client import Database
from neuron_meet.store.rooms import Rooms
from tests.rest.server import Answer, serving
from tests.rest.shapes import error

MINE = "/api/users/me/rooms"


async def test_so_many_at_once_and_the_others_in_turn() -> None:
    turns = Turns(2, 3)
    done: list[int] = []
    go = asyncio.Event()

    async def work(number: int) -> None:
        release = await turns.take("a")
        done.append(number)
        await go.wait()
        release()

    tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert done == [0, 1]
    with pytest.raises(TooManyRequests) as refused:
        await turns.take("a")
    assert refused.value.retry_after == 1
    (await turns.take("b"))()  # another is not concerned
    tasks[3].cancel()
    await asyncio.wait([tasks[3]])
    go.set()
    await asyncio.wait(tasks)
    assert done == [0, 1, 2, 4]
    assert turns.keys == 0


async def test_who_gives_up_when_the_turn_has_come_passes_it_on() -> None:
    turns = Turns(1, 3)
    release = await turns.take("a")
    second, third = (asyncio.ensure_future(turns.take("a")) for _ in range(2))
    await asyncio.sleep(0)
    release()  # the second one's turn has come
    second.cancel()
    await asyncio.wait([second])
    (await third)()
    assert turns.keys == 0


class Gate:
    """Holds the reading of rooms, and counts how many are in it at once, by account."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.entered = asyncio.Condition()
        real = Rooms.newest_of

        async def newest_of(rooms: Rooms, user_id: str, limit: int) -> Any:
            self.inside[user_id] += 1
            self.most[user_id] = max(self.most[user_id], self.inside[user_id])
            async with self.entered:
                self.entered.notify_all()
            try:
                await self.open.wait()
                return await real(rooms, user_id, limit)
            finally:
                self.inside[user_id] -= 1

        monkeypatch.setattr(Rooms, "newest_of", newest_of)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30), self.entered:
            await self.entered.wait_for(lambda: sum(self.inside.values()) >= count)


async def test_the_reads_of_an_account_are_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four are under way, some wait, the rest are told to come again; another account notices nothing."""
    gate = Gate(monkeypatch)
    async with serving(database, rate_limit_enabled=True) as server:
        account, token = await server.account()
        _, other_token = await server.account()
        most = MOST_OF_ACCOUNT + WAITING_OF_ACCOUNT
        async with ClientSession(server.session._base_url, connector=TCPConnector(limit=0)) as session:
            reader = replace(server, session=session)
            reads = {asyncio.ensure_future(reader.get(MINE, token)) for _ in range(most + 10)}
            async with asyncio.timeout(30):
                refused = set[asyncio.Task[Answer]]()
                while len(refused) < 10:
                    done, _ = await asyncio.wait(reads - refused, return_when=asyncio.FIRST_COMPLETED)
                    refused |= done
            await gate.until(MOST_OF_ACCOUNT)
            for each in refused:
                answer = each.result()
                assert (answer.status, answer.headers["retry-after"]) == (429, "1")
                assert answer.body == error(429, "Too many requests")
            others = asyncio.ensure_future(server.get(MINE, other_token))
            await gate.until(MOST_OF_ACCOUNT + 1)
            gate.open.set()
            assert (await others).status == 200
            served = [(await each).status for each in reads - refused]
        assert served == [200] * most
        assert gate.most[account.id] == MOST_OF_ACCOUNT
        assert (await server.get(MINE, token)).status == 200


async def test_without_limits_there_is_no_bound(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    async with serving(database) as server:
        _, token = await server.account()
        reads = [asyncio.ensure_future(server.get(MINE, token)) for _ in range(40)]
        await gate.until(40)
        gate.open.set()
        assert {(await each).status for each in reads} == {200}


async def test_an_answer_is_under_way_until_it_is_taken() -> None:
    """The turn of a long answer that nobody reads is not over: who comes next waits until it is read."""
    turns = Turns(1, 10)
    answered: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        with Held() as held:
            held.add(await turns.take("an account"))
            answered.append(request.path)
            return await sent(request, web.Response(body=bytes(20_000_000)))

    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    first, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n")
    await first.readline()
    second, other_writer = await asyncio.open_connection("127.0.0.1", port)
    other_writer.write(b"GET /second HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(30):
        while not turns.waiting:
            await asyncio.sleep(0.001)
        assert answered == ["/first"]
        head = asyncio.ensure_future(second.readline())
        while not head.done():
            await first.read(1_000_000)
    assert answered == ["/first", "/second"]
    writer.close()
    other_writer.transport.abort()
    async with asyncio.timeout(30):
        while turns.keys:  # who hangs up gives back their turn
            await asyncio.sleep(0.001)
    await runner.cleanup()
