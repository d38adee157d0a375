"""Limits on requests, over a real port: 429 with Retry-After, by the right address; and on open rooms."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiohttp.web import Request

from neuron_meet.rest import routing, validation
from neuron_meet.rooms.live import LiveParticipant
from neuron_meet.store.client import Database
from tests.rest.server import Answer, Server, coming_from, new_email, serving
from tests.rest.shapes import error

PASSWORD = "correct horse"
TOO_MANY = error(429, "Too many requests")
TOO_MANY_ROOMS = error(409, "You have too many open rooms. End one of them first.")


def limited(**settings: Any) -> dict[str, Any]:
    return {"rate_limit_enabled": True} | settings


async def login(server: Server, email: str | None = None, **headers: str) -> Answer:
    body = {"email": email or new_email(), "password": PASSWORD}
    return await server.call("POST", "/api/auth/login", json=body, headers=headers)


async def register(server: Server, **headers: str) -> Answer:
    body = {"email": new_email(), "password": PASSWORD, "displayName": "Ada"}
    return await server.call("POST", "/api/auth/register", json=body, headers=headers)


def assert_refused(answer: Answer, within_seconds: int) -> None:
    assert (answer.status, answer.body) == (429, TOO_MANY)
    assert 1 <= int(answer.headers["retry-after"]) <= within_seconds
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


async def test_sign_ins_from_one_address(database: Database) -> None:
    async with serving(database, **limited(limit_login_address="3 per minute")) as server:
        assert [(await login(server)).status for _ in range(3)] == [401] * 3
        assert_refused(await login(server), 60)
        async with coming_from(server, "127.0.0.2") as elsewhere:
            assert (await login(elsewhere)).status == 401


async def test_failed_sign_ins_to_one_account(database: Database) -> None:
    async with serving(database, **limited(limit_login_account="2 per 5 minutes")) as server:
        email = new_email()
        assert [(await login(server, email)).status for _ in range(2)] == [401] * 2
        for spelling in (email, email.upper()):
            assert_refused(await login(server, spelling), 300)
        async with coming_from(server, "127.0.0.2") as elsewhere:
            assert_refused(await login(elsewhere, email), 300)
        assert (await login(server)).status == 401, "other accounts can be tried"


async def test_sign_ins_that_succeed_do_not_count_for_the_account(database: Database) -> None:
    async with serving(database, **limited(limit_login_account="2 per 5 minutes")) as server:
        body = {"email": new_email(), "password": PASSWORD, "displayName": "Ada"}
        assert (await server.post("/api/auth/register", body)).status == 201
        assert [(await login(server, body["email"])).status for _ in range(5)] == [201] * 5


async def test_what_is_no_registration_and_no_sign_in_counts_for_nobody(database: Database) -> None:
    limits = limited(limit_register_address="1 per hour", limit_login_address="1 per hour")
    async with serving(database, **limits) as server:
        for _ in range(3):
            assert (await server.post("/api/auth/register", {})).status == 400
            assert (await server.post("/api/auth/login", {})).status == 400
        assert (await register(server)).status == 201
        assert (await login(server)).status == 401


async def test_over_the_limit_nothing_of_what_is_sent_is_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of an address are asked before the body: 100 kB cost as little as nothing."""
    read: list[str] = []

    async def reading(request: Request) -> dict[str, Any]:
        read.append(request.path)
        return await validation.read_json(request)

    monkeypatch.setattr(routing, "read_json", reading)
    limits = limited(limit_register_address="1 per hour", limit_login_address="1 per hour")
    async with serving(database, **limits) as server:
        assert (await register(server)).status == 201
        assert (await login(server)).status == 401
        read.clear()
        large = {"email": new_email(), "password": "p" * 40_000, "displayName": "é" * 20_000}
        for path in ("register", "login"):
            assert_refused(await server.post(f"/api/auth/{path}", large), 3600)
        assert read == []


async def test_registrations_from_one_address(database: Database) -> None:
    async with serving(database, **limited(limit_register_address="2 per hour")) as server:
        assert [(await register(server)).status for _ in range(2)] == [201] * 2
        assert_refused(await register(server), 3600)
        assert_refused(await server.post("/api/auth/register", {}), 3600)  # it is not even read
        async with coming_from(server, "127.0.0.2") as elsewhere:
            assert (await register(elsewhere)).status == 201


async def test_guessed_codes_from_one_address(database: Database) -> None:
    async with serving(database, **limited(limit_lookups_address="3 per minute")) as server:
        _, token = await server.account()
        room = await server.room(token)
        server.live.people[room["code"]] = [LiveParticipant("p", "Ada", None, True)]
        known = f"/api/rooms/code/{room['code']}"
        for _ in range(5):
            for path in (known, f"{known}/participants"):
                assert (await server.get(path)).status == 200, "what is found does not count"
        assert (await server.get("/api/rooms/code/abc-def-ghi")).status == 404
        assert (await server.get("/api/rooms/code/abc-def-ghi/participants")).body == []
        assert (await server.get("/api/rooms/code/ABC")).status == 404
        for path in (known, f"{known}/participants", "/api/rooms/code/abc-def-ghj"):
            assert_refused(await server.get(path), 60)
        async with coming_from(server, "127.0.0.2") as elsewhere:
            assert (await elsewhere.get(known)).status == 200


async def test_a_stranger_cannot_say_where_they_come_from(database: Database) -> None:
    async with serving(database, **limited(limit_register_address="2 per hour")) as server:
        answers = [
            await register(server, **{name: f"203.0.113.{number}"})
            for number, name in enumerate(("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"))
        ]
        assert [answer.status for answer in answers] == [201, 201, 429, 429]


async def test_behind_a_trusted_proxy_the_client_counts(database: Database) -> None:
    settings = limited(limit_register_address="1 per hour", trusted_proxies="127.0.0.1/32")
    async with serving(database, **settings) as server:
        assert (await register(server, **{"X-Forwarded-For": "203.0.113.1"})).status == 201
        assert_refused(await register(server, **{"X-Forwarded-For": "203.0.113.1"}), 3600)
        assert_refused(await register(server, **{"X-Forwarded-For": "198.51.100.1, 203.0.113.1"}), 3600)
        assert (await register(server, **{"X-Forwarded-For": "203.0.113.2"})).status == 201
        async with coming_from(server, "127.0.0.2") as stranger:
            assert (await register(stranger, **{"X-Forwarded-For": "203.0.113.3"})).status == 201
            assert_refused(await register(stranger, **{"X-Forwarded-For": "203.0.113.4"}), 3600)


async def test_pages_of_other_origins_may_read_when_to_come_back(database: Database) -> None:
    settings = limited(limit_login_address="1 per minute", node_env="development")
    async with serving(database, **settings) as server:
        await login(server)
        answer = await login(server, Origin="https://meet.example.com")
        assert_refused(answer, 60)
        assert answer.headers["access-control-allow-origin"] == "https://meet.example.com"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"


async def test_limits_can_be_switched_off(database: Database) -> None:
    settings = {"limit_lookups_address": "1 per minute", "max_open_rooms": 1, "rate_limit_enabled": False}
    async with serving(database, **settings) as server:
        assert [(await server.get("/api/rooms/code/a")).status for _ in range(5)] == [404] * 5
        _, token = await server.account()
        assert [(await server.post("/api/rooms", {}, token)).status for _ in range(3)] == [201] * 3


async def test_rooms_that_an_account_may_have_open(database: Database) -> None:
    async with serving(database, **limited(max_open_rooms=2)) as server:
        _, token = await server.account()
        rooms = [await server.room(token) for _ in range(2)]
        answer = await server.post("/api/rooms", {}, token)
        assert (answer.status, answer.body) == (409, TOO_MANY_ROOMS)
        _, other = await server.account()
        await server.room(other)
        assert (await server.delete(f"/api/rooms/{rooms[0]['id']}", token)).status == 200
        await server.room(token)
        assert (await server.post("/api/rooms", {}, token)).status == 409
        assert (await server.post("/api/rooms", {"name": ""}, token)).status == 400


@pytest.mark.parametrize("servers", [1, 2])
async def test_open_rooms_are_counted_exactly_by_servers_that_share_a_database(
    database: Database, servers: int
) -> None:
    async with (
        serving(database, **limited(max_open_rooms=5)) as one,
        serving(database, **limited(max_open_rooms=5)) as other,
    ):
        account, token = await one.account()
        asked = [(one, other)[number % servers] for number in range(30)]
        answers = await asyncio.gather(*(server.post("/api/rooms", {}, token) for server in asked))
        assert Counter(answer.status for answer in answers) == {201: 5, 409: 25}
        assert await database.prisma.room.count(where={"hostId": account.id}) == 5
        assert await database.prisma.roomsettings.count(where={"room": {"is": {"hostId": account.id}}}) == 5
