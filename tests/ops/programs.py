"""Programs of the system: where they are, and what they say."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest


def program(name: str, package: str) -> str:
    """A program of one of Debian's packages; skips the test where it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"no {name} is installed: apt-get install {package}")
    return found


async def run(*command: str | Path, given: str | None = None) -> tuple[int | None, str]:
    """Exit code and output, with `given` as its input."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=None if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(None if given is None else given.encode())
    return process.returncode, said.decode()
