"""A shell that runs an operator's commands, a few at a time, as if they were typed one after the other."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

LONGEST_SECONDS = 180.0
"""For an installation on a machine that does much else."""
_END = "::end of step::"
_FAILED = "::failed::"


class Shell:
    """bash in a folder. Variables, functions and what was started in the background last from step to step."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._file = folder / ".step"

    async def run(self, commands: str) -> str:
        """What the commands say, both streams in order. AssertionError where one of them fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._file.write_text(commands)  # so that no command reads the next one as its input
        self._process.stdin.write(f". ./.step < /dev/null\necho '{_END}'\n".encode())
        said: list[str] = []
        async with asyncio.timeout(LONGEST_SECONDS):
            while line := (await self._process.stdout.readline()).decode(errors="replace"):
                if line.rstrip().endswith(_END):
                    said.append(line.rstrip().removesuffix(_END))
                    break
                said.append(line)
        text = "".join(said)
        assert _FAILED not in text, text
        return text


@asynccontextmanager
async def shell(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Shell]:
    """A shell in `folder`; whatever it has started ends with the block."""
    process = await asyncio.create_subprocess_exec(
        "bash", "--noprofile", "--norc", cwd=folder, env=environment, start_new_session=True, limit=1_000_000,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        shell = Shell(process, folder)
        await shell.run(f"set -o pipefail -o errtrace; trap 'echo \"{_FAILED} $BASH_COMMAND\"' ERR")
        yield shell
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
