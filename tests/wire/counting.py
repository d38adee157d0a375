"""PostgreSQL as seen from the wire: a proxy that notes what connections ask, and how often they wait for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

_SSL_REQUEST = 80877103
_ASKS_FOR_AN_ANSWER = frozenset(b"QSHF")
"""Query, Sync, Flush, FunctionCall (PostgreSQL's manual, "Message Formats"): the sender waits after each."""


class Counted:
    """A proxy before PostgreSQL's unix socket. `round_trips`: what was asked since `clear`, in all connections."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._database = parts.path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.round_trips = 0
        self.statements: list[str] = []
        """Those that were sent as text: not those that the connection had prepared before."""

    @property
    def url(self) -> str:
        """The same database, through the proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://postgres:@127.0.0.1:{port}{self._database}?sslmode=disable"

    def clear(self) -> None:
        """Begin to count anew."""
        self.round_trips, self.statements = 0, []

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Cut all connections."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._socket)
        ways = (self._questions(reader, far_writer), self._answers(far_reader, writer))
        tasks = [asyncio.create_task(way) for way in ways]
        self._tasks.update(tasks)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.transport.abort()
            far_writer.transport.abort()
            self._tasks.difference_update(tasks)

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            started = False
            while True:
                kind = b"" if not started else await reader.readexactly(1)
                length = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(length) - 4)
                if started:
                    self._note(kind, body)
                elif int.from_bytes(body[:4]) != _SSL_REQUEST:
                    started = True
                writer.write(kind + length + body)

    def _note(self, kind: bytes, body: bytes) -> None:
        if kind in (b"P", b"Q"):
            parts = body.split(b"\0")
            self.statements.append(parts[1 if kind == b"P" else 0].decode())
        if kind[0] in _ASKS_FOR_AN_ANSWER:
            self.round_trips += 1

    @staticmethod
    async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)


@asynccontextmanager
async def counted(url: str) -> AsyncIterator[Counted]:
    """A proxy before the database at `url`, which is reached over a unix socket."""
    proxy = Counted(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
