"""The program from its start to its stop: a fresh folder, a restart, nothing left behind."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.process.program import Program, gone, postmaster, refused, serving, slowness
from tests.process.visitor import visiting


def is_free(url: str) -> bool:
    """Whether the port of `url` can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((urlsplit(url).hostname, urlsplit(url).port))
        except OSError:
            return False
    return True


async def test_from_an_empty_folder_to_a_restart(folder: Path) -> None:
    async with serving(folder) as program, visiting(program.url) as ada:
        assert urlsplit(program.url).hostname == "127.0.0.1"
        status, health = await ada.call("GET", "/api/health")
        assert (status, health["status"]) == (200, "ok")
        status, ready = await ada.call("GET", "/api/ready")
        assert (status, ready["checks"]) == (200, {"database": "up"})
        await ada.register()
        room = await ada.room()
        host = await ada.socket()
        joined = await host.ask("join-room", {"roomCode": room["code"], "displayName": "Ada"})
        assert joined["success"]
        assert (await host.ask("chat-message", {"roomId": room["id"], "content": "to be kept"}))["success"]
        assert not program.maps("hiredis"), "without REDIS_URL there is no client of Redis in the process"
        assert not program.engines(), "serving needs no Node.js"
        started = [*program.descendants(), postmaster(folder)]

        assert not is_free(program.url)
        assert await program.stop() == 0
        await host.end()
        assert await gone(started, 0.1)  # all ended before the program did
        assert is_free(program.url)
        assert "Traceback" not in program.output

    async with serving(folder) as program, visiting(program.url) as again:
        again.email = ada.email
        await again.log_in()
        assert again.id == ada.id
        status, found = await again.call("GET", f"/api/rooms/{room['id']}")
        assert (status, found["code"]) == (200, room["code"])
        status, messages = await again.call("GET", f"/api/rooms/{room['id']}/messages")
        assert [message["content"] for message in messages] == ["to be kept"]
        status, people = await again.call("GET", f"/api/rooms/{room['id']}/participants")
        assert (status, people) == (200, [])
        assert not re.search(r"closed participant rows", program.output)  # the stop itself had closed them
        assert await program.stop() == 0


async def test_a_second_start_is_healthy_within_five_seconds(used_folder: Path) -> None:
    """Issue 2, Set-up. Where more processes want to run than there are cores, each gets its share of them later."""
    loop, seconds = asyncio.get_running_loop(), list[float]()
    for _ in range(3):
        before = loop.time()
        async with serving(used_folder) as program, visiting(program.url) as visitor:
            assert (await visitor.call("GET", "/api/health"))[0] == 200
            seconds.append((loop.time() - before) / slowness())
            assert await program.stop() == 0
        if seconds[-1] < 5:
            break
    assert min(seconds) < 5


async def test_ctrl_c_ends_it_as_well(used_folder: Path) -> None:
    async with serving(used_folder) as program, visiting(program.url) as ada:
        guest = await ada.socket(guest=True)
        started = [*program.descendants(), postmaster(used_folder)]
        program.signal(signal.SIGINT)
        assert await program.ended() == 0
        await guest.end()
        assert await gone(started, 0.1)
        assert "Traceback" not in program.output


async def test_a_stop_while_it_starts(folder: Path) -> None:
    program = await Program.start(folder, NEURON_MEET_DATA_DIR=str(folder / "data"), PORT="0")
    try:
        await program.says("Starting the embedded PostgreSQL")
        assert await program.stop() == 0
        assert "Traceback" not in program.output
    finally:
        await program.clean_up()
    async with serving(folder) as program:
        assert await program.stop() == 0


async def test_a_port_that_is_taken(used_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = await refused(used_folder, seconds=30, PORT=str(port))
        assert code == 1
        last = output.splitlines()[-1]
        assert f"Port {port}" in last
        assert "PORT" in last
        assert "Traceback" not in output
    async with serving(used_folder, PORT=str(port)) as program:  # nothing of the refused start holds the data
        assert await program.stop() == 0


async def test_a_data_folder_in_use(used_folder: Path) -> None:
    async with serving(used_folder) as program, visiting(program.url) as ada:
        code, output = await refused(used_folder)
        assert code == 1
        assert f"in use by another server (process {program.pid})" in output
        assert "Traceback" not in output
        await ada.register()  # and the one that has it goes on
        assert await program.stop() == 0


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"NODE_ENV": "production"}, "JWT_SECRET"),
        ({"NODE_ENV": "production", "JWT_SECRET": "changeme"}, "JWT_SECRET"),
        ({"NODE_ENV": "production", "JWT_SECRET": "too-short-a-secret"}, "JWT_SECRET"),
        ({"JWT_EXPIRES_IN": "never"}, "JWT_EXPIRES_IN"),
        ({"PORT": "http"}, "PORT"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"DATABASE_URL": "mysql://ada:hunter2@localhost/x"}, "DATABASE_URL"),
    ],
)
async def test_settings_that_cannot_be_used(folder: Path, environment: dict[str, str], named: str) -> None:
    code, output = await refused(folder, **environment)
    assert code == 2
    assert named in output
    assert len(output.splitlines()) == 1
    assert "Traceback" not in output
    for secret in ("hunter2", "too-short-a-secret"):
        assert secret not in output
    assert not (folder / "data").exists()
