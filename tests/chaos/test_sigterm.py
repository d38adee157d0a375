"""A planned stop with many connected, a restart on the same port, a second signal."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from tests.chaos.figures import Figures
from tests.chaos.meeting import entered, program, visitor
from tests.process.program import gone, postmaster
from tests.process.visitor import Visitor
from tests.store.password_server import free_port
from tests.wire.clients import Client, Driver

ROOM_SIZE = 10
RETURNING = {"reconnection": True, "reconnectionDelay": 200, "reconnectionDelayMax": 1000}


async def joined(client: Client, room: dict[str, Any]) -> None:
    """Join as a front end does on each `connect`."""
    answer = await client.ask("join-room", {"roomCode": room["code"], "displayName": "Guest"})
    assert answer["success"] is True, answer


async def in_rooms(who: Visitor, rooms: list[dict[str, Any]]) -> int:
    """How many REST shows in these rooms."""
    answers = [await who.call("GET", f"/api/rooms/code/{room['code']}/participants") for room in rooms]
    return sum(len(people) for _, people in answers)


async def test_everybody_comes_back_on_the_next_server(
    used_folder: Path, js: Driver, long: bool, figures: Figures
) -> None:
    people, port, loop = 300 if long else 50, free_port(), asyncio.get_running_loop()
    async with program(used_folder, port, DRAIN_SECONDS="3") as first, visitor(first.url) as who:
        await who.register()
        rooms = [await who.room() for _ in range(people // ROOM_SIZE)]
        url = first.url
        clients = [await js.connect(url, auth={}, **RETURNING) for _ in range(people)]
        for number, client in enumerate(clients):
            await joined(client, rooms[number % len(rooms)])
        assert await in_rooms(who, rooms) == people
        started = [*first.descendants(), postmaster(used_folder)]
        asked = loop.time()
        first.signal(signal.SIGTERM)
        for client in clients:
            await client.next("server-draining")
        assert await first.ended(30) == 0
        took = loop.time() - asked
        assert await gone(started, 0.1)
        assert "Traceback" not in first.output
    async with program(used_folder, port) as second, visitor(second.url) as again:
        assert second.url == url
        again.email = who.email
        await again.log_in()
        # The stop itself had closed every row.
        for room in rooms:
            assert await again.call("GET", f"/api/rooms/{room['id']}/participants") == (200, [])
        assert "closed participant rows" not in second.output
        for number, client in enumerate(clients):
            client.opening = await client.next("$connected")
            await joined(client, rooms[number % len(rooms)])
        back = loop.time() - asked
        assert await in_rooms(again, rooms) == people
        for room in rooms:
            _, rows = await again.call("GET", f"/api/rooms/{room['id']}/participants")
            assert len(rows) == ROOM_SIZE
        for client in clients:
            client.disconnect()
        assert await second.stop() == 0
    figures.add("connected when SIGTERM came", people)
    figures.add("exit code", 0)
    figures.add("ended after (closed over 3 s)", took, "s")
    figures.add("children and open rows left", "0 and 0")
    figures.add("all back in their rooms on the restarted server after", back, "s")


async def test_a_second_signal_ends_it_at_once(used_folder: Path, figures: Figures) -> None:
    loop = asyncio.get_running_loop()
    async with (
        program(used_folder, free_port(), DRAIN_SECONDS="600") as running,
        visitor(running.url) as who,
    ):
        await who.register()
        room = await who.room()
        guests = [await who.socket(guest=True) for _ in range(20)]
        for guest in guests:
            await entered(guest, room["code"])
        started = [*running.descendants(), postmaster(used_folder)]
        running.signal(signal.SIGTERM)
        await guests[0].next("server-draining")
        asked = loop.time()
        running.signal(signal.SIGTERM)
        assert await running.ended(10) == 0
        took = loop.time() - asked
        assert await gone(started, 0.1)
        assert "Traceback" not in running.output
    figures.add("ended after the second SIGTERM", took, "s")
    assert took < 5
