"""What listens: the ports that were asked for, where they were asked for, and nothing else of any process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientError, ClientSession

from local_cluster.children import free_port
from local_cluster.redis import redis
from neuron_meet.store.assets import prisma_cli, prisma_config, schema_file
from neuron_meet.store.node import find_node
from tests.process.program import ALL_BY_THE_ENGINE, START_SECONDS, Program, postmaster, serving
from tests.process.test_workers import two_workers
from tests.process.visitor import visiting

Place = tuple[str, int]

HOOKS = {
    "sitecustomize.py": """
import os, sys
def heard(event, args):
    if event == "socket.bind" and isinstance(args[1], tuple):
        with open(os.environ["HEARD"], "a") as file:
            file.write(f"{args[1][0]}\\n")
sys.addaudithook(heard)
""",
    "hook.cjs": """
const fs = require('node:fs'), net = require('node:net'), dgram = require('node:dgram')
const listen = net.Server.prototype.listen, bind = dgram.Socket.prototype.bind
net.Server.prototype.listen = function (...args) {
  this.on('listening', () => fs.appendFileSync(process.env.HEARD, `${this.address()?.address ?? ''}\\n`))
  return listen.apply(this, args)
}
dgram.Socket.prototype.bind = function (...args) {
  fs.appendFileSync(process.env.HEARD, 'a datagram socket\\n')
  return bind.apply(this, args)
}
""",
}
"""Have every Python and every Node.js process write to which addresses it binds sockets: a command is soon over."""


def places(processes: Iterable[psutil.Process]) -> set[Place]:
    """Where these processes can be reached by TCP or UDP."""
    found = set[Place]()
    for process in processes:
        for each in process.net_connections("inet"):
            if each.status == psutil.CONN_LISTEN or (each.status == psutil.CONN_NONE and not each.raddr):
                found.add((each.laddr.ip, each.laddr.port))
    return found


def family(program: Program) -> list[psutil.Process]:
    return [psutil.Process(program.pid), *program.descendants()]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def test_a_server_with_everything_of_its_own(used_folder: Path) -> None:
    """Embedded PostgreSQL, query engine, admin address."""
    admin_port = free_port()
    given = {"ADMIN_PORT": str(admin_port), **ALL_BY_THE_ENGINE}
    async with serving(used_folder, **given) as program, visiting(program.url) as ada:
        await ada.register()
        database = postmaster(used_folder)
        processes = [*family(program), database, *database.children(recursive=True)]
        (engine,) = places(program.engines())
        assert len(processes) > 4, "all are looked at"
        assert engine[0] == "127.0.0.1"
        public, admin = ("127.0.0.1", port_of(program.url)), ("127.0.0.1", admin_port)
        assert places(processes) == {public, admin, engine}


async def test_in_production_the_port_alone_is_open(folder: Path, database_url: str) -> None:
    admin_port = free_port()
    given = {
        "NODE_ENV": "production",
        "JWT_SECRET": "s" * 40,
        "ADMIN_PORT": str(admin_port),
        **ALL_BY_THE_ENGINE,
    }
    async with serving(folder, DATABASE_URL=database_url, **given) as program:
        async with visiting(f"http://127.0.0.1:{port_of(program.url)}") as ada:
            await ada.register()
        engine = places(program.engines())
        assert {host for host, _ in engine} == {"127.0.0.1"}
        asked_for = {("0.0.0.0", port_of(program.url)), ("127.0.0.1", admin_port)}
        assert places(family(program)) == asked_for | engine


async def test_workers(folder: Path) -> None:
    async with redis(folder) as server, two_workers(folder, server) as program:
        assert len(family(program)) >= 3
        assert places(family(program)) == {("127.0.0.1", port_of(program.url))}


@asynccontextmanager
async def studio(folder: Path, port: int, *command: str | Path, **environment: str) -> AsyncIterator[Program]:
    """Prisma Studio, once it answers on `port`."""
    program = await Program.run(command, folder, environment)
    try:
        async with asyncio.timeout(START_SECONDS), ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{port}/") as response:
                        assert response.status == 200
                        break
                except ClientError:
                    assert "end of output" not in program.output
                    await asyncio.sleep(0.05)
        yield program
    except BaseException:
        print(program.output)  # noqa: T201 - pytest shows it beside what failed
        raise
    finally:
        await program.clean_up()


def ours(port: int, *more: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "neuron_meet", "db", "studio", "--port", str(port), *more)


async def test_studio_listens_on_loopback(folder: Path, database_url: str) -> None:
    port = free_port()
    async with studio(folder, port, *ours(port), DATABASE_URL=database_url) as program:
        assert places(family(program)) == {("127.0.0.1", port)}
        assert "without a password" not in program.output
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            for headers, status in (
                ({}, 200),
                ({"Origin": f"http://127.0.0.1:{port}"}, 200),
                ({"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}, 200),
                ({"Origin": "https://evil.example"}, 403),
                ({"Origin": "null"}, 403),
                ({"Host": f"rebound.example:{port}"}, 403),
                ({"Host": f"rebound.example:{port}", "Origin": f"http://rebound.example:{port}"}, 403),
            ):
                simple = {"Content-Type": "text/plain", **headers}  # what a page may send anywhere, unasked
                async with session.post("/api", data='{"channel":"none"}', headers=simple) as response:
                    assert response.status == status, headers


async def test_studio_listens_elsewhere_where_it_is_asked_to(folder: Path, database_url: str) -> None:
    port = free_port()
    async with studio(folder, port, *ours(port, "--host", "0.0.0.0"), DATABASE_URL=database_url) as program:
        assert places(family(program)) == {("0.0.0.0", port)}
        assert f"Whoever reaches port {port} of 0.0.0.0 reads and changes every row" in program.output


async def test_so_does_prismas_own_command(folder: Path, database_url: str) -> None:
    """`npx prisma studio`, which is this script."""
    port = free_port()
    command = (find_node(), prisma_cli(), "studio", "--port", str(port), "--browser", "none")
    files = ("--schema", schema_file(), "--config", prisma_config())
    async with studio(
        folder, port, *command, *files, DATABASE_URL=database_url, CHECKPOINT_DISABLE="1"
    ) as program:
        assert places(family(program)) == {("127.0.0.1", port)}


@pytest.mark.parametrize(
    "command",
    [
        ("check-config",),
        ("doctor",),
        ("db", "status"),
        ("db", "deploy"),
        ("db", "push"),
        ("db", "prune", "--older-than", "1y"),
        ("users", "disable", "nobody@example.com"),
        ("rooms", "list"),
        ("token", "nobody@example.com"),
    ],
    ids=" ".join,
)
async def test_commands_listen_nowhere(
    folder: Path, database_urls: Callable[[], Awaitable[str]], command: tuple[str, ...]
) -> None:
    """`doctor` looks whether the ports are free, and the query engine has one on 127.0.0.1."""
    for name, text in HOOKS.items():
        (folder / name).write_text(text)
    heard = folder / "heard"
    given = {
        "DATABASE_URL": await database_urls(),
        "HEARD": str(heard),
        "PYTHONPATH": str(folder),
        "NODE_OPTIONS": f"--require={folder / 'hook.cjs'}",
        "ADMIN_PORT": "0",
        **ALL_BY_THE_ENGINE,
    }
    heard.write_text("")
    program = await Program.start(folder, *command, **given)
    try:
        assert await program.ended() in (0, 1), program.output
    finally:
        await program.clean_up()
    assert set(heard.read_text().split("\n")) <= {"127.0.0.1", ""}
    assert (command[0] != "doctor") or heard.read_text(), "the hooks hear"
