"""Stopping a server from outside: which process serves, ask it to drain, wait for its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from neuron_meet.failure import ForeseenFailure
from neuron_meet.ops.drain import pid_path
from neuron_meet.settings import Settings

PAUSE_SECONDS = 0.05
"""Between two looks whether a process is still there."""
MORE_SECONDS = 30.0
"""What a stop may take beyond the draining itself: rows, children, the embedded PostgreSQL."""


class NotServing(ForeseenFailure):
    """No such server runs. The text says where it was looked for."""


class StillServing(ForeseenFailure):
    """The server was told to drain and has not ended in time."""


def serving_process(settings: Settings, pid: int | None = None) -> int:
    """The process id of the server on the settings' port, or `pid` where that one is a server.

    Raises NotServing, also for the file of a server that was killed, whose number may be another program's now.
    """
    if pid is not None:
        if not _serves(pid):
            raise NotServing(f"Process {pid} is no neuron-meet server: nothing was done.")
        return pid
    path = pid_path(settings)
    where = f"on port {settings.port} with data in {settings.neuron_meet_data_dir}"
    other = "Set PORT and NEURON_MEET_DATA_DIR as the server has them, or give its process id with --pid."
    try:
        recorded = int(path.read_text())
    except (OSError, ValueError):
        raise NotServing(f"No server runs {where}. {other}") from None
    if not _serves(recorded):
        raise NotServing(f"No server runs {where}: process {recorded} is gone, it was killed. {other}")
    return recorded


def stop_and_wait(pid: int, seconds: float) -> None:
    """Tell process `pid` to drain (SIGTERM) and return when it has ended, within `seconds`.

    Raises NotServing where it may not be signalled or has just ended, StillServing when the time is up.
    """
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise NotServing(
            f"Process {pid} belongs to another user: run this as that user, or as root."
        ) from None
    except ProcessLookupError:
        return  # it has just ended by itself
    deadline = time.monotonic() + seconds
    while _serves(pid):
        if time.monotonic() > deadline:
            raise StillServing(
                f"The server (process {pid}) is still draining after {seconds:.0f} s: wait on with --wait, "
                "or send it a second SIGTERM, which ends it at once."
            )
        time.sleep(PAUSE_SECONDS)


def _serves(pid: int) -> bool:
    """Whether that process runs and is a neuron-meet server: a number can have become another program's."""
    words = _command_line(pid)
    names = {Path(word).name for word in words}
    return bool(names & {"neuron-meet", "neuron_meet"}) and "serve" in words


def _command_line(pid: int) -> list[str]:
    """The words that a process was started with; [] where there is none, or it is dead and only not yet reaped."""
    proc = Path("/proc") / str(pid)
    if Path("/proc/self/cmdline").exists():  # Linux
        with contextlib.suppress(OSError):
            return [
                word for word in (proc / "cmdline").read_bytes().decode(errors="replace").split("\0") if word
            ]
        return []
    ps = shutil.which("ps")
    if ps is None:
        return []
    found = subprocess.run([ps, "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    return found.stdout.split()
