"""Coming and going without end: memory stays flat, no row stays open, no task and no timer is left over."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession

from neuron_meet.app import Server, running
from tests.chaos.figures import Figures
from tests.chaos.meeting import entered, program, visitor
from tests.process.program import ALL_BY_THE_ENGINE, Program
from tests.process.visitor import Socket, Visitor, visiting
from tests.store.password_server import free_port
from tests.wire.meeting import settings_for

AT_A_TIME = 8
MEGABYTE = 1_000_000


async def cycle(session: ClientSession, code: str, room_id: str, way: int) -> None:
    """Connect, join, do a little, and go: by leaving, by a clean close, by a drop."""
    websocket = await session.ws_connect("/socket.io/?EIO=4&transport=websocket")
    socket = Socket(websocket)
    await socket.open({})
    await entered(socket, code)
    await socket.emit("toggle-audio", {"roomId": room_id, "enabled": False})
    if way == 0:
        await socket.ask("leave-room", {"roomId": room_id})
    if way < 2:
        await socket.close()
        return
    response: Any = websocket._response  # cut without a close frame
    response.connection.transport.abort()
    await socket.end()


async def cycles(session: ClientSession, rooms: list[dict[str, Any]], number: int) -> None:
    """So many of them, several at a time."""
    left: Iterator[int] = iter(range(number))

    async def go_round() -> None:
        for turn in left:
            room = rooms[turn % len(rooms)]
            await cycle(session, room["code"], room["id"], turn % 3)

    await asyncio.gather(*(go_round() for _ in range(AT_A_TIME)))


def memory(process: psutil.Process) -> float:
    """Resident memory in megabytes."""
    return process.memory_info().rss / MEGABYTE


async def until_nobody_is_left(who: Visitor, rooms: list[dict[str, Any]]) -> None:
    """Return when every place is given up, held ones too, and every row is closed."""
    async with asyncio.timeout(60):
        for room in rooms:
            while (await who.call("GET", f"/api/rooms/code/{room['code']}/participants"))[1] or (
                await who.call("GET", f"/api/rooms/{room['id']}/participants")
            )[1]:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("engine", [False, True], ids=["by itself", "by the engine"])
async def test_memory_of_server_and_engine_stays_flat(
    folder: Path, database_url: str, long: bool, figures: Figures, engine: bool
) -> None:
    """RSS over the second half: the first one warms up pools, caches and the allocators. Half of the cycles with a
    server that runs its queries itself, half with one that has the engine run them.
    """
    number, samples = (10_000, 20) if long else (240, 6)
    environment = {"RECOVERY_GRACE_SECONDS": "0.5"} | (ALL_BY_THE_ENGINE if engine else {})
    async with (
        program(folder, free_port(), DATABASE_URL=database_url, **environment) as running,
        visitor(running.url) as who,
    ):
        await who.register()
        rooms = [await who.room() for _ in range(AT_A_TIME)]
        await cycles(who.session, rooms, 100)
        measured = [psutil.Process(running.pid), *running.engines()]
        assert len(measured) == 1 + engine
        sizes = list[tuple[float, ...]]()
        for _ in range(samples):
            await cycles(who.session, rooms, number // samples)
            sizes.append(tuple(memory(process) for process in measured))
        assert len(running.engines()) == engine
        await until_nobody_is_left(who, rooms)
        report(figures, number, sizes, long=long)
        await nothing_open(running)
        assert await running.stop() == 0
        assert "differed from presence" not in running.output
        assert "Traceback" not in running.output
    # The short form has hardly warmed up: it only finds what leaks by the hundred kilobytes a cycle.
    limits = {"server": 3 if long else 15, "engine": 10 if long else 40}
    for (name, limit), earlier, later in zip(limits.items(), *halves(sizes), strict=False):
        assert later - earlier < limit, f"the {name} grew by {later - earlier:.1f} MB"


def halves(sizes: list[tuple[float, ...]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Medians of the third and of the fourth quarter, server and engine: what the second half grew by."""
    second = sizes[len(sizes) // 2 :]
    cut = len(second) // 2
    parts = second[: max(1, cut)], second[cut:]
    return tuple(  # type: ignore[return-value]
        tuple(sorted(column)[len(column) // 2] for column in zip(*part, strict=True)) for part in parts
    )


def report(figures: Figures, number: int, sizes: list[tuple[float, ...]], *, long: bool) -> None:
    """The figures, a few points of the curve among them."""
    earlier, later = halves(sizes)
    figures.add("cycles of connect, join, leave or drop", number)
    for index, name in enumerate(("server", "engine")[: len(sizes[0])]):
        curve = [sizes[place * (len(sizes) - 1) // 4][index] for place in range(5)]
        figures.add(f"memory of the {name}, start to end", ", ".join(f"{size:.1f}" for size in curve), "MB")
        figures.add(f"growth of the {name} over the second half", later[index] - earlier[index], "MB")
    figures.add("open rows at the end", 0)


async def nothing_open(running: Program) -> None:
    """The server holds no connection but the ones to the engine, its database and the asking visitor."""
    connections = psutil.Process(running.pid).net_connections(kind="tcp")
    port = int(running.url.rsplit(":", 1)[1])
    assert sum(one.laddr.port == port and one.status == "ESTABLISHED" for one in connections) <= AT_A_TIME + 2


def timers() -> int:
    """Timers that have not fired and are not cancelled. uvloop lists them nowhere: the garbage collector knows them."""
    probe = asyncio.get_running_loop().call_later(0, int)
    probe.cancel()
    kind = type(probe)
    gc.collect()
    return sum(type(each) is kind and not each.cancelled() for each in gc.get_objects())


async def test_no_task_and_no_timer_is_left_over(database_url: str, figures: Figures) -> None:
    """In this process, where they can be counted."""
    settings = settings_for(recovery_grace_seconds=0.2)
    async with running(settings, database_url) as server, visiting(server.url) as who:
        await who.register()
        rooms = [await who.room() for _ in range(AT_A_TIME)]
        counts: list[tuple[int, int]] = []
        for number in itertools.chain([40], [60] * 3):
            await cycles(who.session, rooms, number)
            counts.append(await at_rest(server))
        found = await server.reconciliation.compare()
    assert (found.ghosts, found.missing) == (0, 0)
    tasks, pending = zip(*counts, strict=True)
    assert tasks[-1] <= tasks[0]
    assert pending[-1] <= pending[0] + 2  # the HTTP client's own keep-alive timers come and go
    figures.add("tasks after each sixty cycles", ", ".join(map(str, tasks)))
    figures.add("timers after each sixty cycles", ", ".join(map(str, pending)))


async def at_rest(server: Server) -> tuple[int, int]:
    """Tasks and timers once nobody is there and nothing is held or written."""
    sockets, attendance = server.sockets, server.signaling.attendance
    async with asyncio.timeout(30):
        while sockets.connection_count or sockets.recovery.held or attendance.unwritten:
            await asyncio.sleep(0.02)
        assert list(server.signaling.presence.rooms()) == []
        # Connections take a turn or two of the loop to be torn down.
        fewest = len(asyncio.all_tasks())
        for _ in range(20):
            await asyncio.sleep(0.02)
            fewest = min(fewest, len(asyncio.all_tasks()))
    return fewest, timers()
