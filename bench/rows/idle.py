"""A server that nobody uses: how fast it is there, and what it costs."""

from __future__ import annotations

import asyncio
import time

from bench.contenders import NODE, OURS, Contender
from bench.row import Line, Row, Sample

IDLE_SECONDS = 4.0


class Idle(Row):
    """Start to listening (the migrations are there already), then CPU and memory without a single connection."""

    name = "idle"
    contenders = (OURS, NODE)
    warm_up = 0
    lines = (
        Line("idle.start", "Start of the server, until it listens", "s", limit=3.0),
        Line("idle.cpu", "CPU of an idle server", "% of a core", limit=0.5),
        Line("idle.memory", "Memory of an idle server, query engine included", "MB", limit=150),
    )

    async def round(self, contender: Contender) -> Sample:
        """A fresh process."""
        await contender.restart()
        server = contender.server
        await server.quiet()
        before, began = server.cpu(), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        cpu, seconds = server.cpu() - before, time.perf_counter() - began
        return {
            "idle.start": server.started_in,
            "idle.cpu": cpu.total / seconds * 100,
            "idle.memory": server.memory() / 1e6,
        }
