"""A PostgreSQL of one's own over TCP, as an operator runs one: to be killed, filled, made read-only."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from tests.process.program import gone
from tests.store.password_server import PasswordServer


class Postgres(PasswordServer):
    """Its database belongs to an ordinary role; with 100 connections at most, PostgreSQL's default."""

    def __init__(self, folder: Path, meetings: Path) -> None:
        super().__init__(folder, meetings)
        self.database = "meetings"

    async def connect(self, **as_other: str) -> asyncpg.Connection[Any]:
        """A connection of the superuser, past all proxies."""
        asked = {"host": str(self.data), "port": self.port, "user": "postgres", "database": self.database}
        return await asyncpg.connect(**(asked | as_other))

    async def query(self, statement: str, *arguments: Any) -> list[Any]:
        """Rows of a query, past all proxies."""
        connection = await self.connect()
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def next_database(self, name: str, template: str) -> None:
        """Go on with a new database made after another."""
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER meet")
        self.database = name

    async def kill(self) -> None:
        """kill -9 of the postmaster; returns when its children have noticed and are gone."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        os.kill(postmaster.pid, signal.SIGKILL)
        assert await gone(family, 20)
        # In a container nobody may reap it, and PostgreSQL takes a dead one that was not reaped for a live one.
        for lock in (self.data / "postmaster.pid", self.data / f".s.PGSQL.{self.port}.lock"):
            lock.unlink(missing_ok=True)


@asynccontextmanager
async def postgres_in(folder: Path, meetings: Path) -> AsyncIterator[Postgres]:
    """A running one; `meetings` is a stopped server's data with a database of this name."""
    server = Postgres(folder, meetings)
    await server.start()
    try:
        yield server
    finally:
        if (server.data / "postmaster.pid").exists():
            await server.stop()
