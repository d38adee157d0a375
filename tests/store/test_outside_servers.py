"""PostgreSQL as others run it: the oldest and the newest, with TLS, with dates and a time zone of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from neuron_meet.app import running
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.migrations import deploy
from tests.postgres import SharedPostgres
from tests.process.visitor import visiting
from tests.store.password_server import PASSWORD, PasswordServer, free_port
from tests.wire.meeting import settings_for

DEBIANS = Path("/usr/lib/postgresql/15/bin")
"""Debian 12's PostgreSQL."""
ENCRYPTED = """
ssl = on
ssl_cert_file = '{folder}/server.crt'
ssl_key_file = '{folder}/server.key'
"""
ABROAD = """
datestyle = 'German, DMY'
timezone = 'Asia/Kolkata'
"""


def certify(folder: Path) -> None:
    """A certificate for 127.0.0.1 that nobody has signed, and its key."""
    made = ("-keyout", folder / "server.key", "-out", folder / "server.crt")
    given = ("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", *given, *made)
    subprocess.run(command, check=True, capture_output=True)
    (folder / "server.key").chmod(0o600)
    owner = folder.stat()
    for name in ("server.key", "server.crt"):
        os.chown(folder / name, owner.st_uid, owner.st_gid)


class DebiansServer(PasswordServer):
    """The same server of Debian's package. Runs as its user `postgres` where the tests run as root."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.database = "postgres"
        self._data = folder / "pg"
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(
                f"\nlisten_addresses = '127.0.0.1'\nport = {self.port}\nfsync = off\n"
                f"unix_socket_directories = '{self._data}'\n"
            )
        (self._data / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [DEBIANS / program, "-D", self._data, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=self._user, cwd=self._data.parent)

    async def start(self) -> None:
        await asyncio.to_thread(self._run, "pg_ctl", "-w", "-t", "120", "-l", self._data / "log", "start")

    async def stop(self, mode: str = "immediate") -> None:
        await asyncio.to_thread(self._run, "pg_ctl", "-m", mode, "stop")


@asynccontextmanager
async def running_as(server: PasswordServer, configuration: str) -> AsyncIterator[PasswordServer]:
    with (server.data / "postgresql.conf").open("a") as file:
        file.write(configuration.format(folder=server.data) + ABROAD)
    await server.start()
    await server.execute(f"CREATE ROLE meet LOGIN PASSWORD '{PASSWORD}'")
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="module")
async def oldest() -> AsyncIterator[PasswordServer]:
    """A PostgreSQL 15 with TLS, dates in German and India's time."""
    if not DEBIANS.is_dir():
        pytest.skip("no PostgreSQL 15 is installed: apt-get install postgresql-15")
    with tempfile.TemporaryDirectory(prefix="nm-", ignore_cleanup_errors=True) as folder:
        server = DebiansServer(Path(folder))
        certify(server.data)
        async with running_as(server, ENCRYPTED) as running_one:
            assert str(await server.value("SHOW server_version")).startswith("15")
            yield running_one


@pytest.fixture(scope="module")
async def newest(shared_postgres: SharedPostgres) -> AsyncIterator[PasswordServer]:
    """A PostgreSQL 18 with the same dates and time; the wheel's is built without TLS."""
    with tempfile.TemporaryDirectory(prefix="nm-", ignore_cleanup_errors=True) as folder:
        server = PasswordServer(Path(folder), shared_postgres.blank())
        async with running_as(server, "") as running_one:
            assert str(await server.value("SHOW server_version")).startswith("18")
            yield running_one


TLS = "sslmode=verify-full&sslrootcert={data}/server.crt"


@pytest.mark.parametrize(
    ("query", "pool_size"),
    [("sslmode=disable", 10), ("sslmode=require", 3), (TLS, 10), (f"{TLS}&schema=app", 3)],
    ids=["plain", "tls", "checked", "schema"],
)
async def test_on_the_oldest(query: str, pool_size: int, oldest: PasswordServer) -> None:
    """With a pool of three, Prisma's engine in Node.js runs all queries; with ten, this process does."""
    await serves(oldest, query, pool_size)


@pytest.mark.parametrize(
    ("query", "pool_size"),
    [("sslmode=prefer", 3), ("schema=app", 10)],
    ids=["few connections", "schema"],
)
async def test_on_the_newest(query: str, pool_size: int, newest: PasswordServer) -> None:
    await serves(newest, query, pool_size)


async def serves(outside: PasswordServer, query: str, pool_size: int) -> None:
    """A start, an account, a room, a join, chat; and each moment is now, whatever the database's time zone."""
    url = await new_url(outside, query)
    assert await deploy(url, print)
    settings = settings_for(database_url=url, database_pool_size=pool_size)
    async with running(settings, url) as server, visiting(server.url) as visitor:
        await visitor.register()
        room = await visitor.room()
        socket = await visitor.socket()
        joined = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Ada"})
        assert joined["success"], joined
        sent = await socket.ask("chat-message", {"roomId": room["id"], "content": "Grüße"})
        assert sent["success"], sent
        _, [message] = await visitor.call("GET", f"/api/rooms/{room['id']}/messages")
        _, [here] = await visitor.call("GET", f"/api/rooms/{room['id']}/participants")
        for moment in (room["createdAt"], message["createdAt"], here["joinedAt"]):
            ago = datetime.now(UTC) - datetime.fromisoformat(moment)
            assert abs(ago) < timedelta(minutes=5), moment
        encrypted = await outside.value(
            "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.datname = "
            f"'{url.partition('?')[0].rpartition('/')[2]}'"
        )
        assert encrypted is ("require" in query or "verify" in query)


async def test_a_certificate_that_nobody_has_signed_is_refused_where_it_is_checked(
    oldest: PasswordServer,
) -> None:
    url = await new_url(oldest, "sslmode=verify-full")
    with pytest.raises(DatabaseUnreachable, match="certificate"):
        await deploy(url, print)


async def new_url(server: PasswordServer, query: str) -> str:
    """The URL of a new database of the role `meet`."""
    name = f"t_{uuid.uuid4().hex}"
    await server.execute(f"CREATE DATABASE {name} OWNER meet")
    return server.url(database=name, more="?" + query.format(data=server.data))
