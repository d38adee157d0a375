"""A planned stop: told, refused, spread, and clients come back by themselves to the next server on the port."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import ClientSession

from neuron_meet.ops.drain import drain
from tests.recovery.away import go_away, names, until
from tests.store.password_server import free_port
from tests.wire.clients import Client, ConnectionRefused, Driver
from tests.wire.meeting import enter, failure, gone, meeting_on

RETURNING = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 100}


async def status(url: str, path: str) -> tuple[int, Any]:
    async with ClientSession(url) as session, session.get(path) as response:
        return response.status, await response.json()


async def comes_back(client: Client) -> bool:
    """Wait for the client's own reconnection. Whether its state was recovered."""
    client.opening = await client.next("$connected")
    return bool(client.opening.get("recovered"))


async def test_draining_and_the_next_server_on_the_same_port(shared_database: str, js: Driver) -> None:
    port = free_port()
    async with AsyncExitStack() as first:
        meet = await first.enter_async_context(
            meeting_on(shared_database, js, recovery_grace_seconds=60, port=port)
        )
        url = meet.server.url
        place, mina = await meet.place(), await meet.person("Mina")
        people = [place.host, mina, None, None]
        transports = ["websocket", "websocket", "polling", "websocket"]
        clients = [
            await meet.join(place, who, transports=[transport], **RETURNING)
            for who, transport in zip(people, transports, strict=True)
        ]
        meet.forget(*clients)
        for client in clients:
            await client.unread()
        former = [client.sid for client in clients]
        outsider = await meet.connect()
        assert (await status(url, "/api/health"))[0] == 200
        draining = asyncio.create_task(drain(meet.server.health, meet.server.sockets, 1.0))
        for client in clients:
            assert (await client.next("server-draining"))["reconnectInMs"] > 1000
        assert (await status(url, "/api/health"))[0] == 503
        code, ready = await status(url, "/api/ready")
        assert (code, ready["message"]) == (503, "the server is shutting down")
        assert await enter(outsider, place) == failure("Service temporarily unavailable")
        assert (await outsider.next("join-error"))["message"] == "Service temporarily unavailable"
        try:
            await js.connect(url)
        except ConnectionRefused as refused:
            assert str(refused) in ("websocket error", "xhr poll error")
        else:
            raise AssertionError("a draining server took a new connection")
        await draining
        for client in clients:
            await client.next("$disconnected")
        assert await meet.open_rows(place) == 0
        assert meet.present(place) == []
    async with meeting_on(shared_database, js, recovery_grace_seconds=60, port=port) as meet:
        for client, who in zip(clients, people, strict=True):
            assert await comes_back(client) is False
            assert client.sid not in former
            joined = await enter(client, place, who.name if who else "Guest")
            assert joined["success"] is True
        assert set(meet.present(place)) == {client.sid for client in clients}
        assert await meet.open_rows(place) == 4
        for client in clients:
            assert "auth-error" not in names(await client.unread())
            client.disconnect()
        await until(lambda: meet.present(place) == [])


async def test_sockets_are_closed_spread_over_the_time(shared_database: str, js: Driver) -> None:
    async with meeting_on(shared_database, js, recovery_grace_seconds=60) as meet:
        clients = [await meet.connect() for _ in range(8)]
        meet.forget(*clients)
        loop = asyncio.get_running_loop()

        async def closed(client: Client) -> float:
            await client.next("$disconnected")
            return loop.time()

        closings = [asyncio.create_task(closed(client)) for client in clients]
        started = loop.time()
        await drain(meet.server.health, meet.server.sockets, 1.6)
        moments = sorted(await asyncio.gather(*closings))
        assert moments[-1] - started >= 1.2
        pauses = [after - before for before, after in itertools.pairwise(moments)]
        assert sum(pause > 0.1 for pause in pauses) >= 5  # one by one, 0.2 s apart, on a busy machine


async def test_held_places_end_when_the_server_goes(shared_database: str, js: Driver) -> None:
    async with meeting_on(shared_database, js, recovery_grace_seconds=60) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        guest = await meet.join(place)
        await host.unread()
        await go_away(meet, guest)
        meet.forget(host, guest)
        await drain(meet.server.health, meet.server.sockets, 0)
        assert await host.next("user-left") == gone(guest)[1]
        await host.next("$disconnected")
        rows = await meet.rows(place)
        assert [row["isActive"] for row in rows] == [False, False]
        assert meet.server.sockets.recovery.held == 0


async def test_with_nobody_connected_it_takes_no_time(shared_database: str, js: Driver) -> None:
    async with meeting_on(shared_database, js) as meet:
        started = asyncio.get_running_loop().time()
        await drain(meet.server.health, meet.server.sockets, 30)
        assert asyncio.get_running_loop().time() - started < 5


async def test_a_drop_while_it_drains(shared_database: str, js: Driver) -> None:
    """It is not waited for: the next server has not got its place."""
    async with meeting_on(shared_database, js, recovery_grace_seconds=60) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        guest = await meet.join(place)
        meet.forget(host, guest)
        draining = asyncio.create_task(drain(meet.server.health, meet.server.sockets, 1))
        await guest.next("server-draining")
        guest.kill()
        await draining
    async with meeting_on(shared_database, js, recovery_grace_seconds=60) as after:
        assert await after.open_rows(place) == 0


async def test_who_is_in_goes_on_until_its_socket_is_closed(shared_database: str, js: Driver) -> None:
    async with meeting_on(shared_database, js) as meet:
        place = await meet.place()
        host, guest = await meet.join(place, place.host), await meet.join(place)
        meet.server.sockets.start_draining(5_000)
        await host.next("server-draining")
        assert (await guest.ask("chat-message", {"roomId": place.id, "content": "bye"}))["success"] is True
        assert (await host.next("chat-message"))["content"] == "bye"
        guest.emit("offer", {"targetId": host.sid, "sdp": "still"})
        assert (await host.next("offer"))["sdp"] == "still"
