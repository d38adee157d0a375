"""The server is stopped and started again behind proxies that stay: everybody comes back by themselves."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from pathlib import Path

from local_cluster.children import free_port
from tests.process.program import serving
from tests.proxies.conftest import PRODUCTION
from tests.proxies.fronts import KINDS, Certificate, fronting
from tests.proxies.people import WAYS, come, join, make_room, say
from tests.wire.clients import Driver


async def test_a_restart(place: Path, certificate: Certificate, js: Driver, shared_database: str) -> None:
    given = {**PRODUCTION, "DATABASE_URL": shared_database, "PORT": str(free_port()), "DRAIN_SECONDS": "0.5"}
    async with AsyncExitStack() as stack:
        async with serving(place, **given) as server:
            fronts = []
            for kind in KINDS:
                folder = place / kind
                folder.mkdir()
                fronts.append(
                    await stack.enter_async_context(fronting(kind, folder, certificate, server.url))
                )
            room = await make_room(fronts[0], f"{uuid.uuid4().hex}@example.com")
            clients = [
                await come(
                    js, front, room, way, reconnection=True, reconnectionDelay=50, reconnectionDelayMax=200
                )
                for front in fronts
                for way in WAYS
            ]
            await say(clients[0], room, "before")
            for client in clients:
                assert (await client.next("chat-message"))["content"] == "before"
            assert await server.stop() == 0
        async with serving(place, **given):
            for number, client in enumerate(clients):
                client.opening = await client.next("$connected")  # after some refusals: nobody was there
                await join(client, room, str(number))
            await say(clients[0], room, "after")
            for client in clients:
                assert (await client.next("chat-message"))["content"] == "after"
                client.disconnect()
