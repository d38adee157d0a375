"""The Prisma CLI: npm's `prisma`, run by the real Node.js, with an environment that downloads nothing.

A checkout has it in `node_modules/`. An installed package gets it from npm when it is first needed: serving and
migrating need none of it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

from neuron_meet.failure import ForeseenFailure
from neuron_meet.store import assets
from neuron_meet.store.node import find_node, find_npm


class PrismaCliMissing(ForeseenFailure):
    """The CLI's npm package is not installed, and could not be. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a finished command said."""

    code: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The command's error text, without what it says on every run."""
        text = self.stderr if self.code else ""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_CHATTER)]
        return "\n".join(lines) or self.stdout.strip()


_CHATTER = ("Loaded Prisma config", "Prisma config detected")


class PrismaCli:
    """The CLI for one database. `url` is where migrations are done; None for commands that need no database."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url

    async def output(self, *args: str, cwd: Path | None = None) -> Output:
        """Run a command to its end, without a terminal. Raises NodeMissing or PrismaCliMissing."""
        process = await asyncio.create_subprocess_exec(
            *await _command(args), cwd=cwd, env=self._environment(), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        return Output(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    async def attached(self, *args: str) -> int:
        """Run a command on this process' terminal, where it may ask questions; its exit code.

        Raises NodeMissing or PrismaCliMissing.
        """
        process = await asyncio.create_subprocess_exec(*await _command(args), env=self._environment())
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise

    def _environment(self) -> dict[str, str]:
        # The schema's generator is the console script `prisma-client-py` of this Python environment.
        scripts = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
            "PRISMA_HIDE_UPDATE_MESSAGE": "1",
            "CHECKPOINT_DISABLE": "1",
            "NO_COLOR": "1",
        }
        if self._url is not None:
            environment |= {"DATABASE_URL": self._url, "DIRECT_URL": self._url}
        return environment


async def _command(args: tuple[str, ...]) -> list[str]:
    cli = assets.prisma_cli()
    if not cli.is_file():
        if not assets.is_installed():
            raise PrismaCliMissing(
                f"The Prisma CLI is not installed in {assets.cli_dir()}: run `make setup` there "
                "(or: npm ci --ignore-scripts)."
            )
        await _install(assets.cli_dir())
    return [str(find_node()), str(cli), *args, "--config", str(assets.prisma_config())]


async def _install(folder: Path) -> None:
    """Install the CLI from npm into `folder`, whole or not at all."""
    print(f"Installing the Prisma CLI from npm into {folder} (once).", file=sys.stderr)  # noqa: T201 - for a person
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise PrismaCliMissing(
            f"The Prisma CLI cannot be installed in {folder.parent} ({error.strerror}): set XDG_CACHE_HOME to a "
            "folder that can be written to."
        ) from None
    try:
        for name in assets.CLI_FILES:
            source = assets.project_dir() / name
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, new / name)
        # No scripts: Prisma's would download native engines, which nothing here uses.
        options = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        npm = await asyncio.create_subprocess_exec(
            *find_npm(), *options, cwd=new, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        try:
            said, _ = await npm.communicate()
        except asyncio.CancelledError:
            npm.kill()
            await npm.wait()
            raise
        if npm.returncode:
            raise PrismaCliMissing(
                "The Prisma CLI could not be installed: check that the npm registry can be reached from here.\n"
                + said.decode(errors="replace").strip()
            )
        _put_in_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _put_in_place(new: Path, folder: Path) -> None:
    if not folder.exists():  # another process may have been faster
        new.rename(folder)
