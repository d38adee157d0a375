"""What takes long is said in the log: slow events with what they waited for, slow calls of the database.

docs/operations.md#what-is-slow has how to read it, and `SLOW_EVENT_MS` what is long.
"""

from __future__ import annotations

from collections import defaultdict
from contextvars import ContextVar

import structlog

from neuron_meet.repeats import seldom

log = structlog.get_logger(__name__)

REDIS = ("redis", "")
CONNECTION = ("a connection of the pool", "")
"""It is part of the database's call that waits for it."""
ITSELF = "this process"
"""What an event has waited for that waited for nothing else, or not long: its turn, or the processor."""
MOST = 0.5
"""The slowest call is the reason where it has at least this share of the time."""

What = tuple[str, str]


class Waits:
    """What one event has waited for, in seconds. Of what went on side by side each counts."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds: defaultdict[What, float] = defaultdict(float)

    @property
    def slowest(self) -> What | None:
        """What it has waited for longest, a wait within another left out."""
        calls = {what: seconds for what, seconds in self.seconds.items() if what != CONNECTION}
        return max(calls, key=lambda what: calls[what], default=None)


_waits: ContextVar[Waits | None] = ContextVar("waits", default=None)


def watched() -> Waits:
    """Have what this task waits for from now on counted, in what is returned."""
    waits = Waits()
    _waits.set(waits)
    return waits


def waited(what: What, seconds: float) -> None:
    """The event that is under way has waited so long for this; nothing where none is."""
    waits = _waits.get()
    if waits is not None:
        waits.seconds[what] += seconds


def say_slow_call(what: What, seconds: float) -> None:
    """Log a slow call of the database, by its operation and model."""
    seldom(log.warning, "slow query", by={"query": _name(what)}, milliseconds=_milliseconds(seconds))


def say_slow_event(
    name: str, result: str, seconds: float, queued: float, waits: Waits, **who: str | None
) -> None:
    """Log a slow event: how long it took, `queued` seconds of it behind others of its client, and why."""
    slowest = waits.slowest
    times: dict[str, int] = {}
    if slowest is not None:
        times["slowest_ms"] = _milliseconds(waits.seconds[slowest])
    for field, found in (
        ("queued_ms", queued),
        ("database_ms", sum(s for what, s in waits.seconds.items() if what not in (REDIS, CONNECTION))),
        ("connection_ms", waits.seconds.get(CONNECTION, 0.0)),
        ("redis_ms", waits.seconds.get(REDIS, 0.0)),
    ):
        if _milliseconds(found):
            times[field] = _milliseconds(found)
    is_reason = slowest is not None and waits.seconds[slowest] >= MOST * (seconds - queued)
    by = {"socket_event": name, "slowest": _name(slowest) if slowest and is_reason else ITSELF}
    seldom(
        log.warning, "slow event", by=by, result=result, milliseconds=_milliseconds(seconds), **times, **who
    )


def _name(what: What) -> str:
    return " ".join(filter(None, what))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
