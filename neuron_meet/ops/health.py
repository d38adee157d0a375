"""Is the process alive (`/api/health`), and can it work (`/api/ready`)?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import structlog
from aiohttp import web

from neuron_meet.repeats import seldom
from neuron_meet.rest.problems import problem_body
from neuron_meet.rest.routing import Call, Route
from neuron_meet.rest.views import View

log = structlog.get_logger(__name__)

CHECK_DEADLINE_SECONDS = 2.0
"""After so long a dependency counts as down; shorter than the usual patience of a probe."""

Check = Callable[[], Awaitable[None]]
"""Returns when a dependency works, raises anything when it does not."""


class Alive(View):
    """Answer of the liveness probe."""

    status: Literal["ok"]
    version: str
    uptime_seconds: int


class Ready(View):
    """Answer of the readiness probe: each dependency by name."""

    status: Literal["ready"]
    checks: dict[str, Literal["up", "down"]]
    missing_indexes: list[str]
    """Indexes of the database that are being built, or that nobody could build: queries are slow without them."""


class Health:
    """The state of this process and of what it depends on."""

    def __init__(
        self,
        version: str,
        checks: Mapping[str, Check],
        deadline_seconds: float = CHECK_DEADLINE_SECONDS,
        *,
        missing_indexes: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.draining = False
        """Set before a planned shutdown, so that no new work is sent here."""
        self.version = version
        self._checks = dict(checks)
        self._missing_indexes = missing_indexes
        self._deadline_seconds = deadline_seconds
        self._started = time.monotonic()
        self._asking: asyncio.Future[dict[str, Literal["up", "down"]]] | None = None

    @property
    def uptime_seconds(self) -> int:
        """Whole seconds since the start."""
        return int(time.monotonic() - self._started)

    async def dependencies(self) -> dict[str, Literal["up", "down"]]:
        """Each dependency's state, asked for now, all at the same time.

        Who asks meanwhile gets the same answer: anybody may ask, and as often as they like.
        """
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._asked)
        return dict(await asyncio.shield(self._asking))

    def _asked(self, _asking: object) -> None:
        self._asking = None

    async def _ask(self) -> dict[str, Literal["up", "down"]]:
        states = await asyncio.gather(*(self._state(name, check) for name, check in self._checks.items()))
        return dict(zip(self._checks, states, strict=True))

    async def _state(self, name: str, check: Check) -> Literal["up", "down"]:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await check()
        except Exception as error:
            # Its text may hold addresses, and goes to neither the log nor the client.
            seldom(log.warning, "dependency.down", by={"dependency": name, "error": type(error).__name__})
            return "down"
        return "up"

    def routes(self) -> list[Route[Any]]:
        """`/api`, `/api/health` and `/api/ready`."""
        greeting: list[Route[Any]] = [
            Route(method="GET", path=path, summary="A sign of life", handler=_greet, output=str, probe=True)
            for path in ("/api", "/api/")
        ]
        return [
            *greeting,
            Route(
                method="GET",
                path="/api/health",
                summary="Liveness: 200 while the process can serve, 503 while it is draining",
                handler=self._answer_health,
                output=Alive,
                probe=True,
            ),
            Route(
                method="GET",
                path="/api/ready",
                summary="Readiness: 200 when every dependency works, else 503 with those that do not",
                handler=self._answer_ready,
                output=Ready,
                probe=True,
            ),
        ]

    async def _answer_health(self, _call: Call[None]) -> Alive | web.Response:
        if self.draining:
            state = {"status": "draining", "version": self.version, "uptimeSeconds": self.uptime_seconds}
            return web.json_response(
                {**problem_body(503, "The server is shutting down"), **state}, status=503
            )
        return Alive(status="ok", version=self.version, uptime_seconds=self.uptime_seconds)

    async def _answer_ready(self, _call: Call[None]) -> Ready | web.Response:
        checks = await self.dependencies()
        down = [name for name, state in checks.items() if state == "down"]
        missing = list(self._missing_indexes())
        if not down and not self.draining:
            return Ready(status="ready", checks=checks, missing_indexes=missing)
        reasons = [f"{name} is down" for name in down]
        if self.draining:
            reasons.append("the server is shutting down")
        state = {"status": "not ready", "checks": checks, "missingIndexes": missing}
        return web.json_response({**problem_body(503, "; ".join(reasons)), **state}, status=503)


async def _greet(_call: Call[None]) -> web.Response:
    return web.Response(text="server running")
