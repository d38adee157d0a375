"""A room behind a proxy, and clients that meet in it."""

from __future__ import annotations

from typing import Any

from tests.proxies.fronts import Front
from tests.wire.clients import Client, Driver

WAYS: dict[str, list[str]] = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}


async def make_room(front: Front, email: str) -> dict[str, Any]:
    """A room of a new account, made through the proxy."""
    account = {"email": email, "password": "correct horse battery", "displayName": "Ada"}
    async with front.session() as session:
        async with session.post("/api/auth/register", json=account) as response:
            assert response.status == 201, await response.text()
            token = (await response.json())["accessToken"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post("/api/rooms", json={}, headers=headers) as response:
            assert response.status == 201, await response.text()
            return await response.json()


async def come(
    js: Driver, front: Front, room: dict[str, Any], way: str, path: str = "/", **options: Any
) -> Client:
    """A client that is in the room, by that way."""
    client = await js.connect(front.origin, **front.options(path, transports=WAYS[way], **options))
    if way == "upgrade":
        assert await client.next("$upgraded") == "websocket"
    await join(client, room, f"{front.kind}{path}{way}")
    return client


async def join(client: Client, room: dict[str, Any], name: str) -> None:
    """Enter the room."""
    joined = await client.ask("join-room", {"roomCode": room["code"], "displayName": name})
    assert joined["success"], joined


async def say(client: Client, room: dict[str, Any], content: str) -> None:
    """Send a chat message, and see it stored."""
    said = await client.ask("chat-message", {"roomId": room["id"], "content": content})
    assert said["success"], said
