"""What presence has done in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.failure import place

log = structlog.get_logger(__name__)


class Background:
    """Work that nobody waits for. Where Redis goes away it ends: what it was for is seen to when Redis is back."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[None]] = set()

    def spawn(self, work: Awaitable[None]) -> None:
        """Have something done."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PresenceUnavailable):
            log.error("work in the background failed", **place(error))

    async def stop(self) -> None:
        """Give up what is not done."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
