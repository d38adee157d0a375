"""The walk of docs/operations.md, run as it stands there, with a meeting in it (`make walk`; half a minute).

The document's commands do everything an operator does. Here are PostgreSQL's place, the two releases, and the people:
official JavaScript clients, over wss through nginx, who must not notice more than a reconnection.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from neuron_meet import __version__
from tests.chaos.conftest import folder
from tests.ops.collector import Collector, collecting
from tests.postgres import SharedPostgres
from tests.store.password_server import PasswordServer, free_port
from tests.turn.stun import TurnClient
from tests.walk.document import CHECKOUT, PORTS, steps, with_ports
from tests.walk.shell import Shell, shell
from tests.wire.clients import Client, Driver

__all__ = ["folder"]

NEXT = "0.1.1"
FOREIGN = ("PYTHON", "DATABASE_URL", "DIRECT_URL", "NEURON_MEET", "VIRTUAL_ENV")
PASSWORD = "the-superuser"


class Guest:
    """One who is in the meeting, comes back by themselves, and joins anew where the server does not know them."""

    def __init__(self, client: Client, room: dict[str, Any], name: str) -> None:
        self.client, self.room, self.name = client, room, name
        self.recovered = 0
        self.anew = 0

    async def join(self) -> dict[str, Any]:
        return await self.client.ask("join-room", {"roomCode": self.room["code"], "displayName": self.name})

    async def stay(self) -> None:
        """Follow every reconnection, for ever."""
        while True:
            try:
                opening = await self.client.next("$connected")
            except AssertionError:  # not in the last seconds
                continue
            self.client.opening = opening
            if opening["recovered"]:
                self.recovered += 1
                continue
            self.anew += 1
            while not (await self.join())["success"]:
                await asyncio.sleep(0.1)

    async def say(self, content: str) -> dict[str, Any]:
        return await self.client.ask("chat-message", {"roomId": self.room["id"], "content": content})


@asynccontextmanager
async def staying(*guests: Guest) -> AsyncIterator[None]:
    """Everybody follows their reconnections as long as the block."""
    tasks = [asyncio.create_task(guest.stay()) for guest in guests]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled(), task.exception()


def releases(into: Path) -> None:
    """The wheel of this checkout, and one that differs in nothing but its version, in `into`."""
    subprocess.run(
        [sys.executable, "-m", "setup.wheel", into], cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL
    )
    (source,) = into.glob("*.tar.gz")
    unpacked = into / "next"
    unpacked.mkdir()
    subprocess.run(
        ["tar", "xzf", source, "--strip-components=1"], cwd=unpacked, check=True, stdout=subprocess.DEVNULL
    )
    for name in ("pyproject.toml", "neuron_meet/__init__.py"):
        file = unpacked / name
        text = file.read_text()
        assert f'version = "{__version__}"' in text.replace("__version__", "version")
        file.write_text(text.replace(f'"{__version__}"', f'"{NEXT}"', 1))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(build, cwd=unpacked, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout as far as the walk needs one: both releases in dist/, nginx's configuration."""
    releases(tmp_path / "dist")
    shutil.copytree(CHECKOUT / "deploy", tmp_path / "deploy")
    return tmp_path


@pytest.fixture
async def postgres(folder: Path, shared_postgres: SharedPostgres) -> AsyncIterator[PasswordServer]:
    """An empty PostgreSQL over TCP."""
    server = PasswordServer(folder, shared_postgres.blank())
    await server.start()
    await server.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
    try:
        yield server
    finally:
        await server.stop()


def environment(checkout: Path, postgres: PasswordServer) -> dict[str, str]:
    """What the document says is given, and the same versions of packages as the tests have."""
    pinned = re.findall(r"^(\S+==.+?) \\$", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    constraints = checkout / "constraints.txt"
    constraints.write_text("\n".join(pinned))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    python = Path(sys.executable).resolve().parent
    return kept | {
        "PATH": f"{python}:{postgres.programs}:{os.environ['PATH']}:/usr/sbin",
        "PIP_CONSTRAINT": str(constraints),
        "CHECKOUT": str(checkout),
        "ADMIN_URL": postgres.url("postgres", PASSWORD),
    }


class Walk:
    """The document's steps, one after the other; each is run once, and none may be left out."""

    def __init__(self, operator: Shell, ports: dict[int, int]) -> None:
        self._operator, self.ports = operator, ports
        self._steps = list(steps().items())

    async def step(self, heading: str) -> str:
        """Run the next step, which must be this one; what its commands say."""
        name, commands = self._steps.pop(0)
        assert name == heading
        commands = commands.replace("0.1.1", NEXT).replace("0.1.0", __version__)
        return await self._operator.run(with_ports(commands, self.ports))

    @property
    def left(self) -> list[str]:
        return [name for name, _ in self._steps]


async def test_the_walk(folder: Path, checkout: Path, postgres: PasswordServer, js: Driver) -> None:
    ports = {port: free_port() for port in PORTS} | {5432: postgres.port}
    for file in (checkout / "deploy" / "nginx").iterdir():
        file.write_text(with_ports(file.read_text(), ports))
    place = folder / "walk"
    place.mkdir()
    async with (
        collecting() as collector,
        shell(place, environment(checkout, postgres) | {"COLLECTOR": collector.url}) as operator,
    ):
        walk = Walk(operator, ports)
        await to_a_server(walk)
        room = await a_room(walk, place)
        ada, eve = [await arrived(js, place, walk, room, name) for name in ("Ada", "Eve")]
        assert (await ada.client.next("user-joined"))["participant"]["displayName"] == "Eve"
        await to_an_allocation(eve)
        assert (await ada.say("before"))["success"]
        await a_failing_join(walk, js, place, room, collector)
        await walk.step("Back up")
        async with staying(ada, eve):
            assert NEXT in await walk.step("Upgrade")
            await talk(ada, eve, "upgraded")
            assert __version__ in await walk.step("Roll back")
            await talk(eve, ada, "rolled back")
        for guest in (ada, eve):
            assert guest.recovered >= 2, "each roll has moved each of them"
            assert guest.anew == 0, "their state came along"
        said = await walk.step("Restore")
        assert "up to date" in said
        messages = json.loads((place / "messages.json").read_text())
        assert [message["content"] for message in messages] == ["before"]
        for guest in (ada, eve):
            guest.client.disconnect()
        assert (await walk.step("Stop")).count("The server has ended.") == 3
        assert walk.left == []
        logs = "".join(file.read_text() for file in place.glob("*.log"))
        assert "Traceback" not in logs, logs
        assert "differed from presence" not in logs


async def to_a_server(walk: Walk) -> None:
    """Everything up to two servers behind nginx."""
    assert __version__ in await walk.step("Install")
    said = await walk.step("Secrets and settings")
    assert "(set, not shown)" in said
    await walk.step("PostgreSQL, Redis, coturn")
    said = await walk.step("Doctor")
    assert "failed" not in said, said
    for subject in ("PostgreSQL", "migrations", "Redis", "TURN", "clock", "audit log"):
        assert re.search(rf"^ok +{subject} ", said, re.MULTILINE), said
    await walk.step("Serve")
    assert "test is successful" in await walk.step("nginx and TLS")


async def a_room(walk: Walk, place: Path) -> dict[str, Any]:
    said = await walk.step("A room")
    room = json.loads((place / "room.json").read_text())
    assert room["code"] in said
    assert f"turn:127.0.0.1:{walk.ports[3478]}" in said
    return room


async def arrived(js: Driver, place: Path, walk: Walk, room: dict[str, Any], name: str) -> Guest:
    """Somebody in the meeting."""
    guest = Guest(await connected(js, place, walk), room, name)
    joined = await guest.join()
    assert joined["success"], joined
    return guest


async def connected(js: Driver, place: Path, walk: Walk) -> Client:
    """An official client over wss, which trusts the certificate and comes back by itself."""
    return await js.connect(
        f"https://localhost:{walk.ports[8443]}",
        ca=(place / "tls" / "fullchain.pem").read_text(),
        reconnection=True,
        reconnectionDelay=50,
        reconnectionDelayMax=500,
    )


async def to_an_allocation(guest: Guest) -> None:
    """coturn gives one for the credential that a member has got."""
    (given,) = (await guest.client.next("room-joined"))["iceServers"]
    (url,) = given["urls"]
    relay = TurnClient("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        allocation = await asyncio.to_thread(relay.allocate, given["username"], given["credential"])
    finally:
        relay.close()
    assert allocation.relayed is not None, allocation


async def a_failing_join(
    walk: Walk, js: Driver, place: Path, room: dict[str, Any], collector: Collector
) -> None:
    """Nobody gets in; the operator finds out why by metric, by log and by trace; then they do."""
    late = Guest(await connected(js, place, walk), room, "Late")
    await walk.step("A failing join")
    assert not (await late.join())["success"]
    said = await walk.step("Find it")
    assert 'neuron_meet_joins_total{result="UNAVAILABLE"} 1.0' in said
    assert re.search(r'database_errors_total\{.*model="Participant".*\} 1\.0', said)
    line = json.loads((place / "failed.json").read_text())
    assert (line["room"], line["sid"], line["code"]) == (room["code"], late.client.sid, "P1010")
    root, spans = await collector.event("join-room", "UNAVAILABLE")
    assert root.trace == line["trace_id"]
    assert root.trace in said
    assert {span.name for span in spans if span.failed} == {"join-room", "open row", "open Participant"}
    await walk.step("Mend it")
    assert (await late.join())["success"]
    late.client.disconnect()


async def talk(one: Guest, other: Guest, content: str) -> None:
    """What one says the other hears, both being back."""
    assert (await one.say(content))["success"]
    while (await other.client.next("chat-message"))["content"] != content:
        pass
