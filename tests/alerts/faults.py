"""Faults, each done for real and undone at the end of its block, with the alerts that must come of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import psutil
from aiohttp import ClientSession

from tests.alerts.stage import AWAY, Stage, meanwhile
from tests.chaos.meeting import enter, entered
from tests.chaos.test_slow_reader import Sleeper

LOST = 160
"""More than 20 and four of five that are held."""
SLEEPERS = 4
SDP = "v=0\r\n" + "a" * 60_000
HOGS = 4
NICE = 10


@dataclass(frozen=True)
class Fault:
    """`fires` must, `may` can, and nothing else does."""

    name: str
    inject: Callable[[Stage], AbstractAsyncContextManager[None]]
    fires: frozenset[str]
    may: frozenset[str] = frozenset()


@asynccontextmanager
async def database_away(stage: Stage) -> AsyncIterator[None]:
    """PostgreSQL is stopped while people are in a room, who then leave."""
    room = await stage.who.room()
    guests = [await stage.who.socket(guest=True) for _ in range(3)]
    for guest in guests:
        await entered(guest, room["code"])
    await stage.postgres.stop()
    for guest in guests:
        await guest.close()
    yield
    await stage.postgres.start()


@asynccontextmanager
async def database_held_up(stage: Stage) -> AsyncIterator[None]:
    """Another session locks the participants for 10 s, again and again: joins wait, and fill the pool."""
    room = await stage.who.room()

    async def hold() -> None:
        connection = await stage.postgres.connect()
        try:
            while True:
                async with connection.transaction():
                    await connection.execute('LOCK TABLE "Participant"')
                    await asyncio.sleep(10)
                await asyncio.sleep(1)
        finally:
            await connection.close()

    async def join() -> None:
        while True:
            with suppress(*AWAY):
                socket = await stage.who.socket(guest=True)
                await enter(socket, room["code"])
                await socket.close()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(meanwhile(hold()))
        for _ in range(12):
            await stack.enter_async_context(meanwhile(join()))
        yield


@asynccontextmanager
async def chat_not_stored(stage: Stage) -> AsyncIterator[None]:
    """PostgreSQL takes no new message."""
    await stage.postgres.query('ALTER TABLE "Message" ADD CONSTRAINT full_up CHECK (false) NOT VALID')
    yield
    await stage.postgres.query('ALTER TABLE "Message" DROP CONSTRAINT full_up')


@asynccontextmanager
async def engine_killed(stage: Stage) -> AsyncIterator[None]:
    """kill -9 of the query engine, whenever there is one; the other node has so few connections that it needs one."""

    async def kill() -> None:
        async with ClientSession(stage.other.url) as session:
            while True:
                served = False
                with suppress(*AWAY):
                    async with session.get("/api/rooms/code/abc-defg-hij") as response:
                        served = response.status == 404
                # Not while it starts: that is another fault, and no restart.
                for engine in stage.other.engines() if served else ():
                    with suppress(psutil.Error):
                        engine.kill()
                await asyncio.sleep(0.1)

    async with meanwhile(kill()):
        yield


@asynccontextmanager
async def no_time_on_the_core(stage: Stage) -> AsyncIterator[None]:
    """Others take the core that the server is on, and it has the least right to it."""
    process = psutil.Process(stage.node.pid)
    before, core = process.cpu_affinity() or [], (process.cpu_affinity() or [0])[0]
    hogs = list[subprocess.Popen[bytes]]()
    niceness = process.nice()
    process.cpu_affinity([core])
    process.nice(NICE)
    try:
        for _ in range(HOGS):
            hogs.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            psutil.Process(hogs[-1].pid).cpu_affinity([core])
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        process.cpu_affinity(before)
        with suppress(psutil.AccessDenied):  # who is not root cannot take it back
            process.nice(niceness)


@asynccontextmanager
async def clients_that_read_nothing(stage: Stage) -> AsyncIterator[None]:
    """Others send them descriptions all the while."""
    room = await stage.who.room()
    host = await stage.who.socket(guest=True)
    await entered(host, room["code"])
    sleepers = [Sleeper(stage.node.url) for _ in range(SLEEPERS)]
    for sleeper in sleepers:
        await sleeper.join(room["code"])

    async def send() -> None:
        while True:
            for sleeper in sleepers:  # those that are gone give a refusal
                await host.ask("offer", {"targetId": sleeper.sid, "sdp": {"type": "offer", "sdp": SDP}})

    async with meanwhile(send()):
        yield
    for sleeper in sleepers:
        sleeper.close()
    await host.close()


@asynccontextmanager
async def clients_that_do_not_come_back(stage: Stage) -> AsyncIterator[None]:
    """Many connections end without a word."""
    room = await stage.who.room()
    sockets = [await stage.who.socket(guest=True) for _ in range(LOST)]
    for socket in sockets[:40]:  # a room holds fifty
        await entered(socket, room["code"])
    for socket in sockets:
        socket.cut()
    yield


@asynccontextmanager
async def too_fast(stage: Stage) -> AsyncIterator[None]:
    """Clients say more than anybody can."""
    room = await stage.who.room()

    async def shout() -> None:
        while True:
            with suppress(*AWAY):
                socket = await stage.who.socket(guest=True)
                await entered(socket, room["code"])
                for _ in range(100):
                    await socket.emit("chat-message", {"roomId": room["id"], "content": "!"})
                await socket.ask("no-such-event", {})
                await socket.close()

    async with meanwhile(shout()):
        yield


@asynccontextmanager
async def hand_in_the_database(stage: Stage) -> AsyncIterator[None]:
    """Somebody's row is closed while they are in the room."""
    room = await stage.who.room()
    guest = await stage.who.socket(guest=True)
    await entered(guest, room["code"])
    await stage.postgres.query('UPDATE "Participant" SET "isActive" = false WHERE "roomId" = $1', room["id"])
    yield
    await guest.close()


@asynccontextmanager
async def redis_slow(stage: Stage) -> AsyncIterator[None]:
    """The way to Redis takes 0.2 s longer, in each direction."""
    stage.way.delay = 0.2
    yield
    stage.way.delay = 0.0


@asynccontextmanager
async def redis_away(stage: Stage) -> AsyncIterator[None]:
    """The way to Redis is cut."""
    stage.way.accepting = False
    stage.way.cut()
    yield
    stage.way.accepting = True


@asynccontextmanager
async def node_killed(stage: Stage) -> AsyncIterator[None]:
    """kill -9 of the other node."""
    os.kill(stage.other.pid, 9)
    yield


def fault(inject: Callable[[Stage], AbstractAsyncContextManager[None]], fires: str, may: str = "") -> Fault:
    """A fault with the alerts' names, without what all begin with."""
    named = [frozenset(f"NeuronMeet{name}" for name in names.split()) for names in (fires, may)]
    return Fault(inject.__name__.replace("_", " "), inject, *named)


FAULTS = (
    fault(
        database_away,
        "JoinsFail DatabaseErrors RowsNotClosed",
        "ChatFails DatabaseBusy JoinsSlow EngineRestarts",
    ),
    fault(database_held_up, "DatabaseBusy JoinsSlow", "RowsNotClosed"),
    fault(chat_not_stored, "ChatFails"),
    fault(engine_killed, "EngineRestarts"),
    fault(no_time_on_the_core, "EventLoopSlow", "JoinsSlow"),
    fault(clients_that_read_nothing, "SlowClients"),
    fault(clients_that_do_not_come_back, "PlacesLost"),
    fault(too_fast, "TooFast"),
    fault(hand_in_the_database, "RowsDiffer"),
    fault(redis_slow, "RedisSlow", "JoinsSlow"),
    fault(redis_away, "RedisAway", "JoinsFail RedisSlow ChatFails"),
    fault(node_killed, "Down"),
)
