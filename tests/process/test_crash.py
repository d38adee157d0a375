"""kill -9, on the server, its engine, its PostgreSQL: what is left, and what the next start finds."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from neuron_meet.store.embedded import EmbeddedPostgres
from tests.process.program import ALL_BY_THE_ENGINE, START_SECONDS, Program, gone, postmaster, serving
from tests.process.visitor import Visitor, visiting


async def rows(folder: Path) -> list[asyncpg.Record]:
    """The Participant rows in the running server's database, by the time of joining."""
    url = await EmbeddedPostgres.running(folder / "data")
    assert url is not None
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch('SELECT * FROM "Participant" ORDER BY "joinedAt"')
    finally:
        await connection.close()


async def meeting(ada: Visitor) -> dict[str, str]:
    """A room with its host and a guest in it, who have said something each."""
    await ada.register()
    room = await ada.room()
    for guest in (False, True):
        socket = await ada.socket(guest=guest)
        joined = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Somebody"})
        assert joined["success"], joined
        sent = await socket.ask("chat-message", {"roomId": room["id"], "content": f"guest: {guest}"})
        assert sent["success"], sent
    return room


async def test_a_killed_server_leaves_no_engine_and_no_row_open(used_folder: Path) -> None:
    async with serving(used_folder, **ALL_BY_THE_ENGINE) as program, visiting(program.url) as ada:
        room = await meeting(ada)
        children, database = program.descendants(), postmaster(used_folder)
        assert program.engines()
        await program.kill()
        assert await gone(children, 10)
        died = database.is_running()

    async with serving(used_folder) as program, visiting(program.url) as again:
        again.email = ada.email
        await again.log_in()
        # PostgreSQL either ended with its server or serves the next one; there is one in any case.
        assert postmaster(used_folder).is_running()
        assert (postmaster(used_folder) == database) is died
        await program.says(r"closed participant rows.*rows=2")
        kept = await rows(used_folder)
        assert len(kept) == 2
        assert not any(row["isActive"] for row in kept)
        assert all(row["leftAt"] >= row["joinedAt"] for row in kept)
        assert await again.call("GET", f"/api/rooms/{room['id']}/participants") == (200, [])
        _, messages = await again.call("GET", f"/api/rooms/{room['id']}/messages")
        assert [message["content"] for message in messages] == ["guest: False", "guest: True"]
        # The host comes back: one open row, beside the two of before.
        host = await again.socket()
        joined = await host.ask("join-room", {"roomCode": room["code"], "displayName": "Ada"})
        assert (joined["success"], joined["isHost"], joined["participants"]) == (True, True, [])
        assert [row["isActive"] for row in await rows(used_folder)] == [False, False, True]
        assert await program.stop() == 0


async def test_server_and_postgresql_killed_together(used_folder: Path) -> None:
    async with serving(used_folder) as program, visiting(program.url) as ada:
        room = await meeting(ada)
        database = postmaster(used_folder)
        left = [*program.descendants(), database, *database.children(recursive=True)]
        database.kill()
        await program.kill()
        assert await gone(left, 10)

    async with serving(used_folder) as program, visiting(program.url) as again:
        again.email = ada.email
        await again.log_in()
        _, messages = await again.call("GET", f"/api/rooms/{room['id']}/messages")
        assert [message["content"] for message in messages] == ["guest: False", "guest: True"]
        assert not any(row["isActive"] for row in await rows(used_folder))
        assert await program.stop() == 0


async def test_the_numbers_of_dead_processes_may_be_others_now(used_folder: Path) -> None:
    """As in a container that was stopped hard: the data is on a volume, and small numbers are given out again."""
    async with serving(used_folder) as program:
        database = postmaster(used_folder)
        left = [*program.descendants(), database, *database.children(recursive=True)]
        database.kill()
        await program.kill()
        assert await gone(left, 10)
    another = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        data = used_folder / "data/postgres"
        lock_files = [data / "postmaster.pid", *data.glob(".s.PGSQL.*.lock")]
        assert len(lock_files) == 2
        for lock_file in lock_files:
            text = lock_file.read_text()
            assert text.startswith(f"{database.pid}\n")
            lock_file.write_text(text.replace(str(database.pid), str(another.pid), 1))
        async with serving(used_folder) as program, visiting(program.url) as ada:
            await meeting(ada)
            assert await program.stop() == 0
    finally:
        another.kill()
        await another.wait()


@pytest.mark.parametrize("moment", ["Starting the embedded PostgreSQL", "Applying", "listening"])
async def test_killed_while_it_starts(folder: Path, moment: str) -> None:
    program = await Program.start(folder, NEURON_MEET_DATA_DIR=str(folder / "data"), PORT="0")
    try:
        await program.says(moment)
        children = program.descendants()
        await program.kill()
        assert await gone([child for child in children if "postgres" not in child.name()], 10)
    finally:
        await program.clean_up()
    async with serving(folder) as program, visiting(program.url) as ada:
        await meeting(ada)
        assert await program.stop() == 0
        assert "Traceback" not in program.output


async def test_a_killed_engine_is_replaced_under_a_meeting(used_folder: Path) -> None:
    async with serving(used_folder, **ALL_BY_THE_ENGINE) as program, visiting(program.url) as ada:
        room = await meeting(ada)
        (engine,) = program.engines()
        guest = await ada.socket(guest=True)
        joining = {"roomCode": room["code"], "displayName": "Late"}
        for _ in range(3):
            os.kill(engine.pid, signal.SIGKILL)
            # Whoever asks in that moment is answered, with the room or with a clear refusal, never with nothing.
            async with asyncio.timeout(START_SECONDS):
                while not (answer := await guest.ask("join-room", joining))["success"]:
                    assert answer == {"success": False, "error": "Service temporarily unavailable"}
            assert await gone([engine], 10)
            # A start has 8 s, and is tried again.
            async with asyncio.timeout(START_SECONDS):
                while len(engines := program.engines()) != 1:
                    await asyncio.sleep(0.02)
            (engine,) = engines
        sent = await guest.ask("chat-message", {"roomId": room["id"], "content": "still here"})
        assert sent["success"]
        # Joining again closed the rows of before, those whose answer was lost among them.
        async with asyncio.timeout(START_SECONDS):
            while sum(row["isActive"] for row in await rows(used_folder)) != 3:
                await asyncio.sleep(0.02)
        assert await program.stop() == 0
        assert await gone([engine], 0.1)
