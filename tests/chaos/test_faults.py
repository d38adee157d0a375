"""Dependencies that fail: clear error acks in time, relays go on, readiness names the part, all is well again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from tests.chaos.figures import Figures, percentile
from tests.chaos.meeting import enter, entered, program, ready, visitor, works
from tests.chaos.postgres import Postgres
from tests.process.program import ALL_BY_THE_ENGINE, Program, gone
from tests.process.visitor import Socket, Visitor
from tests.recovery.proxy import Proxy, proxied
from tests.store.password_server import PASSWORD, free_port

IN_TIME = 10.0
"""Error acks come within so long (issue 2, Bad input)."""
HEALTHY = 30.0
UNAVAILABLE = {"success": False, "error": "Service temporarily unavailable"}
NOT_SENT = {"success": False, "error": "Failed to send message"}


@dataclass
class Surroundings:
    """What a fault can be made to."""

    running: Program
    database: Postgres
    proxy: Proxy

    @property
    def engine(self) -> psutil.Process:
        [engine] = self.running.engines()
        return engine


@asynccontextmanager
async def engine_killed_again_and_again(around: Surroundings) -> AsyncIterator[None]:
    async def kill() -> None:
        while True:
            for engine in around.running.engines():
                with suppress(psutil.NoSuchProcess):
                    engine.kill()
            await asyncio.sleep(0.1)

    killing = asyncio.create_task(kill())
    try:
        yield
    finally:
        killing.cancel()


@asynccontextmanager
async def engine_stopped(around: Surroundings) -> AsyncIterator[None]:
    """SIGSTOP: it lives and does not answer. Whoever finds that out ends it and starts another."""
    engine = around.engine
    engine.suspend()
    yield
    assert await gone([engine], 20), "the engine that hangs was not replaced"


@asynccontextmanager
async def database_stopped(around: Surroundings) -> AsyncIterator[None]:
    await around.database.stop()
    yield
    await around.database.start()


@asynccontextmanager
async def database_restarted(around: Surroundings) -> AsyncIterator[None]:
    await around.database.stop()
    await around.database.start()
    yield


@asynccontextmanager
async def database_slow(around: Surroundings) -> AsyncIterator[None]:
    """Two seconds more for each exchange."""
    around.proxy.delay = 1.0
    yield
    around.proxy.delay = 0.0


@asynccontextmanager
async def out_of_connections(around: Surroundings) -> AsyncIterator[None]:
    """Others have taken every connection, and the server has lost its own."""
    role = {"host": "127.0.0.1", "user": "meet", "password": PASSWORD}
    connections: list[Any] = []

    async def take_all() -> None:
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                connections.append(await around.database.connect(**role))

    await take_all()
    mine = [connection.get_server_pid() for connection in connections]
    await around.database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'meet' AND NOT pid = ANY($1)",
        mine,
    )
    await take_all()
    yield
    for connection in connections:
        await connection.close()


@asynccontextmanager
async def database_read_only(around: Surroundings) -> AsyncIterator[None]:
    """As a standby is after a failover."""
    alter = "ALTER DATABASE {} SET default_transaction_read_only = {}"
    await around.database.query(alter.format(around.database.database, "on"))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'meet'"
    await around.database.query(cut)
    yield
    connection = await around.database.connect(database="postgres")
    await connection.execute(alter.format(around.database.database, "off"))
    await connection.execute(cut)
    await connection.close()


Fault = Callable[[Surroundings], Any]
FAULTS: list[Fault] = [
    engine_killed_again_and_again,
    engine_stopped,
    database_stopped,
    database_restarted,
    database_slow,
    out_of_connections,
    database_read_only,
]


@asynccontextmanager
async def relaying(one: Socket, other: Socket) -> AsyncIterator[list[float]]:
    """An offer after the other between two members for as long as the block lasts; how long each took."""
    times = list[float]()
    relay = asyncio.create_task(relay_on(one, other, times))
    try:
        yield times
        assert not relay.done(), "the relay was interrupted"
    finally:
        relay.cancel()
        await asyncio.wait([relay])
        if not relay.cancelled():
            relay.exception()  # it is the block's failure that is told, or the assertion's


async def relay_on(one: Socket, other: Socket, times: list[float]) -> None:
    """Send offers, one when the last has arrived."""
    while True:
        started = time.perf_counter()
        await one.emit("offer", {"targetId": other.sid, "sdp": {"type": "offer", "sdp": "v=0"}})
        await other.next("offer")
        times.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)


async def answered(
    newcomer: Socket, member: Socket, room: dict[str, Any], turns: int
) -> tuple[list[float], set[str]]:
    """Joins and messages during the fault: how long each answer took, and what the refusals said."""
    times, texts = list[float](), set[str]()

    async def ask(socket: Socket, event: str, payload: dict[str, Any], allowed: dict[str, Any]) -> None:
        started = time.perf_counter()
        async with asyncio.timeout(IN_TIME):
            answer = await socket.ask(event, payload)
        times.append(time.perf_counter() - started)
        if answer["success"] is not True:
            assert answer == allowed
            texts.add(answer["error"])

    for turn in range(turns):
        await asyncio.gather(
            ask(newcomer, "join-room", {"roomCode": room["code"], "displayName": "Guest"}, UNAVAILABLE),
            ask(member, "chat-message", {"roomId": room["id"], "content": f"turn {turn}"}, NOT_SENT),
        )
    return times, texts


OF_THE_ENGINE: list[Fault] = [engine_killed_again_and_again, engine_stopped]
"""These are made to a server whose engine runs every query; else serving needs none, and none is there."""


def refuses(fault: Fault) -> bool:
    """Whether nothing can be stored for as long as the fault lasts."""
    return fault in (database_stopped, out_of_connections, database_read_only)


async def named_by_readiness(fault: Fault, who: Visitor) -> None:
    """/api/ready says which part is away; /api/health that the process lives."""
    if refuses(fault):
        _, body = await ready(who, 10, expected=503)
        assert body["checks"] == {"database": "down"}
        assert "database is down" in body["message"]
    status, _ = await who.call("GET", "/api/health")
    assert status == 200


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_dependency_fails(
    folder: Path, database: Postgres, long: bool, figures: Figures, fault: Fault
) -> None:
    environment = {"RECOVERY_GRACE_SECONDS": "0"} | (ALL_BY_THE_ENGINE if fault in OF_THE_ENGINE else {})
    async with (
        proxied(database.url()) as (proxy, url),
        program(folder, free_port(), DATABASE_URL=url, **environment) as running,
        visitor(running.url) as who,
    ):
        around = Surroundings(running, database, proxy)
        await who.register()
        room = await who.room()
        host, member, newcomer = [await who.socket(guest=number > 0) for number in range(3)]
        await entered(host, room["code"], "Host")
        await entered(member, room["code"], "Member")
        async with relaying(host, member) as relays:
            async with fault(around):
                times, texts = await answered(newcomer, member, room, 6 if long else 2)
                await named_by_readiness(fault, who)
            if refuses(fault):
                assert texts == {UNAVAILABLE["error"], NOT_SENT["error"]}
            healthy = await works(newcomer, room, HEALTHY)
            healthy += (await ready(who, HEALTHY, expected=200))[0]
        await nothing_is_left_over(around, who, room, int(fault in OF_THE_ENGINE))
        assert await running.stop() == 0
        assert "Traceback" not in running.output
    assert percentile(relays, 0.99) < 1
    figures.add("refusals", ", ".join(sorted(texts)) or "none: answered, only later")
    figures.spread("answers to joins and messages during the fault", times)
    figures.spread("relays meanwhile", relays)
    figures.add("healthy again after", healthy, "s")


async def nothing_is_left_over(
    around: Surroundings, who: Visitor, room: dict[str, Any], engines: int
) -> None:
    """Open rows are the three who are in the room, no engine too many runs, no storm of connections is left."""
    async with asyncio.timeout(HEALTHY):
        while True:
            rows = await around.database.query('SELECT "guestName" FROM "Participant" WHERE "isActive"')
            _, people = await who.call("GET", f"/api/rooms/code/{room['code']}/participants")
            if sorted(row["guestName"] or "Host" for row in rows) == ["Guest", "Host", "Member"]:
                break
            await asyncio.sleep(0.1)
    assert sorted(person["displayName"] for person in people) == ["Guest", "Host", "Member"]
    await who.room()
    assert len(around.running.engines()) == engines
    backends = await around.database.query(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE usename = 'meet' AND datname = current_database()"
    )
    assert backends[0]["n"] <= 11  # the pool's ten, and the lease
    assert around.proxy.links <= 11


async def test_joining_while_full_of_refusals(folder: Path, database: Postgres) -> None:
    """Refused for a while and asked again all the time: no place is lost by it."""
    async with (
        program(folder, free_port(), DATABASE_URL=database.url(), RECOVERY_GRACE_SECONDS="0") as running,
        visitor(running.url) as who,
    ):
        await who.register()
        room = await who.room()
        await who.call("PATCH", f"/api/rooms/{room['id']}/settings", {"maxParticipants": 3})
        guests = [await who.socket(guest=True) for _ in range(6)]
        await database.stop()
        for _ in range(2):
            answers = await asyncio.gather(*(enter(guest, room["code"]) for guest in guests))
            assert answers == [UNAVAILABLE] * 6
        await database.start()
        await ready(who, HEALTHY, expected=200)
        answers = await asyncio.gather(*(enter(guest, room["code"]) for guest in guests))
        assert sorted(answer["success"] for answer in answers) == [False] * 3 + [True] * 3
        assert {answer["error"] for answer in answers if not answer["success"]} == {"Room is full"}
        assert await running.stop() == 0
        rows = await database.query('SELECT id FROM "Participant" WHERE "isActive"')
        assert rows == []
