"""Where and with what a run was made; and how much of the machine others took meanwhile. No names, no paths."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from neuron_meet.store import assets
from neuron_meet.store.node import find_node

PYTHON_PACKAGES = (
    "aiohttp", "asyncpg", "msgspec", "picows", "prisma", "python-engineio", "python-socketio", "uvloop",
)  # fmt: skip
NPM_PACKAGES = ("@prisma/client", "@prisma/adapter-pg", "pg", "socket.io", "engine.io", "ws")
BYTES_A_GIGABYTE = 1024**3


def description() -> dict[str, Any]:
    """Cores, memory, and the versions of everything that matters."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "memory_gb": round(psutil.virtual_memory().total / BYTES_A_GIGABYTE),
            "system": f"{platform.system()} {platform.release().split('-')[0]}",
        },
        "versions": {
            "commit": commit(assets.project_dir()),
            "python": platform.python_version(),
            "node": _output([str(find_node()), "--version"]).lstrip("v"),
            **{name: version(name) for name in PYTHON_PACKAGES},
            **{f"{name} (npm)": _npm_version(name) for name in NPM_PACKAGES},
        },
    }


class Disturbance:
    """The share of the machine's CPU time that went to anything but the benchmark."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where the run's PostgreSQL has its data."""
        self._folder = str(folder)
        self._start = self._spent()

    def share(self) -> float:
        """0 to 1, since the beginning."""
        everything, busy, own = (now - then for now, then in zip(self._spent(), self._start, strict=True))
        return max(0.0, busy - own) / everything if everything else 0.0

    def _spent(self) -> tuple[float, float, float]:
        """Seconds of all cores in all; those not idle; those of the benchmark's own processes."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return sum(times), sum(times) - idle, sum(_seconds(process) for process in self._own())

    def _own(self) -> list[Any]:
        me = psutil.Process()
        return [me, *me.children(recursive=True), *_postgres(self._folder)]


def _postgres(folder: str) -> list[Any]:
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"].startswith("postgres") and any(
            folder in part for part in process.info["cmdline"] or ()
        ):
            return [process, *process.children(recursive=True)]
    return []


def _seconds(process: Any) -> float:
    """CPU time of a process and of its children that have ended."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.Error:
        return 0.0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def commit(folder: Path) -> str:
    """The commit of a checkout, and whether it was changed since; "" where there is no git."""
    commit = _output(["git", "rev-parse", "--short", "HEAD"], folder)
    changed = _output(
        ["git", "status", "--porcelain", "--untracked-files=no", "neuron_meet", "bench"], folder
    )
    return f"{commit} with changes" if changed else commit


def _npm_version(name: str) -> str:
    file = assets.project_dir() / "node_modules" / name / "package.json"
    return str(json.loads(file.read_text())["version"])


def _output(command: list[str], folder: Path | None = None) -> str:
    """What a command prints; "" where it cannot be run (an unpacked archive has no git history)."""
    try:
        done = subprocess.run(
            command,
            cwd=folder or assets.project_dir(),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
