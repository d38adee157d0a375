"""How a command begins and ends: settings or their problems, imports, sentences for what was foreseen, exit codes."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from neuron_meet.failure import ForeseenFailure, UnusableSettings
from neuron_meet.ops.configuration import read_configuration
from neuron_meet.settings import Settings

BAD_SETTINGS = 2
"""Exit code for settings that cannot be used, as click has it for bad options."""

FAILED = 1
"""Exit code for everything else that was foreseen."""

NEEDS_GENERATE = (
    "The database client is not generated: run `neuron-meet db generate` (`make setup` does it too)."
)

NEEDS_REDIS_PACKAGE = (
    "REDIS_URL is set, and the Python package for it is missing: pip install 'redis[hiredis]' "
    "(the extra `cluster`)."
)


def settings_or_end(**given: Any) -> Settings:
    """The settings, or each problem in a line of its own and exit code 2. A `given` None does not count."""
    read = read_configuration({name: value for name, value in given.items() if value is not None})
    if read.settings is None:
        fail("\n".join(read.problems), BAD_SETTINGS)
    return read.settings


def run(action: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run `action` and exit with its code. Ctrl-C and SIGTERM cancel it, so that nothing it started is left."""

    async def until_stopped() -> int:
        task = asyncio.ensure_future(action())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        with sentences():
            code = asyncio.run(until_stopped())
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except asyncio.CancelledError:
        code = 128 + signal.SIGTERM
    sys.exit(code)


@contextmanager
def sentences() -> Generator[None]:
    """Turn the failures that were foreseen into their sentence and exit code: 1, or 2 for settings that cannot be used.

    Everything else is let be seen.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "redis":
            fail(NEEDS_REDIS_PACKAGE)
        if not (error.name or "").startswith("neuron_meet.store.generated"):
            raise
        fail(NEEDS_GENERATE)
    except ForeseenFailure as error:
        fail(str(error), BAD_SETTINGS if isinstance(error, UnusableSettings) else FAILED)


@contextmanager
def importing() -> Generator[None]:
    """Spare the imports of a block the garbage collector: all that they make stays, and it would look at it again and
    again. A fifth of what it takes the server to start.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print the message to standard error, each line with the program's name, and end with `code`."""
    click.echo("\n".join(f"neuron-meet: {line}" for line in message.splitlines()), err=True)
    sys.exit(code)
