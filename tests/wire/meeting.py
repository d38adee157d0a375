"""A real server on a real database, and what tests need around it: accounts, rooms, REST, sockets, rows."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiohttp import ClientSession

from neuron_meet.app import Server, running
from neuron_meet.auth.tokens import Tokens
from neuron_meet.settings import Settings
from neuron_meet.signaling.effects import settled
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.store.users import Users
from tests.wire.barrier import all_told
from tests.wire.clients import DEADLINE, Client, Driver

SECRET = "a-secret-of-the-wire-tests-with-32-bytes"
NOWHERE = "aaa-aaa-aaa"
"""A well-formed code that no room has."""


@dataclass(frozen=True)
class Person:
    """An account and a token for it."""

    id: str
    name: str
    token: str


@dataclass(frozen=True)
class Place:
    """A room: its id, its code, its host."""

    id: str
    code: str
    host: Person


class Meet:
    """One test's view of the server, or of the nodes of a cluster, which it uses in turn.

    Sockets that it opened are closed with it.
    """

    def __init__(self, servers: Sequence[Server], pool: Any, driver: Driver, session: ClientSession) -> None:
        self.servers = servers
        self._turns = itertools.cycle(servers)
        self._rest_turns = itertools.cycle(reversed(servers))
        self.pool = pool
        self.database_blocked = False
        self.tokens = Tokens(SECRET, 3600)
        self._driver = driver
        self._session = session
        self._clients: list[Client] = []

    # -- the nodes
    @property
    def server(self) -> Server:
        """The only server. Of a cluster: one node."""
        return self.servers[0]

    @property
    def url(self) -> str:
        """Where to connect next."""
        return next(self._turns).url

    @property
    def refused(self) -> Counter[str]:
        """Refusals by code, wherever."""
        return sum((server.dispatcher.refused for server in self.servers), Counter[str]())

    def lives(self, place: Place) -> list[LiveRoom]:
        """The room at each node where it is in use, the newest knowledge of it first."""
        found = [server.signaling.presence.room(place.code) for server in self.servers]
        return sorted((live for live in found if live), key=lambda live: -live.version)

    async def quiet(self, client: Client) -> None:
        """Return when the other nodes have been told of all that happened, what the client asked for included."""
        while not self.database_blocked and any(
            server.dispatcher.busy(client.sid) for server in self.servers
        ):
            await asyncio.sleep(0.001)
        await all_told(self.servers)

    # -- accounts and rooms
    async def person(self, name: str = "Ada", /, **columns: Any) -> Person:
        """A new account, written past REST (no password fits it): hashing one takes longer than most tests."""
        users = Users(self.server.database)
        email = f"{uuid.uuid4().hex}@example.com"
        account = await users.create(email=email, display_name=name, password_hash="none")
        for column, value in columns.items():
            await self.sql(f'UPDATE "User" SET "{column}" = $1 WHERE id = $2', value, account.id)
        return Person(account.id, name, self.tokens.issue(account.id, email))

    async def place(self, host: Person | None = None, **settings: Any) -> Place:
        """A new room over REST; `settings` as `PATCH …/settings` takes them, and `maxParticipants`."""
        host = host or await self.person("Host")
        status, room = await self.rest("POST", "/api/rooms", host, {"maxParticipants": 50})
        assert status == 201, room
        place = Place(room["id"], room["code"], host)
        if settings:
            await self.patch(place, **settings)
        return place

    async def patch(self, place: Place, **settings: Any) -> dict[str, Any]:
        """Change a room's settings over REST, as its host."""
        status, room = await self.rest("PATCH", f"/api/rooms/{place.id}/settings", place.host, settings)
        assert status == 200, room
        return room

    async def rest(
        self, method: str, path: str, who: Person | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """A REST call: status and body."""
        headers = {"Authorization": f"Bearer {who.token}"} if who else {}
        url = next(self._rest_turns).url + path
        async with self._session.request(method, url, headers=headers, json=body) as response:
            return response.status, await response.json()

    # -- sockets
    async def connect(self, who: Person | None = None, **options: Any) -> Client:
        """A socket of an account, or of a guest; `options` are socket.io-client's."""
        options.setdefault("auth", {"token": who.token} if who else {})
        client = await self._driver.connect(self.url, **options)
        if len(self.servers) > 1:
            client.quiet = self.quiet
        self._clients.append(client)
        return client

    async def connect_to(self, namespace: str, **options: Any) -> Client:
        """A socket of another namespace. Raises ConnectionRefused."""
        client = await self._driver.connect(self.url + namespace, **options)
        self._clients.append(client)
        return client

    async def join(
        self, place: Place, who: Person | None = None, name: str | None = None, **options: Any
    ) -> Client:
        """A socket that is in the room, and has read what it was told on the way in."""
        client = await self.connect(who, **options)
        ack = await enter(client, place, name or (who.name if who else "Guest"))
        assert ack["success"] is True, ack
        await client.unread()
        return client

    async def company(self, place: Place) -> tuple[Client, Client, Client]:
        """The host, a member with an account and a guest, all in the room, with nothing unread."""
        host = await self.join(place, place.host)
        member = await self.join(place, await self.person("Mina"))
        guest = await self.join(place, name="Gus")
        await host.unread()
        await member.unread()
        return host, member, guest

    def forget(self, *clients: Client) -> None:
        """Leave these sockets alone when the test ends."""
        self._clients = [client for client in self._clients if client not in clients]

    def disconnect_all(self) -> None:
        """Close every socket that this test opened."""
        for client in self._clients:
            client.disconnect()

    # -- rows
    async def sql(self, query: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of a query, past the server."""
        async with self.pool.acquire() as connection:
            return [dict(row) for row in await connection.fetch(query, *args)]

    async def rows(self, place: Place) -> list[dict[str, Any]]:
        """The room's Participant rows in the order of joining, when everything under way has been written."""
        for server in self.servers:
            assert await server.signaling.attendance.drain(10) == 0
        return await self.sql(
            'SELECT * FROM "Participant" WHERE "roomId" = $1 ORDER BY "joinedAt", id', place.id
        )

    async def open_rows(self, place: Place) -> int:
        """How many Participant rows of the room are open."""
        rows = await self.rows(place)
        assert all((row["leftAt"] is None) == row["isActive"] for row in rows)
        return sum(row["isActive"] for row in rows)

    async def until_gone(self, place: Place, *sids: str) -> None:
        """Return when the server has found that these sockets, which were cut off, are gone."""
        async with asyncio.timeout(DEADLINE):
            while any(live.members.keys() & set(sids) for live in self.lives(place)):
                await self.sql("SELECT 1")

    def present(self, place: Place) -> list[str]:
        """Socket ids that the server itself takes to be in the room."""
        lives = self.lives(place)
        return list(lives[0].members) if lives else []

    async def known(self, place: Place) -> list[set[str]]:
        """Socket ids in the room, as each node has it: by its replica, else by Redis."""
        members = [settled(server.signaling.presence.members(place.code)) for server in self.servers]
        return [{member.sid for member in found} for found in await asyncio.gather(*members)]

    def waiting(self, place: Place) -> list[str]:
        """Socket ids that the server itself takes to be waiting, in order."""
        lives = self.lives(place)
        return list(lives[0].waiting) if lives else []

    async def background_done(self) -> None:
        """Return when what happens in the background has happened."""
        for server in self.servers:
            await asyncio.gather(*server.signaling.tasks)


async def enter(client: Client, place: Place, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """Ask to join; returns the acknowledgement."""
    return await client.ask("join-room", joining(place, name, **fields))


def joining(place: Place, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """The payload of a join."""
    return {"roomCode": place.code, **({"displayName": name} if name else {}), **fields}


def failure(message: str) -> dict[str, Any]:
    """The acknowledgement of something that failed."""
    return {"success": False, "error": message}


OK = {"success": True}


def refused_join(message: str) -> tuple[str, dict[str, str]]:
    """The event of a join that failed."""
    return "join-error", {"code": "JOIN_FAILED", "message": message}


def gone(client: Client, who: Person | None = None) -> tuple[str, dict[str, Any]]:
    """The event that somebody left."""
    return "user-left", {"socketId": client.sid, "userId": who.id if who else None}


def settings_for(**given: Any) -> Settings:
    """Settings of a server on a free port, without what later issues test on their own."""
    fixed: dict[str, Any] = {
        "port": 0,
        "jwt_secret": SECRET,
        "node_env": "test",
        "recovery_grace_seconds": 0,
        "rate_limit_enabled": False,
    }
    return Settings(_env_file=None, **(fixed | given))  # type: ignore[call-arg]


@asynccontextmanager
async def meeting_on(
    database_url: str, driver: Driver, *, nodes: int = 1, **settings: Any
) -> AsyncIterator[Meet]:
    """A server of its own for one test, or a cluster (then `redis_url` is among the settings)."""
    async with (
        asyncpg.create_pool(database_url, min_size=0, max_size=3) as pool,
        AsyncExitStack() as stack,
        ClientSession() as session,
    ):
        servers = [
            await stack.enter_async_context(running(settings_for(**settings), database_url))
            for _ in range(nodes)
        ]
        meet = Meet(servers, pool, driver, session)
        yield meet
        meet.disconnect_all()


@asynccontextmanager
async def locked(meet: Meet, table: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Nothing writes to `table` until the block ends; reading goes on.

    Gives a function that returns when a statement of the server waits to write.
    """
    async with meet.pool.acquire() as connection, meet.pool.acquire() as onlooker:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')
        meet.database_blocked = True
        try:
            yield lambda: waiting_for_lock(onlooker, table)
        finally:
            meet.database_blocked = False
            await transaction.rollback()


async def waiting_for_lock(connection: Any, table: str) -> None:
    """Return when a statement of the server waits for a lock on `table`."""
    async with asyncio.timeout(60):
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass", f'"{table}"'
        ):
            pass
