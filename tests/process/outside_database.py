"""A PostgreSQL of the test's own that can be stopped, and made to hang."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil

from tests.store.password_server import PasswordServer


class OutsideDatabase(PasswordServer):
    """What an operator's `DATABASE_URL` names: a server on 127.0.0.1 that asks for a password."""

    def __init__(self, folder: Path, blank: Path) -> None:
        super().__init__(folder, blank)
        self._paused: list[psutil.Process] = []

    async def pause(self) -> None:
        """Freeze all of its processes: connections stay open and nothing answers, as when a network is cut."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        postmaster.suspend()  # first, so that it makes no more of them
        self._paused = [postmaster, *postmaster.children(recursive=True)]
        for process in self._paused[1:]:
            process.suspend()

    async def resume(self) -> None:
        """Let it go on."""
        paused, self._paused = self._paused, []
        for process in reversed(paused):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        await asyncio.sleep(0)

    async def stop(self, mode: str = "immediate") -> None:
        await self.resume()
        await super().stop(mode)
