"""What one peer may hold at once and how fast it may ask: sessions and requests. Real sockets."""

from __future__ import annotations

import asyncio
import json

from aiohttp import ClientSession

from neuron_meet.app import Server
from tests.wire.clients import Driver
from tests.wire.meeting import meeting_on

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
REFUSED = {"message": "Too many requests", "statusCode": 429}
TCP_REFUSED = {"message": "Too many requests", "error": "Too Many Requests", "statusCode": 429}
DEADLINE = 30


async def opened(server: Server, headers: dict[str, str] | None = None, place: str = "127.0.0.1") -> int:
    """The status of a new session over polling; it stays open."""
    from aiohttp import TCPConnector  # noqa: PLC0415

    connector = TCPConnector(local_addr=(place, 0))
    async with (
        ClientSession(connector=connector) as session,
        session.get(server.url + POLLING, headers=headers or {}) as response,
    ):
        if response.status != 200:
            assert await response.json() == REFUSED
            assert response.headers["Retry-After"] == "10"
        return response.status


async def test_sessions_of_one_address(js: Driver, shared_database: str) -> None:
    """By polling or websocket; those of another address are not counted, and what ends makes room."""
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True, max_connections_address=3) as meet,
        ClientSession() as session,
    ):
        server = meet.server
        sockets = [await session.ws_connect(server.url + WEBSOCKET) for _ in range(2)]
        assert await opened(server) == 200
        assert await opened(server, place="127.0.0.2") == 200
        for _ in range(2):
            assert await opened(server) == 429
        async with session.get(server.url + "/api/health") as response:
            assert response.status == 200, "the ceiling is on sessions, not on requests"
        at_once = server.sockets.eio.at_once
        assert (at_once.total, at_once.count("127.0.0.1")) == (4, 3)
        await sockets[0].close()
        async with asyncio.timeout(DEADLINE):
            while at_once.count("127.0.0.1") == 3:
                await asyncio.sleep(0.001)
        assert await opened(server) == 200
        assert await opened(server) == 429
        await server.sockets.eio.close_all(0)
        assert (at_once.total, at_once.keys) == (0, 0)


async def test_a_thousand_sessions_at_once_are_counted_exactly(js: Driver, shared_database: str) -> None:
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True, max_connections_address=20) as meet,
        ClientSession() as session,
    ):

        async def ask() -> int:
            async with session.get(meet.server.url + POLLING) as response:
                return response.status

        statuses = await asyncio.gather(*(ask() for _ in range(100)))
        assert (statuses.count(200), statuses.count(429)) == (20, 80)


async def test_a_proxy_that_nobody_named_is_not_taken_for_one_client(
    js: Driver, shared_database: str
) -> None:
    """Loopback and private peers that say for whom they ask: the ceilings at once are not for them."""
    async with meeting_on(shared_database, js, rate_limit_enabled=True, max_connections_address=2) as meet:
        forwarded = {"X-Forwarded-For": "198.51.100.7"}
        assert [await opened(meet.server, forwarded) for _ in range(5)] == [200] * 5
        assert [await opened(meet.server, place="127.0.0.2") for _ in range(3)] == [200, 200, 429]


async def test_behind_a_proxy_that_is_named_each_client_has_its_own(js: Driver, shared_database: str) -> None:
    async with meeting_on(
        shared_database,
        js,
        rate_limit_enabled=True,
        max_connections_address=2,
        trusted_proxies="127.0.0.1",
    ) as meet:
        for address in ("198.51.100.7", "[2001:db8::7]:4711"):
            headers = {"X-Forwarded-For": address}
            assert [await opened(meet.server, headers) for _ in range(3)] == [200, 200, 429]


async def test_sessions_in_all(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js, max_connections=3) as meet:
        async with ClientSession() as session:  # one connection, four sessions
            statuses: list[int] = []
            for _ in range(4):
                async with session.get(meet.server.url + POLLING) as response:
                    statuses.append(response.status)
        assert statuses == [200, 200, 200, 429]


# -- pace
async def test_requests_of_one_address_have_a_pace(js: Driver, shared_database: str) -> None:
    """Any requests, also those that are refused; not those of a session, of another address, of a proxy."""
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True, limit_requests_address="5 per hour") as meet,
        ClientSession(meet.server.url) as session,
    ):
        pace = meet.server.sockets.bounds.pace
        async with session.get(POLLING) as response:
            sid = json.loads((await response.read())[1:])["sid"]
        for path in ("/", "/nowhere", "/api/health", POLLING + "&sid=none"):
            async with session.get(path):
                assert pace.waiting == 0
        waiting = [
            asyncio.create_task(session.get(path)) for path in ("/", "/api/health", POLLING, WEBSOCKET)
        ]
        async with asyncio.timeout(DEADLINE):
            while pace.waiting < len(waiting):
                await asyncio.sleep(0.001)
        async with session.post(f"{POLLING}&sid={sid}", data="40") as response:
            assert response.status == 200
        assert await opened(meet.server, place="127.0.0.2") == 200
        assert await opened(meet.server, {"X-Forwarded-For": "198.51.100.7"}) == 200
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
