"""`serve --workers N`: several processes on one port, started, watched and ended by one that serves nobody.

They share one listening socket, which the watching process opens and they inherit. The other way, a socket each with
SO_REUSEPORT, has the kernel tie a connection to a process before it is accepted: those that wait for one that dies
are lost with it. Whoever is free accepts here, and a port that is taken is found out once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
import uvloop

from neuron_meet import __version__
from neuron_meet.app import PortTakenError, running
from neuron_meet.jwt_secret import with_secret
from neuron_meet.listening import listeners, url_of
from neuron_meet.ops.drain import pid_file
from neuron_meet.ops.logs import configure_logs, name_everywhere
from neuron_meet.ops.stopping import MORE_SECONDS
from neuron_meet.serving import drained, told_to_stop
from neuron_meet.settings import Settings
from neuron_meet.store.provision import provide

log = structlog.get_logger(__name__)

READY = b"."
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
LONG_LIFE_SECONDS = 60.0
"""A worker that has lived for so long is no sign of trouble when it dies: the next one is started soon again."""


def serve_with_workers(settings: Settings, count: int) -> int:
    """Provide the database and keep `count` workers serving until SIGTERM, SIGINT or SIGHUP. Returns the exit code.

    0 where all of them have ended well. Raises what `with_secret` and `provide` raise, and PortTakenError.
    """
    configure_logs(settings)
    return uvloop.run(_supervise(with_secret(settings), count))


def serve_as_worker(settings: Settings, number: int, listener: int, lifeline: int) -> int:
    """Serve on an inherited socket until told to stop, or until whoever started this is no more.

    `lifeline` is one end of a pair of sockets: it is told when this serves, and closes when the other process dies,
    in whatever way. Returns the exit code; raises what `running` raises.
    """
    configure_logs(settings)
    return uvloop.run(_work(settings, number, socket.socket(fileno=listener), socket.socket(fileno=lifeline)))


async def _work(settings: Settings, number: int, listener: socket.socket, lifeline: socket.socket) -> int:
    name_everywhere(worker=number)
    told = told_to_stop()
    loop = asyncio.get_running_loop()
    lifeline.setblocking(False)

    def orphaned() -> None:
        loop.remove_reader(lifeline)
        log.warning("the process that watches over this one is gone")
        told.first.set()

    loop.add_reader(lifeline, orphaned)
    assert settings.database_url is not None  # noqa: S101 -- Crew names it
    url = settings.database_url.get_secret_value()
    if settings.admin_port:  # each worker has an admin address of its own
        settings = settings.model_copy(update={"admin_port": settings.admin_port + number})
    async with running(settings, url, listener, stop=told.again) as server:
        with contextlib.suppress(OSError):
            lifeline.send(READY)
        await drained(server, settings, told)
    log.info("stopped")
    return 0


async def _supervise(settings: Settings, count: int) -> int:
    told = told_to_stop()
    provisioned = await provide(settings)
    try:
        with _listening(settings) as listener, pid_file(settings):
            url = url_of(settings.bind_host, listener.getsockname()[1])
            crew = Crew(listener, count, _environment(settings, provisioned.url))
            code = await crew.serve(url, told.first, told.second, settings.drain_seconds + MORE_SECONDS)
    finally:
        await provisioned.stop()
    log.info("stopped")
    return code


def _listening(settings: Settings) -> socket.socket:
    host = settings.bind_host
    try:
        first, *others = listeners(host, settings.port)
    except OSError as error:
        raise PortTakenError(
            f"Port {settings.port} on {host} cannot be used ({error.strerror}). "
            "Stop what listens there, or choose another with PORT or --port."
        ) from error
    for each in others:  # a worker inherits one
        each.close()
    return first


def _environment(settings: Settings, database_url: str) -> dict[str, str]:
    """A worker's environment: this process's, and what it does not say of the settings.

    The secrets too: one that starts later, in the place of one that died, has the others' even if `.env` was changed.
    """
    environment = os.environ | {
        "HOST": settings.bind_host,
        "PORT": str(settings.port),
        "JWT_SECRET": settings.signing_key,
        "JWT_SECRET_PREVIOUS": ",".join(settings.former_signing_keys),
    }
    if settings.database_url is None:
        environment |= {"DATABASE_URL": database_url, "DIRECT_URL": database_url}
    return environment


class Crew:
    """The workers, each replaced when it dies, after a pause that grows for as long as they die soon."""

    def __init__(self, listener: socket.socket, count: int, environment: Mapping[str, str]) -> None:
        self._listener, self._environment = listener, environment
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._ready = [asyncio.Event() for _ in range(count)]
        self._failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(self, url: str, first: asyncio.Event, second: asyncio.Event, patience: float) -> int:
        """Work until `first`, then end all; at once after `second`, by force after `patience` seconds.

        Returns 0, or 1 where one of them has ended badly; the code of a worker that cannot even begin.
        """
        keepers = [asyncio.create_task(self._keep(number)) for number in range(len(self._ready))]
        await _first_of(first.wait(), self._failed, self._all_ready())
        if all(ready.is_set() for ready in self._ready) and not first.is_set():
            log.info("listening", url=url, version=__version__, workers=len(self._ready))
            await first.wait()
        self._stopping.set()
        self._signal(signal.SIGTERM)
        ended = asyncio.gather(*keepers)
        try:
            async with asyncio.timeout(patience):
                await _first_of(second.wait(), ended)
                self._signal(signal.SIGTERM)  # once more: they wait for nothing then
                await asyncio.shield(ended)
        except TimeoutError:
            log.warning("workers that do not end are killed")
            self._signal(signal.SIGKILL)
        codes = await ended
        return self._failed.result() if self._failed.done() else int(any(codes))

    async def _all_ready(self) -> None:
        for ready in self._ready:
            await ready.wait()

    async def _keep(self, number: int) -> int:
        """Have worker `number` running until the end. Returns the exit code of the last one."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            code = await self._run(number)
            if self._stopping.is_set():
                return code
            if not self._ready[number].is_set():
                if not self._failed.done():
                    self._failed.set_result(code if code > 0 else 1)
                return code
            if time.monotonic() - began > LONG_LIFE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            log.warning("worker ended, another takes its place", worker=number, code=code, pause=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                return 0
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _run(self, number: int) -> int:
        """One life of a worker. Returns its exit code; 0 where it was stopped before it could begin."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                inherited = (self._listener.fileno(), theirs.fileno())
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "neuron_meet", "worker", "--number", str(number)),
                    *("--listener", str(inherited[0]), "--lifeline", str(inherited[1])),
                    env=dict(self._environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=inherited,
                    start_new_session=True,  # a terminal's Ctrl-C reaches them through this process only
                )
            self._processes[number] = process
            if self._stopping.is_set():
                process.terminate()
            ours.setblocking(False)
            if await asyncio.get_running_loop().sock_recv(ours, 1) == READY:
                self._ready[number].set()
                log.info("worker serves", worker=number, pid=process.pid)
            code = await process.wait()
            # Told once more when it had ended already, or before it could begin.
            return 0 if code == -signal.SIGTERM and self._stopping.is_set() else code

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)


async def _first_of(*awaited: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
    """Return when one of them is done. Tasks that were made for coroutines are ended."""
    tasks = [asyncio.ensure_future(each) for each in awaited]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, each in zip(tasks, awaited, strict=True):
        if task is not each:
            task.cancel()
