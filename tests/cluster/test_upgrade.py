"""From the release whose cluster had no number to this one, as docs/scaling.md has the steps: with people inside."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from local_cluster.redis import Redis
from neuron_meet.cluster.keys import FORMAT
from neuron_meet.store import assets
from tests.cluster.conftest import FORMER
from tests.process.program import Program
from tests.process.visitor import Socket, Visitor, visiting
from tests.store.password_server import free_port

REMOVED = {"success": False, "error": "You were removed from this meeting"}


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A checkout of that commit, with the generated client and the npm packages of this one."""
    folder = tmp_path / "former"
    folder.mkdir()
    checkout = assets.project_dir()
    archive = subprocess.run(["git", "archive", FORMER], cwd=checkout, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    (folder / "node_modules").symlink_to(checkout / "node_modules")
    generated = "neuron_meet/store/generated"
    (folder / generated).symlink_to(checkout / generated)
    return folder


@asynccontextmanager
async def node(folder: Path, port: int, **environment: str) -> AsyncIterator[Program]:
    """A node that may not start."""
    program = await Program.start(
        folder,
        PORT=str(port),
        HOST="127.0.0.1",
        JWT_SECRET="a-secret-of-these-tests-with-32-bytes",
        NEURON_MEET_DATA_DIR=str(folder / "data"),
        **environment,
    )
    try:
        yield program
    except BaseException:
        print(program.output)  # noqa: T201 -- pytest shows it beside what failed
        raise
    finally:
        await program.clean_up()


async def join(socket: Socket, code: str, name: str) -> dict[str, object]:
    answer: dict[str, object] = await socket.ask("join-room", {"roomCode": code, "displayName": name})
    return {key: answer[key] for key in ("success", "error") if key in answer}


async def remove(host: Socket, room: str, target: Socket) -> None:
    request = {"roomId": room, "targetId": target.sid}
    assert await host.ask("remove-participant", request) == {"success": True}


async def test_the_steps_of_an_upgrade(
    former: Path, tmp_path: Path, server: Redis, empty_database_url: str
) -> None:
    port, of_both = free_port(), {"REDIS_URL": server.url, "DATABASE_URL": empty_database_url}
    new = tmp_path / "new"
    new.mkdir()
    async with node(former, port, **of_both) as old:
        url = await old.listening()
        async with visiting(url) as ada, visiting(url) as mina:
            for visitor in (ada, mina):
                await visitor.register()
            async with visiting(url) as host:
                await host.register()
                room = await host.room()
                code = room["code"]
                in_charge, removed, inside = await host.socket(), await ada.socket(), await mina.socket()
                guest = await ada.socket(guest=True)
                for socket, name in ((in_charge, "Host"), (removed, "Ada"), (inside, "Mina"), (guest, "Gus")):
                    assert await join(socket, code, name) == {"success": True}
                await remove(in_charge, room["id"], removed)
                await remove(in_charge, room["id"], guest)
                # 1. A new node does not start beside it, and says why.
                async with node(new, free_port(), **of_both) as early:
                    assert await early.ended() == 1
                    assert (
                        "On this Redis 1 node(s) of another release are running (format and name: 1 "
                        in early.output
                    )
                    assert "docs/scaling.md, Upgrades" in early.output
                    assert "Traceback" not in early.output
                # 2. The former nodes are stopped: people are told, and come back by themselves.
                assert await old.stop() == 0
                await in_charge.end()
                # 3. The new ones are started.
                async with node(new, port, **of_both) as current:
                    await current.listening()
                    await came_back(host, ada, mina, room)
                    await nothing_is_left(server)
                    # A former one that is started now looks for nobody: the new one says so.
                    async with node(former, free_port(), **of_both) as late:
                        await late.listening()
                        await current.says(
                            "nodes of the former release run on this Redis: meetings are split"
                        )


async def came_back(host: Visitor, ada: Visitor, mina: Visitor, room: dict[str, str]) -> None:
    """Whoever was inside joins again; who was removed does not, and reads nothing."""
    code, messages = room["code"], f"/api/rooms/{room['id']}/messages"
    assert await join(await host.socket(), code, "Host") == {"success": True}
    assert await join(await mina.socket(), code, "Mina") == {"success": True}
    assert await join(await ada.socket(), code, "Ada") == REMOVED
    assert await join(await ada.socket(guest=True), code, "gus") == REMOVED
    assert (await ada.call("GET", messages))[0] == 404
    assert (await mina.call("GET", messages))[0] == 200


async def nothing_is_left(server: Redis) -> None:
    """Of the former format there is no key any more."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        names = sorted(name.decode() for name in await client.keys("neuron-meet:*"))
    assert "neuron-meet:0:{nodes}:formats" in names
    assert [name for name in names if not name.startswith(f"neuron-meet:v{FORMAT}:")] == [
        "neuron-meet:0:{nodes}:formats"
    ]


async def test_nodes_of_a_later_format(server: Redis, tmp_path: Path, database_url: str) -> None:
    """They share a list with this one's; a node whose lease has ended counts no more."""
    environment = {"REDIS_URL": server.url, "DATABASE_URL": database_url}
    async with redis.asyncio.Redis.from_url(server.url) as client:
        formats = "neuron-meet:0:{nodes}:formats"
        await client.zadd(formats, {f"{FORMAT + 1} later": float("inf"), f"{FORMAT + 1} ended": 1})
        async with node(tmp_path, free_port(), **environment) as program:
            assert await program.ended() == 1
            assert (
                f"1 node(s) of another release are running (format and name: {FORMAT + 1} later)"
                in program.output
            )
        await client.zrem(formats, f"{FORMAT + 1} later")
        async with node(tmp_path, free_port(), **environment) as program:
            await program.listening()
            assert next(iter(await client.zrange(formats, 0, -1))).startswith(b"%d " % FORMAT)
            assert await program.stop() == 0
        assert await client.zrange(formats, 0, -1) == []
