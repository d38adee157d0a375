"""Keeps one query-engine host running while it is needed: restarts it when it dies, kills it when it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import structlog

from neuron_meet.failure import place
from neuron_meet.store.engine.process import HostProcess, Launch
from neuron_meet.store.errors import EngineUnavailable

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STABLE_SECONDS = 30.0
"""A host that ran so long starts the pauses between restarts anew."""
_WATCH_SECONDS = 5.0
_PROBES = 2
_PROBE_SECONDS = 1.0
"""A host that leaves two status requests unanswered for a second each hangs: a healthy one answers in under 1 ms."""

log = structlog.get_logger(__name__)


class EngineSupervisor:
    """One host at a time, for as long as it is started; with `idle_seconds`, none after so long without work.

    A host that was ended because nobody needed it is started again by the next call that does.
    """

    def __init__(self, launch: Launch, idle_seconds: float | None = None) -> None:
        self._launch = launch
        self._idle_seconds = idle_seconds
        self._host: HostProcess | None = None
        self._retired: HostProcess | None = None
        """The host that is being ended because nobody needs it."""
        self._calls = 0
        self._needed_until = 0.0
        self._wanted = asyncio.Event()
        """Set from when somebody needs a host until it is ended because nobody does."""
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the last start failed, until one succeeds."""
        self.restarts = 0
        """How often a host has died; ends for want of work do not count."""

    @property
    def pid(self) -> int | None:
        """The running host's process id; None while there is none."""
        return self._host.pid if self._host else None

    async def start(self) -> None:
        """Start the host. Raises EngineUnavailable, saying why, when it does not come up."""
        self._begin(await HostProcess.start(self._launch))

    def start_at_rest(self) -> None:
        """Start without a host: the first call that needs one starts it."""
        self._begin(None)

    def _begin(self, host: HostProcess | None) -> None:
        self._host = host
        if host is not None:
            self._wanted.set()
        self._keep(0)
        self._task = asyncio.create_task(self._supervise(host), name="engine supervisor")
        self._watch = asyncio.create_task(self._look_after(), name="engine watch")

    async def stop(self) -> None:
        """End supervision and the host; returns when no process is left."""
        for task in (self._watch, self._probe, self._task):
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        self._watch = self._probe = self._task = None
        hosts, self._host, self._retired = (self._host, self._retired), None, None
        for host in hosts:
            if host is not None:
                await host.stop()

    @property
    def at_rest(self) -> bool:
        """Whether there is no host because nobody needs one."""
        return self._task is not None and self._host is None and not self._wanted.is_set()

    def current(self) -> HostProcess | None:
        """The running host; None while there is none."""
        return self._host

    async def host(self, other_than: HostProcess | None = None) -> HostProcess:
        """The running host, waiting for one if need be; `other_than` is one that has been seen to be dead.

        The caller sets the deadline. Raises EngineUnavailable when the supervisor is not started.
        """
        if self._task is None:
            raise EngineUnavailable("The database client is not started.")
        self._wanted.set()
        async with self._changed:
            await self._changed.wait_for(lambda: self._host is not None and self._host is not other_than)
        if self._host is None:
            raise EngineUnavailable("The query engine is away.")
        return self._host

    @contextmanager
    def call(self, seconds: float = 0.0) -> Generator[None]:
        """Keep the host for as long as the block lasts, and `seconds` from its beginning at least."""
        self._calls += 1
        self._keep(seconds)
        try:
            yield
        finally:
            self._calls -= 1
            self._keep(0)

    def _keep(self, seconds: float) -> None:
        self._needed_until = max(self._needed_until, asyncio.get_running_loop().time() + seconds)

    def suspect(self, host: HostProcess) -> None:
        """A call to `host` got no answer by its deadline: find out whether it hangs, and kill it if it does."""
        if host is self._host and (self._probe is None or self._probe.done()):
            self._probe = asyncio.create_task(self._kill_if_hanging(host), name="engine probe")

    async def _look_after(self) -> None:
        """Suspect the host from time to time: with its plans run elsewhere, nobody else may notice that it hangs."""
        idle = self._idle_seconds
        while True:
            await asyncio.sleep(_WATCH_SECONDS if idle is None else min(_WATCH_SECONDS, idle / 2))
            if self._host is None:
                continue
            unused = asyncio.get_running_loop().time() - self._needed_until
            if idle is not None and not self._calls and unused >= idle:
                await self._retire(self._host)
            else:
                self.suspect(self._host)

    async def _retire(self, host: HostProcess) -> None:
        """End a host that nobody needs. From here on it is nobody's, and whoever needs one wants another."""
        self._host, self._retired = None, host
        self._wanted.clear()
        log.debug("query engine ended, nobody needs it", pid=host.pid)
        await host.stop()

    async def _kill_if_hanging(self, host: HostProcess) -> None:
        for _ in range(_PROBES):
            if await host.answers(_PROBE_SECONDS) or host is not self._host:
                return
        log.warning("query engine hangs, ending it", pid=host.pid)
        host.kill()

    async def _supervise(self, host: HostProcess | None) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            if host is None:
                await self._wanted.wait()
                host, pause = await self._start_again(0.0)
                await self._announce(host)
            started = loop.time()
            code = await host.wait()
            if host is self._retired:
                await host.stop()
                self._retired = host = None
                continue
            self._host = None
            log.error("query engine ended, starting it again", exit_code=code)
            await host.stop()
            if loop.time() - started > _STABLE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            host, pause = await self._start_again(pause)
            self.restarts += 1
            await self._announce(host)

    async def _announce(self, host: HostProcess) -> None:
        self._host = host  # before any other await: a stop at this moment must find it
        self.problem = None
        self._keep(0)
        async with self._changed:
            self._changed.notify_all()

    async def _start_again(self, pause: float) -> tuple[HostProcess, float]:
        """A new host, however long it takes, and the pause to make before the next one."""
        while True:
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            try:
                return await HostProcess.start(self._launch), pause
            except EngineUnavailable as error:
                self.problem = str(error)
                log.error("query engine does not start", reason=self.problem)  # noqa: TRY400 - the reason is all
            except Exception as error:  # supervision goes on: else there is no engine ever again
                self.problem = "The query engine does not start."
                log.error("query engine does not start", **place(error))  # noqa: TRY400 -- may quote content
