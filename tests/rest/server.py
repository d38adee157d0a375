"""A REST server on a port of its own, and a client that talks to it as a front end does."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import ClientSession, TCPConnector, web

from neuron_meet.api import Api, build_api
from neuron_meet.ops.health import Health
from neuron_meet.rest.malformed import Runner
from neuron_meet.settings import Settings
from neuron_meet.store.client import Database
from neuron_meet.store.users import Account, Users
from tests.rest.live import RecordedLiveRooms

SECRET = "a-secret-for-tests-of-at-least-32-bytes"


@dataclass(frozen=True)
class Answer:
    """A response: its status, its JSON (or text), its headers."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Server:
    """A running server with what a test wants to reach into."""

    api: Api
    database: Database
    live: RecordedLiveRooms
    health: Health
    session: ClientSession

    async def call(self, method: str, path: str, *, token: str | None = None, **request: Any) -> Answer:
        """Send a request (aiohttp's keyword arguments) and read the whole answer."""
        headers: dict[str, str] = dict(request.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, path, headers=headers, **request) as response:
            json = response.content_type == "application/json" and method != "HEAD"
            body = await response.json() if json else await response.text()
            return Answer(
                response.status, body, {name.lower(): value for name, value in response.headers.items()}
            )

    async def get(self, path: str, token: str | None = None) -> Answer:
        return await self.call("GET", path, token=token)

    async def post(self, path: str, body: object, token: str | None = None) -> Answer:
        return await self.call("POST", path, token=token, json=body)

    async def patch(self, path: str, body: object, token: str | None = None) -> Answer:
        return await self.call("PATCH", path, token=token, json=body)

    async def delete(self, path: str, token: str | None = None) -> Answer:
        return await self.call("DELETE", path, token=token)

    async def account(self, name: str = "Ada") -> tuple[Account, str]:
        """A new account, written past the API (no password fits it), and a token for it."""
        users = Users(self.database)
        account = await users.create(email=new_email(), display_name=name, password_hash="none")
        return account, self.api.tokens.issue(account.id, account.email)

    async def room(self, token: str, **body: Any) -> dict[str, Any]:
        """A new room."""
        answer = await self.post("/api/rooms", body, token)
        assert answer.status == 201, answer
        return answer.body


@asynccontextmanager
async def coming_from(server: Server, address: str) -> AsyncIterator[Server]:
    """The same server for a client at another address of the loopback network (127.0.0.2 and so on)."""
    connector = TCPConnector(local_addr=(address, 0))
    async with ClientSession(server.session._base_url, connector=connector) as session:
        yield replace(server, session=session)


def new_email() -> str:
    """An address that no other test uses."""
    return f"{uuid.uuid4().hex}@example.com"


@asynccontextmanager
async def serving(
    database: Database, *, mount: Callable[[web.Application], object] | None = None, **settings: Any
) -> AsyncIterator[Server]:
    """A server with these settings, as long as the block lasts. `mount` adds to it before it starts.

    Without limits, unless `rate_limit_enabled` is given: all tests come from one address.
    """
    live = RecordedLiveRooms()
    health = Health("1.2.3", {"database": database.ping})
    given = {"jwt_secret": SECRET, "node_env": "test", "rate_limit_enabled": False} | settings
    api = build_api(Settings(_env_file=None, **given), database, live, health)  # type: ignore[call-arg]
    if mount is not None:
        mount(api.application)
    runner = Runner(api.application, access_log=None)  # as `app` does
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            yield Server(api, database, live, health, session)
    finally:
        await runner.cleanup()
