"""A connection's lane: keeps the order of one client's slow events and lets its fast ones pass where that is right."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from neuron_meet.failure import place
from neuron_meet.repeats import seldom

log = structlog.get_logger(__name__)

LONGEST_LANE = 64
"""Events of one connection that may wait; more are refused (a client waits for its acks, or it floods)."""


class Lane:
    """Events of one connection that wait for the database, in the order in which they came.

    Joining and leaving change what every later event means, so all of them queue behind one. Chat and host
    controls queue among themselves only: a slow database delays nobody's candidates.
    """

    __slots__ = ("_held", "_runner", "_steps")

    def __init__(self) -> None:
        self._steps: deque[tuple[bool, Callable[[], Awaitable[None]]]] = deque()
        self._held = 0
        self._runner: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether what comes next must queue: a join or a leave, or what queued behind it, is under way or waits."""
        return self._held > 0

    @property
    def busy(self) -> bool:
        """Whether anything is under way or waits."""
        return bool(self._steps) or self._runner is not None

    @property
    def full(self) -> bool:
        """Whether no more may queue up."""
        return len(self._steps) >= LONGEST_LANE

    def add(self, step: Callable[[], Awaitable[None]], *, holds: bool) -> None:
        """Run `step` after everything that was added before it; with `holds` all that follows waits for it.

        Exceptions are logged, and end only the step.
        """
        self._held += holds
        self._steps.append((holds, step))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="lane")

    async def idle(self, seconds: float) -> None:
        """Return when everything that was added is done; after `seconds` in any case."""
        if self._runner is not None:
            await asyncio.wait([self._runner], timeout=seconds)

    async def _run(self) -> None:
        try:
            while self._steps:
                holds, step = self._steps.popleft()
                try:
                    await step()
                except Exception as error:
                    where = place(error)  # and not its text, which may quote content
                    seldom(log.error, "event handler failed", by={"error": where.pop("error")}, **where)
                finally:
                    self._held -= holds
        finally:
            self._runner = None
