"""A Redis of one's own over TCP, as an operator runs one: to be killed, paused, restarted with its data or without."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis.asyncio
from redis.exceptions import RedisError

from neuron_meet.cluster.keys import Keys
from neuron_meet.signaling.presence.entries import room_of
from neuron_meet.signaling.presence.room import LiveRoom, Whereabouts
from tests.redis_server import find_redis_server
from tests.store.password_server import free_port

START_SECONDS = 60.0


class Redis:
    """redis-server with an append-only file, written through at every command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "redis"
        self._folder.mkdir()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when it answers and has read its data."""
        program = shutil.which("redis-server")
        assert program is not None, (
            "these tests need redis-server on PATH (Debian: apt-get install redis-server)"
        )
        self._process = await asyncio.create_subprocess_exec(
            find_redis_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder),
            "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self._folder / "log"),
        )  # fmt: skip
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(RedisError, OSError):
                    async with redis.asyncio.Redis.from_url(self.url) as client:
                        await client.ping()
                        return
                await asyncio.sleep(0.02)

    async def kill(self, *, lose_data: bool = False) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        if lose_data:
            shutil.rmtree(self._folder)
            self._folder.mkdir()

    def pause(self) -> None:
        """It does nothing any more, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it, whatever it is in."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def room(self, code: str) -> LiveRoom:
        """A room as it is kept there."""
        async with redis.asyncio.Redis.from_url(self.url) as client:
            state = await client.hgetall(Keys().room_state(code))
        return room_of(code, {field.decode(): value for field, value in state.items()}, {}, Whereabouts())


@asynccontextmanager
async def redis_in(folder: Path) -> AsyncIterator[Redis]:
    """A running one."""
    server = Redis(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
