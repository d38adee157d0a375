"""Draining: a planned stop that clients come through well."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog

from neuron_meet.ops.health import Health
from neuron_meet.settings import Settings

log = structlog.get_logger(__name__)

RECONNECT_AFTER_MS = 2_000
"""When clients are told to come back, from the end of the draining: a restart takes about as long."""


class Drainable(Protocol):
    """The sockets of this server."""

    @property
    def connection_count(self) -> int:
        """How many are connected."""
        ...

    def start_draining(self, reconnect_in_ms: int) -> None:
        """Take no new connection, let nobody join any more, and tell everybody."""
        ...

    async def close_all(self, seconds: float) -> None:
        """Close every socket, evenly spread over that time, so that the next server is not stormed."""
        ...


async def drain(health: Health, sockets: Drainable, seconds: float) -> None:
    """Stop being ready, tell everybody, close the sockets over `seconds` (at once where there are none)."""
    health.draining = True
    sockets.start_draining(int(seconds * 1000) + RECONNECT_AFTER_MS)
    log.info("draining", connections=sockets.connection_count, seconds=seconds)
    await sockets.close_all(seconds)


def pid_path(settings: Settings) -> Path:
    """The file that tells `neuron-meet drain` which process serves on the port of the settings."""
    return settings.neuron_meet_data_dir / f"serve-{settings.port}.pid"


@contextmanager
def pid_file(settings: Settings) -> Generator[None]:
    """Keep this process's id in that file for the length of the block, where the folder can be written."""
    path = pid_path(settings)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
