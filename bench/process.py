"""A server under test: its processes, their CPU time and memory, and its log."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.failure import BenchFailed

START_SECONDS = 60.0
STOP_SECONDS = 15.0
QUIET_WINDOW_SECONDS = 0.05
QUIET_CPU_SECONDS = 0.0015
"""A server that takes less CPU than this in a window has nothing left to do (3 % of a core)."""
QUIET_AT_LAST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class CpuTime:
    """User and system time since the processes began, in seconds: the server's own process, and its children's."""

    main: float
    children: float

    @property
    def total(self) -> float:
        """All of the server's processes."""
        return self.main + self.children

    def __sub__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.main - other.main, self.children - other.children)


class ServerProcess:
    """A started server. It says where it listens in a line of JSON with `url`, on its output or in its log."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._root = psutil.Process(process.pid)
        self.log = log
        self.url = ""
        self.started_in = 0.0
        """Seconds from the start of the process until it listened."""

    @classmethod
    async def start(
        cls, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> ServerProcess:
        """Start it and wait until it listens. Raises BenchFailed with the end of its log."""
        with log.open("wb") as output:
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(env),
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        server = cls(process, log)
        try:
            while not (url := server._announced()):
                server._still_starting(time.monotonic() - began)
                await asyncio.sleep(0.005)
        except BaseException:
            await server.stop()
            raise
        server.url, server.started_in = url, time.monotonic() - began
        return server

    async def stop(self) -> None:
        """End it; one that does not end by itself is killed."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def cpu(self) -> CpuTime:
        """CPU time so far. Raises BenchFailed where the server has died."""
        try:
            return CpuTime(
                cpu_seconds(self._root.pid), sum(cpu_seconds(child.pid) for child in self._children())
            )
        except (OSError, psutil.NoSuchProcess):
            raise BenchFailed(f"A server died; its log ends with:\n{self.log_end()}") from None

    def memory(self) -> int:
        """Resident memory of its processes, in bytes."""
        return int(sum(process.memory_info().rss for process in (self._root, *self._children())))

    async def quiet(self) -> None:
        """Return when the server has nothing left to do."""
        deadline = time.monotonic() + QUIET_AT_LAST_SECONDS
        before = self.cpu().total
        while time.monotonic() < deadline:
            await asyncio.sleep(QUIET_WINDOW_SECONDS)
            now = self.cpu().total
            if now - before < QUIET_CPU_SECONDS:
                return
            before = now

    def logged(self, event: str) -> Iterator[dict[str, Any]]:
        """What the server has logged under that name."""
        return (line for line in self._lines() if line.get("event") == event)

    def log_end(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def _still_starting(self, seconds: float) -> None:
        if self._process.returncode is not None or seconds > START_SECONDS:
            raise BenchFailed(f"A server did not start; its log ends with:\n{self.log_end()}")

    def _announced(self) -> str:
        lines = (line for line in self._lines() if line.get("event") != "admin address")
        return next((str(line["url"]) for line in lines if "url" in line), "")

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def _children(self) -> list[Any]:
        """The query engine, where there is one. An embedded PostgreSQL does not count."""
        return [
            child for child in self._root.children(recursive=True) if not child.name().startswith("postgres")
        ]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, exact to the nanosecond on Linux, else to the clock tick."""
    if sys.platform == "linux":
        # The process's CPU clock, as clock_getcpuclockid(3) makes its number: CPUCLOCK_SCHED of the whole process.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def inherited_environment() -> dict[str, str]:
    """What a server needs of this process's environment; no setting of the caller gets into a measurement."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
