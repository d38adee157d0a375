"""JWT_SECRET is changed while people are in a meeting over two nodes, in the steps of docs/operations.md."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from aiohttp import ClientSession

from neuron_meet.app import Server, running
from tests.store.password_server import free_port
from tests.wire.clients import Client, Driver
from tests.wire.meeting import settings_for

OLD, NEW = "the-secret-until-now-of-32-bytes-and-more", "the-next-secret-of-32-bytes-and-some-more"
RETURNING = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 100}
PASSWORD = "correct horse battery"


class Node:
    """A server on a port that stays the same, with other settings each time."""

    def __init__(self, redis_url: str, database_url: str) -> None:
        self._redis_url, self._database_url, self._port = redis_url, database_url, free_port()
        self._stack = AsyncExitStack()
        self.server: Server

    async def restart(self, secret: str, *former: str) -> None:
        await self.stop()
        settings = settings_for(
            jwt_secret=secret,
            jwt_secret_previous=",".join(former),
            redis_url=self._redis_url,
            port=self._port,
        )
        self.server = await self._stack.enter_async_context(running(settings, self._database_url))

    async def stop(self) -> None:
        await self._stack.aclose()


async def call(node: Node, method: str, path: str, token: str = "", **body: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        ClientSession(node.server.url) as session,
        session.request(method, path, headers=headers, json=body or None) as answer,
    ):
        return answer.status, await answer.json()


async def signed_in(node: Node, email: str) -> str:
    status, body = await call(node, "POST", "/api/auth/login", email=email, password=PASSWORD)
    assert status == 201, body
    return str(body["accessToken"])


async def test_nobody_signs_in_anew(redis_url: str, database_url: str, js: Driver) -> None:
    nodes = [Node(redis_url, database_url) for _ in range(2)]
    try:
        for node in nodes:
            await node.restart(OLD)
        status, ada = await call(
            nodes[0],
            "POST",
            "/api/auth/register",
            email="ada@example.com",
            password=PASSWORD,
            displayName="Ada",
        )
        assert status == 201, ada
        token = str(ada["accessToken"])
        _, room = await call(nodes[0], "POST", "/api/rooms", token, name="Rotation")
        clients = [
            await js.connect(node.server.url, auth={"token": token}, transports=["websocket"], **RETURNING)
            for node in nodes
        ]
        for client in clients:
            assert (await client.ask("join-room", {"roomCode": room["code"]}))["success"]

        async def step(node: Node, client: Client, secret: str, *former: str) -> None:
            """Restart a node: whoever was there comes back with the token that they have; both nodes take it."""
            await client.unread()
            await node.restart(secret, *former)
            await client.next("$connected")
            ack = await client.ask("join-room", {"roomCode": room["code"]})
            assert ack["success"] is True, ack
            assert ack["isHost"] is True, "as the account that made the room"
            for each in nodes:
                assert (await call(each, "GET", "/api/auth/me", token))[0] == 200
                fresh = await signed_in(each, "ada@example.com")
                for other in nodes:
                    assert (await call(other, "GET", "/api/auth/me", fresh))[0] == 200

        for secret, former in ((OLD, NEW), (NEW, OLD)):
            for node, client in zip(nodes, clients, strict=True):
                await step(node, client, secret, former)
        fresh = await signed_in(nodes[0], "ada@example.com")
        for client in clients:
            client.disconnect()
        for node in nodes:  # when the old tokens have expired
            await node.restart(NEW)
        for node in nodes:
            assert (await call(node, "GET", "/api/auth/me", fresh))[0] == 200
            assert (await call(node, "GET", "/api/auth/me", token))[0] == 401
    finally:
        for node in nodes:
            await node.stop()


async def test_without_the_former_one_old_tokens_are_refused_at_once(
    redis_url: str, database_url: str, js: Driver
) -> None:
    node = Node(redis_url, database_url)
    try:
        await node.restart(OLD)
        _, ada = await call(
            node, "POST", "/api/auth/register", email="ada@example.com", password=PASSWORD, displayName="Ada"
        )
        await node.restart(NEW)
        assert (await call(node, "GET", "/api/auth/me", ada["accessToken"]))[0] == 401
        client = await js.connect(
            node.server.url, auth={"token": ada["accessToken"]}, transports=["websocket"]
        )
        await client.next("auth-error")
        client.disconnect()
    finally:
        await node.stop()
