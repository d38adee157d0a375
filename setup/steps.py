"""The steps of a set-up, each done only when what it is made from has changed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from neuron_meet.store.node import MIN_NODE_MAJOR, NodeMissing, find_node

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = PROJECT / ".setup"

_NETWORK_TROUBLE = (
    "NewConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "ConnectionError",
    "ProxyError",
    "SSLError",
    "Temporary failure in name resolution",
    "ENOTFOUND",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "EAI_AGAIN",
    "network request to",
)
"""What pip and npm print when a registry cannot be reached."""


_NPM_PATIENCE = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
"""npm's own would have an unreachable registry noticed after more than a minute."""


class SetupFailed(Exception):
    """A step failed. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it says, the files it depends on, the file that shows it is done, and how it is done."""

    name: str
    says: str
    made_from: tuple[str, ...]
    makes: Path
    do: Callable[[], None]
    also: str = ""
    """Anything else that it depends on."""

    @property
    def stamp(self) -> Path:
        return STAMPS / f"{self.name}.stamp"

    def fingerprint(self) -> str:
        """A hash of all that the step's result depends on, the checkout's place among it (scripts name it)."""
        digest = hashlib.sha256(f"{PROJECT}\n{self.also}\n".encode())
        for name in self.made_from:
            digest.update(f"{name}\n".encode() + (PROJECT / name).read_bytes())
        return digest.hexdigest()

    def is_done(self) -> bool:
        """Whether it was done with what it depends on now."""
        return self.makes.exists() and self.stamp.is_file() and self.stamp.read_text() == self.fingerprint()

    def run(self) -> None:
        """Do it unless it is done."""
        if self.is_done():
            return
        print(f"-- {self.says}", flush=True)
        self.stamp.unlink(missing_ok=True)
        self.do()
        self.stamp.write_text(self.fingerprint())


def set_up() -> int:
    """Do all steps; the exit code. Says what it does, and on failure what to do."""
    # make passes SIGTERM on: end like Ctrl-C, which also ends the command that runs.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with alone():
            for step in _steps():
                step.run()
    except KeyboardInterrupt:
        print("\nSet-up interrupted; the next one takes it up again.", file=sys.stderr)
        return 130
    except SetupFailed as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nSet-up stopped: {error.filename or PROJECT} ({error.strerror}).", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def alone() -> Generator[None]:
    """Let only one set-up of this checkout run at a time.

    The commands that it starts hold the lock too: one that outlives a killed set-up keeps the next one waiting.
    """
    STAMPS.mkdir(exist_ok=True)
    with (STAMPS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("-- Waiting for another set-up of this checkout", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
        yield


def _steps() -> Generator[Step]:
    base = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield Step(
        "python",
        f"Python environment .venv (Python {base}) and its packages, from requirements.lock",
        ("requirements.lock", "pyproject.toml"),
        PYTHON,
        _install_python_packages,
    )
    if not _has_node():
        yield Step(
            "node",
            f"Node.js, from requirements-node.lock (there is no version {MIN_NODE_MAJOR} or newer on PATH)",
            ("requirements-node.lock", "requirements.lock"),
            PYTHON,
            _install_node,
        )
    yield Step(
        "npm",
        "npm packages in node_modules, from package-lock.json",
        ("package.json", "package-lock.json"),
        PROJECT / "node_modules" / "prisma" / "build" / "index.js",
        _install_npm_packages,
    )
    yield Step(
        "generate",
        "Database client in neuron_meet/store/generated, from schema.prisma",
        ("schema.prisma", "package-lock.json", "requirements.lock"),
        PROJECT / "neuron_meet" / "store" / "generated" / "client.py",
        _generate_client,
    )
    yield Step(
        "plans",
        "Query plans of the database client, for starts without Node.js",
        ("schema.prisma", "package-lock.json", *_sources_of_queries()),
        PROJECT / "neuron_meet" / "store" / "generated" / "plans.json",
        _compile_plans,
    )


def _sources_of_queries() -> list[str]:
    """The files that the plans depend on: whatever asks, writes or compiles a query."""
    store = PROJECT / "neuron_meet" / "store"
    files = [*store.glob("*.py"), *store.glob("engine/*.py"), *store.glob("engine/*.mjs")]
    return sorted(str(file.relative_to(PROJECT)) for file in files)


def _has_node() -> bool:
    try:
        find_node()
    except NodeMissing:
        return False
    return True


def _install_python_packages() -> None:
    if not _venv_works():
        shutil.rmtree(VENV, ignore_errors=True)
        (STAMPS / "node.stamp").unlink(missing_ok=True)  # the wheel went with it
        made = _run([sys.executable, "-m", "venv", str(VENV)])
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            raise SetupFailed(
                f"{sys.executable} cannot make virtual environments: install its venv module "
                "(Debian and Ubuntu: apt-get install python3-venv), or name another Python: "
                f"make PYTHON=/path/to/python3.12\n\n{made.stdout.strip()}"
            )
    _pip("install", "--require-hashes", "-r", "requirements.lock")
    _pip("install", "--no-deps", "--no-build-isolation", "-e", ".")


def _venv_works() -> bool:
    """Whether .venv has a Python that runs, is new enough and has pip; one of a moved checkout has not."""
    if not PYTHON.exists():
        return False
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11) or sys.prefix != sys.argv[1])"
    return _run([str(PYTHON), "-c", check, str(VENV)]).returncode == 0


def _install_node() -> None:
    try:
        _pip("install", "--require-hashes", "-r", "requirements-node.lock")
    except SetupFailed as error:
        raise SetupFailed(
            f"there is no Node.js {MIN_NODE_MAJOR} or newer on PATH, and its wheel cannot be installed: install Node.js"
            f" with the system's package manager and run this again.\n\n{error}"
        ) from None


def _install_npm_packages() -> None:
    shown = _run(
        [str(PYTHON), "-c", "import json, neuron_meet.store.node as n; print(json.dumps(n.find_npm()))"]
    )
    if shown.returncode:
        raise SetupFailed(f"npm was not found: install it (it comes with Node.js).\n\n{shown.stdout.strip()}")
    npm: list[str] = json.loads(shown.stdout.splitlines()[-1])
    # No scripts: Prisma's would download native engines, which nothing here uses.
    done = _run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=warn", *_NPM_PATIENCE]
    )
    if done.returncode:
        raise SetupFailed(_advice("npm ci", "the npm registry", done.stdout))


def _generate_client() -> None:
    done = _run([str(PYTHON), "-m", "neuron_meet", "db", "generate"])
    if done.returncode:
        raise SetupFailed(
            f"`neuron-meet db generate` failed; see what it says about schema.prisma.\n\n{done.stdout}"
        )


def _compile_plans() -> None:
    done = _run([str(PYTHON), "-m", "neuron_meet.store.compiling"])
    if done.returncode:
        raise SetupFailed(f"the query plans could not be compiled.\n\n{done.stdout}")


def _pip(*args: str) -> None:
    done = _run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", *args, "--quiet", "--retries", "2"])
    if done.returncode:
        raise SetupFailed(_advice("pip " + " ".join(args), "the Python package index", done.stdout))


def _advice(command: str, registry: str, output: str) -> str:
    """The sentence for a failed download, with the end of what the command printed."""
    end = "\n".join(output.strip().splitlines()[-15:])
    if any(sign in output for sign in _NETWORK_TROUBLE):
        return f"{registry} cannot be reached: check the network (and proxy settings) and run this again.\n\n{end}"
    if "No matching distribution" in output:
        return (
            f"{registry} has no package for this Python and platform "
            f"({sys.platform}, Python {sys.version.split()[0]}): try another Python with make PYTHON=…\n\n{end}"
        )
    if "No space left" in output or "ENOSPC" in output:
        return f"the disk is full: make room and run this again.\n\n{end}"
    return f"`{command}` failed; run this again when what it says is mended.\n\n{end}"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, its output kept for the case that it fails."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}
    }
    return subprocess.run(  # noqa: S603 - commands of this file
        command,
        close_fds=False,  # the lock goes along
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
