"""`serve --workers`: several processes on one port, watched over."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from local_cluster.redis import Redis, redis
from tests.process.program import Program, gone, postmaster
from tests.process.visitor import visiting
from tests.wire.clients import DEADLINE, Client, Driver, driving

SECRET = "a-secret-of-these-tests-of-32-bytes-or-more"


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Redis]:
    async with redis(folder) as server:
        yield server


@asynccontextmanager
async def two_workers(folder: Path, server: Redis, **environment: str) -> AsyncIterator[Program]:
    given = {
        "NEURON_MEET_DATA_DIR": str(folder / "data"),
        "PORT": "0",
        "REDIS_URL": server.url,
        "JWT_SECRET": SECRET,
        **environment,
    }
    program = await Program.start(folder, "serve", "--workers", "2", **given)
    try:
        await program.listening()
        yield program
    finally:
        await program.clean_up()


def workers(program: Program) -> list[psutil.Process]:
    return sorted(
        (each for each in psutil.Process(program.pid).children() if "worker" in each.cmdline()),
        key=lambda each: each.pid,
    )


def clients_of(worker: psutil.Process, program: Program, driver: Driver) -> int:
    """Sockets that the driver's clients have at a worker; others' connections are not counted."""
    port = int(program.url.rpartition(":")[2])
    theirs = {each.laddr.port for each in psutil.Process(driver.pid).net_connections("tcp")}
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port and each.raddr.port in theirs
        for each in worker.net_connections("tcp")
    )


async def joined(driver: Driver, program: Program, code: str, name: str) -> Client:
    """Somebody in the room, who connects again by themselves."""
    again = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 500}
    client = await driver.connect(program.url, **again)
    assert (await client.ask("join-room", {"roomCode": code, "displayName": name}))["success"]
    return client


async def cut_off(people: list[Client], count: int) -> list[Client]:
    """Those whose connection is lost, once they are so many."""
    waiting = {asyncio.create_task(client.next("$disconnected")): client for client in people}
    lost: list[Client] = []
    while len(lost) < count:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            assert task.result() == "transport close"
            lost.append(waiting.pop(task))
    for task in waiting:
        task.cancel()
    return lost


async def test_one_port_a_worker_that_is_killed_and_the_end(folder: Path, server: Redis) -> None:
    async with two_workers(folder, server) as program, visiting(program.url) as ada, driving() as driver:
        await ada.register()
        room = await ada.room()
        crew = workers(program)
        assert len(crew) == 2
        # What a polling client gets whose request has come to another worker than its first.
        elsewhere = await ada.call("GET", "/socket.io/?EIO=4&transport=polling&sid=at-the-other")
        assert elsewhere == (400, {"code": 1, "message": "Session ID unknown"})
        people = list[Client]()
        while not all(clients_of(worker, program, driver) for worker in crew):
            people.append(await joined(driver, program, room["code"], f"P{len(people)}"))
            assert len(people) < 60, "one worker gets them all"
        for later in range(1, len(people)):
            assert (await people[0].next("user-joined"))["participant"]["displayName"] == f"P{later}"

        on_it = clients_of(crew[0], program, driver)
        crew[0].kill()
        back = await cut_off(people, on_it)
        await program.says("worker ended, another takes its place")
        for client in back:
            await client.back()
            assert (await client.ask("join-room", {"roomCode": room["code"], "displayName": "b"}))["success"]
        stayed = next((client for client in people if client not in back), back[-1])
        said = {"roomId": room["id"], "content": "hello"}
        assert (await stayed.ask("chat-message", said))["success"]
        for client in back:
            assert (await client.next("chat-message"))["content"] == "hello"
        async with asyncio.timeout(DEADLINE):
            while len(workers(program)) < 2:
                await asyncio.sleep(0.02)
        assert crew[0].pid not in {worker.pid for worker in workers(program)}

        started = [*program.descendants(), postmaster(folder)]
        assert await program.stop() == 0
        assert await gone(started, 0.1)
        assert "Traceback" not in program.output


async def test_nobody_is_left_when_the_one_that_watches_is_killed(folder: Path, server: Redis) -> None:
    async with two_workers(folder, server) as program:
        started = program.descendants()
        assert len(started) >= 2
        await program.kill()
        assert await gone(started, 30)
        postmaster(folder).terminate()  # as before: the next start would take it over


async def test_a_second_signal_waits_for_nothing(folder: Path, server: Redis) -> None:
    async with two_workers(folder, server, DRAIN_SECONDS="600") as program, driving() as driver:
        people = [await driver.connect(program.url) for _ in range(4)]
        started = program.descendants()
        program.signal(signal.SIGTERM)
        for client in people:
            await client.next("server-draining")
        program.signal(signal.SIGINT)
        assert await program.ended() == 0, program.output
        assert await gone(started, 0.1)


async def test_a_worker_that_cannot_begin_ends_all(folder: Path) -> None:
    """Redis is not there: one sentence from each, exit code 1, nothing left."""
    given = {"NEURON_MEET_DATA_DIR": str(folder / "data"), "PORT": "0", "REDIS_URL": "redis://127.0.0.1:1"}
    given["JWT_SECRET"] = SECRET
    program = await Program.start(folder, "serve", "--workers", "2", **given)
    try:
        assert await program.ended(60) == 1
        assert "Redis cannot be reached" in program.output
        assert "Traceback" not in program.output
    finally:
        await program.clean_up()


async def test_workers_need_redis(folder: Path) -> None:
    program = await Program.start(folder, "serve", "--workers", "2")
    try:
        assert await program.ended(30) == 2
        assert program.output.startswith("neuron-meet: --workers needs REDIS_URL")
        assert len(program.output.splitlines()) == 1
    finally:
        await program.clean_up()
