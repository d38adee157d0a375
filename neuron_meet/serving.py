"""The process that serves: database, server, and how it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import NamedTuple

import structlog
import uvloop

from neuron_meet import __version__
from neuron_meet.app import Server, running
from neuron_meet.jwt_secret import with_secret
from neuron_meet.ops.drain import drain, pid_file
from neuron_meet.ops.logs import configure_logs
from neuron_meet.settings import Settings
from neuron_meet.store.provision import provide

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> int:
    """Provide the database and serve until SIGTERM or SIGINT. Returns the exit code.

    Raises what `with_secret`, `provide` and `running` raise; the command line turns it into a sentence.
    """
    configure_logs(settings)
    return uvloop.run(_serve(with_secret(settings)))


async def _serve(settings: Settings) -> int:
    told = told_to_stop()
    provisioned = await provide(settings)
    try:
        async with running(settings, provisioned.url, stop=told.again) as server:
            with pid_file(settings):
                _spare_the_collector()
                log.info("listening", url=server.url, version=__version__)
                await drained(server, settings, told)
    finally:
        await provisioned.stop()
    log.info("stopped")
    return 0


class Told(NamedTuple):
    """Whether this process was told to stop, once and twice; `again` tells it."""

    first: asyncio.Event
    second: asyncio.Event
    again: Callable[[], None]


def told_to_stop() -> Told:
    """What is told from now on by the first and by a second SIGTERM, SIGINT or SIGHUP."""
    first, second = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        (second if first.is_set() else first).set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signalled)
    return Told(first, second, signalled)


async def drained(server: Server, settings: Settings, told: Told) -> None:
    """Serve until told to stop, then drain, which being told once more cuts short."""
    await told.first.wait()
    await _unless(told.second, drain(server.health, server.sockets, settings.drain_seconds))
    if told.second.is_set():
        server.hurry()


def _spare_the_collector() -> None:
    """Have the garbage collector pass over all that the start has made: it stays, and is most of what there is.

    Else each full collection looks at it again, and connections are what brings those about (docs/performance.md).
    """
    gc.collect()
    gc.freeze()


async def _unless(hurry: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do `work`, but not to its end once `hurry` is set."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(hurry.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait({working})
    else:
        working.result()
