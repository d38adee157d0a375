"""The real program as a process of its own, as an operator runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

START_SECONDS = 60.0
"""A first start makes a database; on a busy machine that takes many times the usual 3 s."""
STOP_SECONDS = 60.0
ALL_BY_THE_ENGINE = {"DATABASE_POOL_SIZE": "3"}
"""So few connections that the query engine has them all and runs every query (store/client.py, own_connections)."""
LISTENING = re.compile(r"(?=.*listening).*(http://[\w.:]+)")


class Program:
    """`neuron-meet …`, its output and its children. Standard output and error are one stream, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())
        self.url = ""

    @classmethod
    async def start(cls, folder: Path, *arguments: str, **environment: str) -> Program:
        """Start the program in `folder` with these variables and no others of its own."""
        command = (sys.executable, "-m", "neuron_meet", *(arguments or ("serve",)))
        return await cls.run(command, folder, environment)

    @classmethod
    async def run(
        cls,
        command: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str],
        *,
        stdin: int = asyncio.subprocess.DEVNULL,
    ) -> Program:
        """Start any command, such as an installed program. With a pipe for `stdin`, `type` writes to it."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "DRAIN_SECONDS": "0", **environment},
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=10_000_000,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            async with self._changed:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        async with self._changed:
            self._lines.append("(end of output)")
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """Everything written so far."""
        return "\n".join(line for line in self._lines if line != "(end of output)")

    async def says(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """The first line that matches, waiting for it. AssertionError when the program ends without it."""
        wanted = re.compile(pattern)

        def found() -> re.Match[str] | str | None:
            for line in self._lines:
                if match := wanted.search(line):
                    return match
            return "ended" if self._lines[-1:] == ["(end of output)"] else None

        async with asyncio.timeout(START_SECONDS), self._changed:
            match = await self._changed.wait_for(found)
        assert isinstance(match, re.Match), f"ended without {wanted.pattern}:\n{self.output}"
        return match

    async def listening(self) -> str:
        """The URL, once the program listens."""
        self.url = (await self.says(LISTENING))[1]
        return self.url

    def descendants(self) -> list[psutil.Process]:
        """The processes that it started, and theirs."""
        return psutil.Process(self.pid).children(recursive=True)

    def engines(self) -> list[psutil.Process]:
        """Its query-engine hosts."""
        hosts = list[psutil.Process]()
        for each in self.descendants():
            with contextlib.suppress(psutil.Error):  # it may end while it is looked at
                if "host.mjs" in " ".join(each.cmdline()):
                    hosts.append(each)
        return hosts

    def type(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def maps(self, name: str) -> bool:
        """Whether a library with `name` in its path is loaded."""
        return any(name in each.path for each in psutil.Process(self.pid).memory_maps())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once the program has ended and all of its output is read."""
        async with asyncio.timeout(seconds):
            code = await self._process.wait()
            await self._reader
        return code

    async def stop(self) -> int:
        """End it as an operator does. Returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self.signal(signal.SIGKILL)
        # Not its output: a PostgreSQL that lives on holds the same pipe.
        async with asyncio.timeout(STOP_SECONDS):
            await self._process.wait()
        self._reader.cancel()

    async def clean_up(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self._process.returncode is None:
            left: list[psutil.Process] = []
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has ended in this moment
                left = self.descendants()
                self._process.kill()
            await self._process.wait()
            for process in left:
                if process.is_running():
                    process.terminate()
        self._reader.cancel()
        await asyncio.wait([self._reader])


@asynccontextmanager
async def serving(folder: Path, **environment: str) -> AsyncIterator[Program]:
    """A program that listens, on a free port and with data in `folder` unless told otherwise.

    What it wrote is printed when the block fails.
    """
    given = {"NEURON_MEET_DATA_DIR": str(folder / "data"), "PORT": "0", **environment}
    program = await Program.start(folder, **given)
    try:
        await program.listening()
        yield program
    except BaseException:
        print(program.output)  # noqa: T201 - pytest shows it beside what failed
        raise
    finally:
        await program.clean_up()


def slowness() -> float:
    """How many times longer than alone a process takes now: processes that want to run, for each core; 1 at least."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def refused(folder: Path, *, seconds: float = 10.0, **environment: str) -> tuple[int, str]:
    """Exit code and output of a start that is refused within `seconds` of a machine that has nothing else to do."""
    given = {"NEURON_MEET_DATA_DIR": str(folder / "data"), "PORT": "0", **environment}
    program = await Program.start(folder, **given)
    try:
        code = await program.ended(seconds * slowness())
        return code, program.output
    finally:
        await program.clean_up()


def postmaster(folder: Path) -> psutil.Process:
    """The embedded PostgreSQL of a program in `folder`; it is a daemon, nobody's child."""
    return psutil.Process(int((folder / "data/postgres/postmaster.pid").read_text().split()[0]))


async def gone(processes: list[psutil.Process], seconds: float = 10.0) -> bool:
    """Whether all of these processes end within `seconds` of a machine that has nothing else to do."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds * slowness()
    while any(_is_alive(process) for process in processes):
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs. A dead one that nobody has reaped yet does not (Linux, wait(2))."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
