"""Latency at half load: the same arrivals for every server, at half of what Node manages at full speed."""

from __future__ import annotations

import asyncio
import time

from bench.contenders import NODE, OURS, Contender
from bench.failure import BenchFailed
from bench.loads import CandidateLoad, ChatLoad, JoinLoad, Load, ToggleLoad
from bench.pace import arrivals, on_schedule
from bench.row import Line, Row, Sample

SECONDS = 3.0
CALIBRATION_SECONDS = 2.0
IN_FLIGHT = 16
"""Operations under way while the full speed is found."""
LATE_SECONDS = 10.0


class Stage:
    """A load on one server, and what came of it."""

    def __init__(self, load: type[Load]) -> None:
        self.latencies: list[float] = []
        self.pending = 0
        self.load = load(self._completed)
        self._progress = asyncio.Event()

    def begin(self, number: int) -> None:
        """Begin an operation."""
        self.pending += 1
        self.load.start(number)

    async def progress(self) -> None:
        """Wait until one more operation has ended. Raises BenchFailed."""
        self._progress.clear()
        try:
            async with asyncio.timeout(LATE_SECONDS):
                await self._progress.wait()
        except TimeoutError:
            raise BenchFailed(f"{self.pending} operations had no end within {LATE_SECONDS:.0f} s.") from None

    async def settle(self) -> None:
        """Wait until none is under way."""
        while self.pending:
            await self.progress()

    async def full_speed(self, seconds: float) -> float:
        """Operations a second with some always under way."""
        self.latencies.clear()
        number, began = 0, time.perf_counter()
        while time.perf_counter() < began + seconds:
            while self.pending < IN_FLIGHT:
                self.begin(number)
                number += 1
            await self.progress()
        rate = len(self.latencies) / (time.perf_counter() - began)
        await self.settle()
        return rate

    def _completed(self, seconds: float) -> None:
        self.latencies.append(seconds)
        self.pending -= 1
        self._progress.set()


class Latency(Row):
    """Median and 99th percentile, and the CPU that the server takes meanwhile."""

    contenders = (NODE, OURS)  # Node first: its full speed is the measure

    def __init__(self, name: str, title: str, load: type[Load], *, p99_goal: float | None = None) -> None:
        self.name = name
        title = f"{title} at half load"
        self.lines = (
            Line(f"{name}.p50", f"{title}: latency, median", "ms"),
            Line(f"{name}.p99", f"{title}: latency, 99th percentile", "ms", goal=p99_goal),
            Line(f"{name}.cpu", f"{title}: CPU", "% of a core"),
            Line(f"{name}.load", f"{title}: operations", "/s", detail=True),
        )
        self._load = load
        self._stages: dict[str, Stage] = {}
        self._rate = 0.0

    async def prepare(self, contender: Contender) -> None:
        """Make the company; the first server is driven at full speed, once to warm up, to find the rate."""
        stage = self._stages[contender.name] = Stage(self._load)
        await stage.load.prepare(contender)
        if not self._rate:
            await stage.full_speed(CALIBRATION_SECONDS)
            self._rate = await stage.full_speed(CALIBRATION_SECONDS) / 2

    async def round(self, contender: Contender) -> Sample:
        """Some seconds of arrivals."""
        stage = self._stages[contender.name]
        await contender.server.quiet()
        stage.latencies.clear()
        before, began = contender.server.cpu(), time.perf_counter()
        await on_schedule(arrivals(self._rate, SECONDS), stage.begin)
        await stage.settle()
        cpu, seconds = contender.server.cpu() - before, time.perf_counter() - began
        ordered = sorted(stage.latencies)
        return {
            f"{self.name}.p50": ordered[len(ordered) // 2] * 1000,
            f"{self.name}.p99": ordered[len(ordered) * 99 // 100] * 1000,
            f"{self.name}.cpu": cpu.total / seconds * 100,
            f"{self.name}.load": self._rate,
        }

    async def clear(self, contender: Contender) -> None:
        """Everybody leaves."""
        await self._stages.pop(contender.name).load.company.leave()
        if not self._stages:
            self._rate = 0.0


def rows() -> list[Latency]:
    """A candidate, a toggle in a room of 20, a chat message, a join."""
    return [
        Latency("latency-ice", "ICE candidate", CandidateLoad),
        Latency("latency-toggle", "Toggle to a room of 20 (its last delivery)", ToggleLoad),
        Latency("latency-chat", "Chat message to a room of 20 (acknowledged)", ChatLoad),
        Latency("latency-join", "Join", JoinLoad, p99_goal=1.0),
    ]
