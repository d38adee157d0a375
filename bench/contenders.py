"""The servers that are compared: how each is started, and with which database."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.database import BenchDatabase
from bench.failure import Alarm, BenchFailed
from bench.process import ServerProcess, inherited_environment
from neuron_meet.auth.tokens import Tokens
from neuron_meet.store import assets
from neuron_meet.store.node import find_node
from neuron_meet.store.prisma_cli import PrismaCli

OURS, NODE, FLOOR = "neuron-meet", "node", "floor"
QUIET, QUIET_TOO, WATCHED = "quiet", "quiet-too", "watched"
"""This server with nothing to be seen of it, twice, and with all that a production has but traces (bench/cost.py)."""
BEFORE, BEFORE_TOO, AFTER = "before", "before-too", "after"
"""Another checkout of this server, twice, and this one (bench/beside.py)."""
ADMIN_TOKEN = secrets.token_urlsafe(32)
OUR_FORMS = {
    OURS: {},
    BEFORE: {},
    BEFORE_TOO: {},
    AFTER: {},
    QUIET: {"ADMIN_PORT": "0", "ADMIN_TOKEN": ADMIN_TOKEN},
    QUIET_TOO: {"ADMIN_PORT": "0", "ADMIN_TOKEN": ADMIN_TOKEN},
    WATCHED: {"ADMIN_PORT": "0", "ADMIN_TOKEN": ADMIN_TOKEN, "AUDIT_LOG": "audit.jsonl"},
}
"""What each form of this server is started with beside the settings that all have."""
HERE = Path(__file__).resolve().parent
NODE_SCHEMA = HERE / "node" / "generated" / "schema.prisma"
BEYOND_REACH = "1000000 per second"
"""Limits that one address with the whole load would hit: raised, but still counted on every event."""
RAISED_LIMITS = {
    f"LIMIT_{name}": BEYOND_REACH
    for name in ("CONNECTIONS_ADDRESS", "JOINS_ADDRESS", "JOINS", "CHAT", "TYPING", "MEDIA", "RELAY")
} | {"MAX_CONNECTIONS_ADDRESS": "1000000"}
TOKEN_SECONDS = 86_400

_NODE_GENERATOR = """generator client {
  provider   = "prisma-client-js"
  engineType = "client"
  output     = "./client"
}
"""


@dataclass(slots=True)
class Contender:
    """One server of the comparison. `bare`: speaks plain websocket instead of Socket.IO, and has no database."""

    name: str
    folder: Path
    database: BenchDatabase | None
    tokens: Tokens
    secret: str
    alarm: Alarm
    python: Path
    process: ServerProcess | None = None
    _starts: int = 0

    @property
    def bare(self) -> bool:
        """Whether it is the floor."""
        return self.database is None

    @property
    def server(self) -> ServerProcess:
        """The running process."""
        if self.process is None:
            raise BenchFailed(f"{self.name} is not running.")
        return self.process

    @property
    def rooms(self) -> BenchDatabase:
        """Where rooms are made. Only for those that have a database."""
        if self.database is None:
            raise BenchFailed(f"{self.name} has no database.")
        return self.database

    async def start(self) -> None:
        """Start the server as in production, with all its guards on."""
        self._starts += 1
        log = self.folder / f"{self.name}-{self._starts}.log"
        self.process = await ServerProcess.start(
            self._command(), env=self._environment(), cwd=self._cwd, log=log
        )

    async def stop(self) -> None:
        """Stop the server, if it runs."""
        process, self.process = self.process, None
        if process is not None:
            await process.stop()

    async def restart(self) -> None:
        """A fresh process, which remembers nothing."""
        await self.stop()
        await self.start()

    @property
    def _cwd(self) -> Path:
        # Not the checkout for ours: a developer's .env there is no part of the measurement.
        return self.folder if self.name in OUR_FORMS else assets.project_dir()

    def _command(self) -> list[str | Path]:
        if self.name in OUR_FORMS:
            return [self.python, "-m", "neuron_meet", "serve", "--port", "0"]
        if self.name == NODE:
            return [find_node(), HERE / "node" / "server.mjs"]
        return [sys.executable, "-m", "bench.floor"]

    def _environment(self) -> dict[str, str]:
        environment = inherited_environment() | {"NODE_ENV": "production"}
        if self.name == NODE:
            environment["BENCH_DATABASE"] = json.dumps(self.rooms.address)
        elif self.name in OUR_FORMS:
            environment |= (
                OUR_FORMS[self.name]
                | RAISED_LIMITS
                | {
                    "HOST": "127.0.0.1",
                    "DATABASE_URL": self.rooms.url,
                    "JWT_SECRET": self.secret,
                    "NEURON_MEET_DATA_DIR": str(self.folder),
                }
            )
        return environment


def contender(
    name: str, folder: Path, database: BenchDatabase | None, alarm: Alarm, python: Path | None = None
) -> Contender:
    """A contender that is not started yet; `folder` is for its log, `alarm` for what goes wrong with its peers.

    `python` is that of the checkout that serves, where it is one of this server; this process's own without it.
    """
    secret = secrets.token_urlsafe(48)
    tokens = Tokens(secret, TOKEN_SECONDS)
    return Contender(name, folder, database, tokens, secret, alarm, python or Path(sys.executable))


def python_of(checkout: Path) -> Path:
    """The Python of a checkout of this server, by which its own code runs. Raises BenchFailed where it has none."""
    folder = checkout.resolve()
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        raise BenchFailed(f"{folder} is not set up: run `make setup` there.")
    code = "import neuron_meet; print(neuron_meet.__file__)"
    found = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True, check=False, cwd="/")
    if not (found.returncode == 0 and Path(found.stdout.strip()).is_relative_to(folder)):
        raise BenchFailed(
            f"{python} runs {found.stdout.strip() or found.stderr[-500:]}, not what is in {folder}: "
            "run `make setup` there, with a .venv of its own."
        )
    return python


async def generate_node_client() -> None:
    """Make Prisma's JavaScript client for the same models, with its WebAssembly engine. Raises BenchFailed."""
    models = re.sub(
        r"^generator .*?^}\n",
        _NODE_GENERATOR,
        assets.schema_file().read_text(),
        flags=re.DOTALL | re.MULTILINE,
    )
    made = NODE_SCHEMA.parent / "client" / "index.js"
    if made.exists() and NODE_SCHEMA.exists() and NODE_SCHEMA.read_text() == models:
        return
    NODE_SCHEMA.parent.mkdir(exist_ok=True)
    await asyncio.to_thread(NODE_SCHEMA.write_text, models)
    output = await PrismaCli().output("generate", "--schema", str(NODE_SCHEMA))
    if output.code:
        raise BenchFailed(f"Prisma's JavaScript client could not be generated: {output.complaint}")
