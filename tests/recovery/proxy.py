"""A TCP proxy: the network between client and server, to be cut, to fall silent, to be slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536


class Link:
    """One connection through the proxy: a pair of streams with a pump for each direction."""

    def __init__(self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self.writers = (near, far)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one side says until it ends, as the proxy is told to."""
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._proxy.passing.wait()
                if writer is self.writers[0] and not self._proxy.answering.is_set():
                    self._proxy.answered.set()
                    await self._proxy.answering.wait()
                if self._proxy.delay:
                    await asyncio.sleep(self._proxy.delay)
                if writer.transport.is_closing():  # cut meanwhile: uvloop raises
                    break
                writer.write(data)
                await writer.drain()
        # A silent network carries no farewell either: the other side must notice by itself.
        await self._proxy.passing.wait()
        self.cut()

    def cut(self) -> None:
        """Cut both sides at once: a reset, without a close frame."""
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Listens on 127.0.0.1 and forwards to `host:port`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self.passing = asyncio.Event()
        """Cleared: the network is silent, connections stay and carry nothing."""
        self.passing.set()
        self.delay = 0.0
        """Seconds that each piece takes longer, in both directions."""
        self.accepting = True
        self.accepted = 0
        self.answering = asyncio.Event()
        """Cleared: what the server sends is not passed on."""
        self.answering.set()
        self.answered = asyncio.Event()
        """Set when the server has sent something that is not passed on."""
        self._cuts = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def links(self) -> int:
        """Connections that are open."""
        return len(self._links)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self.accepting = False
        self._server.close()
        self.cut()
        self.passing.set()
        for task in list(self._carrying):
            task.cancel()
        if self._carrying:
            await asyncio.wait(self._carrying)

    def cut(self) -> None:
        """Cut every connection; new ones are taken."""
        self._cuts += 1
        for link in list(self._links):
            link.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.accepting:
            writer.transport.abort()
            return
        cuts = self._cuts
        try:
            far_reader, far = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        if self._cuts != cuts:  # cut while it was being made
            far.transport.abort()
            writer.transport.abort()
            return
        self.accepted += 1
        link = Link(self, writer, far)
        self._links.add(link)
        pumps = {
            asyncio.create_task(link.carry(reader, far)),
            asyncio.create_task(link.carry(far_reader, writer)),
        }
        self._carrying |= pumps
        try:
            await asyncio.wait(pumps)
        finally:
            self._carrying -= pumps
            self._links.discard(link)
            link.cut()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the server at `url` (http or postgresql), and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    await proxy.start()
    try:
        yield proxy, url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}", 1)
    finally:
        await proxy.stop()
