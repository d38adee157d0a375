"""`db push`, `migrate`, `deploy`, `status` and `studio`, by the program itself, on embedded and external PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from neuron_meet.store.embedded import EmbeddedPostgres
from neuron_meet.store.node import find_node
from tests.store.former import APPLIED, MIGRATIONS, value
from tests.store.password_server import PasswordServer, free_port
from tests.store.scratch import COLUMNS, HISTORY, MakeScratch, Scratch


@pytest.fixture
async def external(password_server: PasswordServer) -> AsyncIterator[str]:
    """URL of an empty database on a server that asks for a password over TCP."""
    await password_server.execute("ALTER ROLE meet CREATEDB")
    await password_server.execute("CREATE DATABASE meetings OWNER meet")
    yield password_server.url(database="meetings")


async def deployed(checkout: Scratch) -> None:
    """`db status` and `db deploy`, on an empty database."""
    behind = await checkout.run("db", "status")
    assert (behind.code, behind.err) == (1, "")
    assert "0_init: not applied" in behind.out

    done = await checkout.run("db", "deploy")
    assert done.code == 0, done.err
    assert f": {', '.join(MIGRATIONS)}." in done.out
    assert (await checkout.run("db", "deploy")).out.endswith("The database is up to date: nothing to do.\n")


async def pushed(checkout: Scratch, before: str, column: str) -> None:
    """`db push` with one more column, and what `db status` says then."""
    names = checkout.migrations()
    checkout.change_schema(before, f"{before}\n  {column} String?")
    done = await checkout.run("db", "push")
    assert done.code == 0, done.err
    assert checkout.migrations() == names

    current = await checkout.run("db", "status")
    assert (current.code, current.out.splitlines()[-1]) == (0, "The database is up to date.")


async def test_commands_on_the_embedded_postgresql(scratch: MakeScratch, postgres_folder: Path) -> None:
    checkout = scratch(NEURON_MEET_DATA_DIR=str(postgres_folder))

    await deployed(checkout)
    await pushed(checkout, "avatarUrl    String?", "motto")

    embedded = EmbeddedPostgres(postgres_folder)
    url = await embedded.start()
    try:
        assert await value(url, COLUMNS) == "motto"
        assert await value(url, HISTORY) == ",".join(checkout.migrations())
        shared = await checkout.run("db", "status")  # a running server does not keep it to itself
        assert shared.code == 0, shared.err
    finally:
        await embedded.stop()


async def test_all_commands_on_an_external_postgresql(scratch: MakeScratch, external: str) -> None:
    checkout = scratch(DATABASE_URL=external)

    await deployed(checkout)

    checkout.change_schema("avatarUrl    String?", "avatarUrl    String?\n  nickname String?")
    migrated = await checkout.run("db", "migrate", "--name", "add_nickname")
    assert migrated.code == 0, migrated.err
    names = checkout.migrations()
    assert names[:-1] == MIGRATIONS
    assert re.fullmatch(r"\d{14}_add_nickname", names[-1])
    script = (checkout.folder / "migrations" / names[-1] / "migration.sql").read_text()
    assert 'ALTER TABLE "User" ADD COLUMN     "nickname" TEXT' in script
    assert "nickname" in (checkout.folder / "neuron_meet/store/generated/models.py").read_text()

    await pushed(checkout, "nickname String?", "motto")

    assert await value(external, COLUMNS) == "motto,nickname"
    assert await value(external, HISTORY) == ",".join(checkout.migrations())
    assert await value(external, "SELECT count(*) FROM pg_database WHERE datname LIKE 'prisma_migrate%'") == 0


async def test_the_librarys_own_prisma_command(scratch: MakeScratch, empty_database_url: str) -> None:
    """The one that users of Prisma Client Python know; it runs the CLI of the checkout's node_modules."""
    checkout = scratch()
    path = os.pathsep.join([str(find_node().parent), os.environ["PATH"]])
    for command in (("migrate", "deploy"), ("migrate", "status"), ("db", "push", "--skip-generate")):
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "prisma",
            *command,
            cwd=checkout.folder,
            env=os.environ | {"DATABASE_URL": empty_database_url, "DIRECT_URL": "", "PATH": path},
            stdout=PIPE,
            stderr=STDOUT,
        )
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said

    assert await value(empty_database_url, HISTORY) == APPLIED


async def listens(port: int) -> bool:
    """Whether something takes connections there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_studio_shows_the_rows_until_it_is_stopped(scratch: MakeScratch, database_url: str) -> None:
    port = free_port()
    studio = await scratch(DATABASE_URL=database_url).start("db", "studio", "--port", str(port))
    assert studio.stdout is not None
    async with asyncio.timeout(60):
        try:
            while b"Prisma Studio is up" not in (line := await studio.stdout.readline()):
                assert line, (await studio.communicate())[1].decode()
            while not await listens(port):  # it says so a moment before
                await asyncio.sleep(0.05)
            async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/") as page:
                assert page.status == 200
                assert "text/html" in page.headers["Content-Type"]
        finally:
            started = psutil.Process(studio.pid).children(recursive=True)
            studio.terminate()
            await studio.communicate()

    assert studio.returncode == 128 + signal.SIGTERM
    assert len(started) == 1
    assert not any(process.is_running() for process in started)
