"""A chat message with a `clientId` is stored and shown once, however often it is sent; one without, each time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.redis_server import RedisServer
from tests.wire.clients import DEADLINE, Client, Driver
from tests.wire.meeting import Meet, Place, enter, failure, joining, locked, meeting_on

TRIES = 3


async def rows(meet: Meet, place: Place) -> list[dict[str, Any]]:
    """What is stored of a room's chat."""
    return await meet.sql(
        'SELECT id, content FROM "Message" WHERE "roomId" = $1 ORDER BY "createdAt", id', place.id
    )


async def seen(client: Client) -> list[str]:
    """The ids of the messages that a client was shown."""
    return [payload["id"] for name, payload in await client.unread() if name == "chat-message"]


async def retrying(meet: Meet, place: Place) -> Client:
    """The official client with its `retries`: each try that is not acknowledged in time is followed by another."""
    client = await meet.connect(retries=1000, ackTimeout=200)
    error, ack = await client.request("join-room", joining(place, "Gus"))
    assert (error, ack["success"]) == (None, True)
    return client


async def say_while_nothing_is_stored(meet: Meet, client: Client, message: dict[str, Any]) -> dict[str, Any]:
    """Say something that the database takes its time for, so that the client says it again. The ack."""
    client.forget()
    async with locked(meet, "Message") as waiting:
        answer = client.request("chat-message", message)
        await waiting()
        for _ in range(TRIES):
            assert await client.next("$sent") == "chat-message"
    error, ack = await answer
    assert error is None
    return ack


async def test_a_client_that_retries_is_stored_once(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    client = await retrying(meet, place)
    message = {"roomId": place.id, "content": "once", "clientId": "1"}
    ack = await say_while_nothing_is_stored(meet, client, message)
    [row] = await rows(meet, place)
    assert (ack["success"], ack["message"]["id"], row["content"]) == (True, row["id"], "once")
    assert await seen(host) == [row["id"]]


async def test_without_an_id_each_try_is_a_message(meet: Meet) -> None:
    """As ever: who says the same thing twice may mean it."""
    place = await meet.place()
    client = await retrying(meet, place)
    ack = await say_while_nothing_is_stored(meet, client, {"roomId": place.id, "content": "again"})
    assert ack["success"]
    assert len(await rows(meet, place)) >= TRIES


async def test_a_repetition_gets_the_first_ones_ack(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    for client in (host, member, guest):
        message = {"roomId": place.id, "content": "first", "clientId": "one"}
        first = await client.ask("chat-message", message)
        assert first["success"] is True
        assert await client.ask("chat-message", message) == first
        assert await client.ask("chat-message", {**message, "content": "another"}) == first
    stored = [row["id"] for row in await rows(meet, place)]
    assert len(stored) == 3, "of three senders, who may use the same id"
    for client in (host, member, guest):
        assert await seen(client) == stored
    other = await meet.place(place.host)
    assert (await enter(host, other))["success"]
    elsewhere = await host.ask("chat-message", {"roomId": other.id, "content": "first", "clientId": "one"})
    assert elsewhere["message"]["id"] not in stored, "another room"


async def test_tries_of_one_account_at_two_nodes_are_one_message(meet: Meet) -> None:
    """The account comes back by another socket, and the first try is still being written."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    mina = await meet.person("Mina")
    one = await meet.join(place, mina)
    message = {"roomId": place.id, "content": "once", "clientId": "x"}
    async with locked(meet, "Message") as waiting:
        first = one.request("chat-message", message)
        await waiting()
        two = await meet.connect(mina)
        joined = two.request("join-room", joining(place, "Mina"))
        again = two.request("chat-message", message)
        [ack] = await joined
        assert ack["success"]
    [first_ack], [second_ack] = await first, await again
    assert first_ack == second_ack
    [row] = await rows(meet, place)
    assert await seen(host) == [row["id"]]


@pytest.mark.parametrize("bad", ["", "x" * 65, 7, ["a"], {}, True])
async def test_what_is_no_id(meet: Meet, bad: Any) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    message = {"roomId": place.id, "content": "hi", "clientId": bad}
    assert await host.ask("chat-message", message) == failure("Invalid request")
    for good in ("x" * 64, "\x00", "ü", None):
        assert (await host.ask("chat-message", {**message, "clientId": good}))["success"]
    assert len(await rows(meet, place)) == 4


async def test_a_joiner_is_told_that_ids_count(meet: Meet) -> None:
    client = await meet.connect()
    ack = await enter(client, await meet.place())
    assert ack["features"] == (await client.next("room-joined"))["features"] == ["waiting-room", "chat-ids"]


@pytest.mark.parametrize("many", [1, 3])
async def test_a_connection_that_is_cut_before_the_answer(
    js: Driver, shared_database: str, redis_server: RedisServer, many: int
) -> None:
    """The row is written, the answer is lost; the guest comes back, to another node where there is one."""
    settings = {"redis_url": redis_server.new_url(), "database_pool_size": 4} if many > 1 else {}
    async with meeting_on(shared_database, js, nodes=many, recovery_grace_seconds=60, **settings) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        guest = await meet.join(place, name="Gus")
        former = guest.sid
        await host.unread()
        message = {"roomId": place.id, "content": "once", "clientId": "mine"}
        async with locked(meet, "Message") as waiting:
            lost = guest.request("chat-message", message)
            await waiting()
            guest.kill()
            await guest.next("$disconnected")
        lost.cancel()
        async with asyncio.timeout(DEADLINE):
            while not (stored := await rows(meet, place)):
                pass
        elsewhere = (
            next(server.url for server in reversed(meet.servers) if not server.sockets.connected(former))
            if many > 1
            else None
        )
        assert await guest.reconnect(url=elsewhere), "recovered"
        assert guest.sid == former
        ack = await guest.ask("chat-message", message)
        assert (ack["success"], [ack["message"]["id"]]) == (True, [row["id"] for row in stored])
        assert await rows(meet, place) == stored
        assert await seen(host) == await seen(guest) == [stored[0]["id"]]
