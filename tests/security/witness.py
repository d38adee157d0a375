"""A meeting that goes on while the server is attacked, with the official client: it must notice nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from aiohttp import ClientSession

from tests.wire.clients import Client, Driver

CHAT_EVERY = 10


class Witness:
    """Three members who relay to each other in a ring and chat, as fast as they are answered."""

    def __init__(self, room: dict[str, Any], members: list[Client]) -> None:
        self.room = room
        self._members = members
        self._rounds = 0
        self._longest = 0.0
        self._said: list[str] = []
        self._stopped = False

    @property
    def sids(self) -> list[str]:
        """The members' socket ids."""
        return [member.sid for member in self._members]

    async def go_on(self) -> None:
        """Relay and chat until stopped. Every message must be acknowledged with success."""
        while not self._stopped:
            started = monotonic()
            ring = zip(self._members, [*self._members[1:], self._members[0]], strict=True)
            asked = [
                one.ask("offer", {"targetId": other.sid, "sdp": {"n": self._rounds}}) for one, other in ring
            ]
            if self._rounds % CHAT_EVERY == 0:
                speaker = self._members[self._rounds // CHAT_EVERY % len(self._members)]
                self._said.append(f"round {self._rounds}")
                asked.append(
                    speaker.ask("chat-message", {"roomId": self.room["id"], "content": self._said[-1]})
                )
            for ack in await asyncio.gather(*asked):
                assert ack["success"] is True, ack
            self._longest = max(self._longest, monotonic() - started)
            self._rounds += 1

    async def heard_everything(self) -> str:
        """Check that everything arrived, once and in order. Returns figures to print."""
        own = set(self.sids)
        for number, member in enumerate(self._members):
            events = await member.unread()
            offers = [
                payload["sdp"]["n"]
                for name, payload in events
                if name == "offer" and payload["senderId"] in own
            ]
            assert offers == list(range(self._rounds)), f"member {number} missed an offer"
            chat = [
                payload["content"]
                for name, payload in events
                if name == "chat-message" and payload["senderId"] in own
            ]
            assert chat == self._said, f"member {number} missed a message"
            ended = [name for name, _ in events if name.startswith(("$", "force", "room-ended"))]
            assert ended == [], f"member {number} was disturbed"
        return f"witness: {self._rounds} rounds, the longest {self._longest:.2f} s"

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Go on for as long as the block lasts; it ends at once when the witness is disturbed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.go_on())
            try:
                yield
            finally:
                self._stopped = True


async def call(session: ClientSession, path: str, body: Any, token: str = "") -> dict[str, Any]:
    """A POST that must succeed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.post(path, json=body, headers=headers) as response:
        assert response.status == 201, await response.text()
        return await response.json()


@asynccontextmanager
async def witness(url: str, driver: Driver) -> AsyncIterator[Witness]:
    """A meeting of a host and two guests, one of whom polls."""
    async with ClientSession(url) as session:
        account = {"email": "host@example.com", "password": "a password for it", "displayName": "Host"}
        token = (await call(session, "/api/auth/register", account))["accessToken"]
        room = await call(session, "/api/rooms", {"name": "Witness", "maxParticipants": 100}, token)
    members = [
        await driver.connect(url, auth={"token": token}),
        await driver.connect(url),
        await driver.connect(url, transports=["polling"]),
    ]
    for member in members:
        ack = await member.ask("join-room", {"roomCode": room["code"], "displayName": "Witness"})
        assert ack["success"] is True, ack
    for member in members:
        await member.unread()
    try:
        yield Witness(room, members)
    finally:
        for member in members:
            member.disconnect()
