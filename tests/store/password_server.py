"""A PostgreSQL that asks for a password over TCP, to be stopped and started by a test."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import asyncpg

from tests.postgres import Cluster

PASSWORD = "s3cret/pass:word@"
ENCODED = "s3cret%2Fpass%3Aword%40"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PasswordServer:
    """A PostgreSQL of one's own on 127.0.0.1 that asks for a password, and can be stopped and started."""

    def __init__(self, folder: Path, blank: Path) -> None:
        """`blank`: a stopped server's data (`SharedPostgres.blank`), of which this one has a copy."""
        self.port = free_port()
        self.database = "postgres"
        """The one that is in use now."""
        self._data = folder / "pg"
        self._cluster = Cluster(self._data)
        self._cluster.make(blank)
        self._cluster.configure(
            f"listen_addresses = '127.0.0.1'\nport = {self.port}\nfsync = off\n"
            f"unix_socket_directories = '{self._data}'"
        )
        (self._data / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )

    def url(self, user: str = "meet", password: str = ENCODED, database: str = "", more: str = "") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database or self.database}{more}"

    @property
    def programs(self) -> Path:
        """The folder with PostgreSQL's own programs, of this server's version."""
        return self._cluster.programs

    async def start(self) -> None:
        await asyncio.to_thread(self._cluster.start)

    async def stop(self, mode: str = "immediate") -> None:
        await asyncio.to_thread(self._cluster.stop, mode)

    @property
    def data(self) -> Path:
        """The folder with its data and its configuration."""
        return self._data

    async def execute(self, statement: str) -> None:
        """Run a statement as its superuser."""
        connection = await asyncpg.connect(host=str(self._data), port=self.port, user="postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def value(self, statement: str) -> object:
        """The only value of a statement's only row, as its superuser."""
        connection = await asyncpg.connect(host=str(self._data), port=self.port, user="postgres")
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()
