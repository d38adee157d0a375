"""Where the server says what a trace may show; `ops/spans.py` takes it down where OpenTelemetry is switched on.

Nothing of OpenTelemetry is imported here, and without a tracer everything here is a comparison with None.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

Attributes = Mapping[str, str | int]

ROOM = "neuron_meet.room.id"
SOCKET = "neuron_meet.socket.id"
RESULT = "neuron_meet.result"


class Span(Protocol):
    """A stretch of work, from its `with` to its end. What goes wrong in it is noted by its type alone."""

    def __enter__(self) -> Span: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, name: str, value: str | int) -> None:
        """Say something of it: ids, codes, numbers; never what people wrote, are called or have as a secret."""
        ...

    def goes_on_as(self, ticket: str) -> None:
        """Part of it will be done elsewhere in this process, inside `elsewhere(ticket)`."""
        ...


class Tracer(Protocol):
    """Takes spans down."""

    def event(self, name: str, begun: float) -> Span:
        """A trace of its own, of an event that came at `begun` (`time.monotonic`)."""
        ...

    def span(self, name: str, attributes: Attributes) -> Span:
        """A part of the trace that is under way; nothing where none is."""
        ...

    def elsewhere(self, ticket: str) -> AbstractContextManager[object]:
        """What a span goes on as: no span of its own."""
        ...

    def note(self, name: str, value: str | int) -> None:
        """Say something of the event whose trace is under way."""
        ...

    def fail(self, reason: str) -> None:
        """The event whose trace is under way has failed."""
        ...

    @property
    def trace_id(self) -> str | None:
        """The trace that is under way, in hexadecimal."""
        ...


class _NoSpan:
    __slots__ = ()

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(self, name: str, value: str | int) -> None:
        return None

    def goes_on_as(self, ticket: str) -> None:
        return None


NO_SPAN: Span = _NoSpan()
"""Nobody takes it down."""


class _Switch:
    """Who takes spans down in this process; None for nobody."""

    tracer: Tracer | None = None


def switch(tracer: Tracer | None) -> None:
    """Have `tracer` take down what follows; nobody with None."""
    _Switch.tracer = tracer


def event(name: str, begun: float) -> Span:
    """An event from its arrival at `begun` to its answer: a trace."""
    tracer = _Switch.tracer
    return NO_SPAN if tracer is None else tracer.event(name, begun)


def span(name: str) -> Span:
    """A part of the event that is under way. Nothing where none is: what happens by itself has no trace."""
    tracer = _Switch.tracer
    return NO_SPAN if tracer is None else tracer.span(name, {})


def database_call(operation: str, model: str) -> Span:
    """A call of the database client, by its operation and its model ("" where there is none)."""
    tracer = _Switch.tracer
    if tracer is None:
        return NO_SPAN
    said = {"db.system.name": "postgresql", "db.operation.name": operation}
    if model:
        said["db.collection.name"] = model
    return tracer.span(f"{operation} {model}".rstrip(), said)


def elsewhere(ticket: str) -> AbstractContextManager[object]:
    """Go on with the span that said it would go on as `ticket`."""
    tracer = _Switch.tracer
    return NO_SPAN if tracer is None else tracer.elsewhere(ticket)


def note(name: str, value: str | int) -> None:
    """Say something of the event that is under way."""
    if _Switch.tracer is not None:
        _Switch.tracer.note(name, value)


def fail(reason: str) -> None:
    """The event that is under way has failed."""
    if _Switch.tracer is not None:
        _Switch.tracer.fail(reason)


def trace_id() -> str | None:
    """The trace that is under way; None where there is none."""
    return None if _Switch.tracer is None else _Switch.tracer.trace_id
