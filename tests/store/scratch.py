"""A checkout of one's own: schema and migrations that a test may change, and the program run in it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuron_meet.store.assets import project_dir

COPIED = ("schema.prisma", "prisma.config.mjs", "package.json", "pyproject.toml")
COLUMNS = """
SELECT string_agg(column_name, ',' ORDER BY column_name) FROM information_schema.columns
WHERE table_name = 'User' AND column_name IN ('nickname', 'motto')
"""
HISTORY = "SELECT string_agg(migration_name, ',' ORDER BY migration_name) FROM \"_prisma_migrations\""
SETTINGS = ("DATABASE_URL", "DIRECT_URL", "NODE_ENV", "JWT_SECRET", "PORT", "HOST", "NEURON_MEET_DATA_DIR")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run of the program ended."""

    code: int
    out: str
    err: str


class Scratch:
    """A copy of the checkout, on the same npm packages. `settings` are the environment of its program."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = settings
        source = project_dir()
        folder.mkdir(parents=True, exist_ok=True)
        for name in COPIED:
            shutil.copy(source / name, folder / name)
        shutil.copytree(source / "migrations", folder / "migrations")
        # With what Python has compiled, but for what it is writing in this moment.
        shutil.copytree(
            source / "neuron_meet", folder / "neuron_meet", ignore=shutil.ignore_patterns("*.pyc.*")
        )
        (folder / "node_modules").symlink_to(source / "node_modules")

    def change_schema(self, old: str, new: str) -> None:
        """Replace a text in schema.prisma, which must be there."""
        file = self.folder / "schema.prisma"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def migrations(self) -> list[str]:
        """Names of the migrations, in order."""
        return sorted(script.parent.name for script in self.folder.glob("migrations/*/migration.sql"))

    def add_migration(self, name: str, sql: str) -> None:
        folder = self.folder / "migrations" / name
        folder.mkdir()
        (folder / "migration.sql").write_text(sql)

    async def start(self, *args: str) -> Process:
        """Start `python -m neuron_meet` in this checkout."""
        environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "neuron_meet",
            *args,
            cwd=self.folder,
            env=environment | self.settings,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def run(self, *args: str) -> Ran:
        """Run the program to its end."""
        process = await self.start(*args)
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())


MakeScratch = Callable[..., Scratch]
"""Makes checkouts of one's own; keyword arguments are settings."""
