"""A disk that is full and then is not, under the log and the audit: nobody notices but the counters.

The system's limit on the size of a file does it: what is over it is refused in the middle of a line, as by a full disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from tests.ops.scrape import scrape
from tests.process.program import LISTENING
from tests.process.visitor import visiting
from tests.store.password_server import free_port

DEADLINE = 30.0


@asynccontextmanager
async def served(
    folder: Path, database_url: str, log: Path, audit: Path
) -> AsyncIterator[tuple[psutil.Popen, str]]:
    """The program with its log in a file, and its admin URL."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "PORT": "0",
        "ADMIN_PORT": str(port),
        "DRAIN_SECONDS": "0",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
        "AUDIT_LOG": str(audit),
    }
    command = (sys.executable, "-m", "neuron_meet", "serve")
    with log.open("ab") as file:
        process = psutil.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=file)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        await asyncio.to_thread(process.wait)


async def listening(log: Path) -> str:
    """The URL, once the log has it."""
    async with asyncio.timeout(DEADLINE):
        while not (found := LISTENING.search(log.read_text())):
            await asyncio.sleep(0.05)
    return found[1]


async def test_lines_are_lost_and_the_next_ones_are_whole(database_url: str, tmp_path: Path) -> None:
    log, audit = tmp_path / "log", tmp_path / "audit"
    async with served(tmp_path, database_url, log, audit) as (process, admin):
        async with visiting(await listening(log)) as ada:
            await ada.register()
            full = log.stat().st_size + 100
            audit.write_bytes(audit.read_bytes().rstrip().ljust(full - 100) + b"\n")  # as full as the log
            process.rlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
            async with asyncio.timeout(DEADLINE):
                while True:
                    room = await ada.room()  # a line in the audit
                    socket = await ada.socket()  # a line in the log
                    joined = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Ada"})
                    assert joined["success"], joined
                    seen = await scrape(admin)
                    lost = [seen.value("log_lines_lost_total", sink=sink) for sink in ("log", "audit")]
                    if all(lost) and log.stat().st_size == full:
                        break
            process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert not log.read_bytes().endswith(b"\n"), "the disk was full in the middle of a line"
            whole = len(log.read_text().splitlines())
            last = await ada.room()
            sid = (await ada.socket()).sid
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, DEADLINE) == 0
    later = log.read_text().splitlines()[whole:]
    of_last = [entry["event"] for entry in map(json.loads, later) if entry.get("sid") == sid]
    assert of_last == ["socket connected", "socket disconnected"]
    records = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [record["room"] for record in records if record["action"] == "create-room"][-1] == last["code"]
