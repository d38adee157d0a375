"""One PostgreSQL for the run, with a database of its own for each server, migrated and filled alike."""

from __future__ import annotations

import asyncio
import itertools
import string
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from bench.failure import BenchFailed
from bench.process import inherited_environment
from neuron_meet.store.embedded import EmbeddedPostgres
from neuron_meet.store.ids import new_id

ACCOUNTS = 1_500
"""Accounts in each database; half of the sockets are accounts, and the largest row has 2,000 sockets."""
NO_PASSWORD = "none"
_MESSAGE = "Shall we start with the figures of last week? The link is in the invitation."


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a socket may have."""

    id: str
    email: str


class BenchDatabase:
    """One server's database: accounts made beforehand, rooms made on demand."""

    def __init__(self, url: str, connection: Any, accounts: Sequence[Account]) -> None:
        self.url = url
        self.accounts = accounts
        self._connection = connection
        self._codes = _codes()

    @property
    def address(self) -> dict[str, str]:
        """What node-postgres needs: the folder of the socket, the user, the database."""
        parts = urlsplit(self.url)
        return {
            "host": parse_qs(parts.query)["host"][0],
            "user": parts.username or "postgres",
            "database": parts.path[1:],
        }

    async def rooms(self, count: int, *, history: int = 0) -> list[str]:
        """Codes of new rooms for 100 people, each with `history` messages of different accounts."""
        made = [(new_id(), next(self._codes)) for _ in range(count)]
        host = self.accounts[-1].id
        now = datetime.now(UTC).replace(tzinfo=None)
        async with self._connection.transaction():
            await self._connection.executemany(
                'INSERT INTO "Room" (id, code, name, "hostId", "updatedAt") VALUES ($1, $2, $3, $4, $5)',
                [(room_id, code, "Bench", host, now) for room_id, code in made],
            )
            await self._connection.executemany(
                'INSERT INTO "RoomSettings" (id, "roomId", "maxParticipants") VALUES ($1, $2, 100)',
                [(new_id(), room_id) for room_id, _ in made],
            )
            await self._connection.executemany(
                'INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, "createdAt") '
                "VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    (
                        new_id(),
                        room_id,
                        self.accounts[i % 20].id,
                        "Ada",
                        _MESSAGE,
                        now - timedelta(seconds=99 - i),
                    )
                    for room_id, _ in made
                    for i in range(history)
                ],
            )
        return [code for _, code in made]

    async def stored_messages(self) -> int:
        """How many messages the database has: what a server acknowledged must be there."""
        return int(await self._connection.fetchval('SELECT count(*) FROM "Message"'))


class BenchPostgres:
    """The embedded PostgreSQL of the run, as durable as in production."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connections: list[Any] = []

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncGenerator[BenchPostgres]:
        """A PostgreSQL in `folder`, for as long as the block lasts."""
        embedded = EmbeddedPostgres(folder)
        postgres = cls(await embedded.start())
        try:
            yield postgres
        finally:
            for connection in postgres._connections:
                await connection.close()
            await embedded.stop()

    async def database(self, name: str, python: Path) -> BenchDatabase:
        """A new database with accounts and the migrations of the checkout whose Python this is. Raises BenchFailed."""
        server = await asyncpg.connect(self._url)
        await server.execute(f"CREATE DATABASE {name}")
        await server.close()
        parts = urlsplit(self._url)
        url = parts._replace(path=f"/{name}").geturl()
        await _deploy(python, url)
        connection = await asyncpg.connect(url)
        self._connections.append(connection)
        accounts = [Account(new_id(), f"user{i}@example.com") for i in range(ACCOUNTS)]
        now = datetime.now(UTC).replace(tzinfo=None)
        await connection.executemany(
            'INSERT INTO "User" (id, email, name, "displayName", password, "updatedAt") '
            "VALUES ($1, $2, $3, $4, $5, $6)",
            [(a.id, a.email, f"User {i}", f"User {i}", NO_PASSWORD, now) for i, a in enumerate(accounts)],
        )
        await connection.execute("ANALYZE")
        return BenchDatabase(url, connection, accounts)


def _codes() -> itertools.chain[str]:
    letters = itertools.product(string.ascii_lowercase, repeat=9)
    return itertools.chain("".join((*c[:3], "-", *c[3:6], "-", *c[6:])) for c in letters)


async def _deploy(python: Path, url: str) -> None:
    """By the program itself, not by this process: another checkout has migrations of its own."""
    deploy = await asyncio.create_subprocess_exec(
        *(python, "-m", "neuron_meet", "db", "deploy"),
        env=inherited_environment() | {"DATABASE_URL": url},
        cwd=tempfile.gettempdir(),  # no developer's .env
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await deploy.communicate()
    if deploy.returncode:
        raise BenchFailed(f"{python} could not make its tables:\n{said.decode(errors='replace')[-2000:]}")
