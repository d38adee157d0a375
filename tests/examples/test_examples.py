"""The programs in examples/, run as their first lines say. The client and the bot also meet in tests/package/."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import ClientSession

from neuron_meet.store.node import find_node
from tests.process.program import Program, gone
from tests.process.visitor import visiting

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNNING = r"Running on (http://[\w.:]+)"  # aiohttp's own words


async def test_meetings_inside_another_application(database_url: str, postgres_folder: Path) -> None:
    """Its own route, the page, REST with its errors, a meeting, and a stop that ends everything."""
    settings = {"DATABASE_URL": database_url, "JWT_SECRET": "a secret of these tests, of 32 bytes and more"}
    command = (sys.executable, "-u", EXAMPLES / "mounted.py", "0")
    program = await Program.run(command, postgres_folder, settings)
    try:
        url = (await program.says(RUNNING))[1]
        async with ClientSession(url) as session:

            async def text(path: str, status: int = 200) -> str:
                async with session.get(path) as answer:
                    assert answer.status == status
                    return await answer.text()

            assert await text("/about") == "0 people are connected.\n"
            assert "<title>" in await text("/")
            assert '"Cannot GET /api/nothing"' in await text("/api/nothing", 404)
            assert '"ready"' in await text("/api/ready")
            origin = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
            async with session.options("/api/rooms", headers=origin) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
            async with visiting(url) as host:
                await host.register()
                room = await host.room()
                seat = await host.socket()
                assert (await seat.ask("join-room", {"roomCode": room["code"]}))["success"]
                client = (find_node(), EXAMPLES / "client.mjs", url, room["code"], "Eve")
                guest = await Program.run(client, postgres_folder, {}, stdin=asyncio.subprocess.PIPE)
                try:
                    await guest.says("Joined, with: Ada")
                    assert await text("/about") == "2 people are connected.\n"
                    # Ends with the application, which does not wait for its clients to go.
                    children = program.descendants()
                    program.signal(signal.SIGTERM)
                    assert (await seat.next("server-draining"))["reconnectInMs"] > 0
                    await seat.end()
                    assert await program.ended() == 0
                    assert await gone(children)
                finally:
                    await guest.clean_up()
    finally:
        await program.clean_up()
