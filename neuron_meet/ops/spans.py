"""Spans taken down by OpenTelemetry and sent by OTLP over HTTP. Imported only where tracing is switched on.

Its own variables hold: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS,
OTEL_BSP_… and the others that its SDK reads from the environment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import TracebackType

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode

from neuron_meet import __version__
from neuron_meet.errors import Refused
from neuron_meet.tracing import NO_SPAN, Attributes, Span, switch

FLUSH_SECONDS = 2.0
"""How long a stop waits for what was not sent yet; a collector that is away holds nobody up for longer."""
PROBE_SECONDS = 3.0


class _Taken:
    """A span that is taken down, and under way between `with` and its end."""

    __slots__ = ("_event", "_span", "_ticket", "_token", "_tracer")

    def __init__(self, tracer: OpenTelemetryTracer, span: trace.Span, *, event: bool) -> None:
        self._tracer, self._span = tracer, span
        self._event: Token[_Taken] | bool = event
        self._token: Token[Context] | None = None
        self._ticket: str | None = None

    def __enter__(self) -> Span:
        self._token = context.attach(trace.set_span_in_context(self._span))
        if self._event:
            self._event = self._tracer.current_event.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Refused):  # not a failure: the rules say no
            self.note("neuron_meet.refusal", error.refusal.code)
        elif error is not None:
            self.fail(type(error).__name__)
        if self._ticket is not None:
            self._tracer.going_on.pop(self._ticket, None)
        if isinstance(self._event, Token):
            self._tracer.current_event.reset(self._event)
        if self._token is not None:
            context.detach(self._token)
        self._span.end()

    def note(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR))

    def goes_on_as(self, ticket: str) -> None:
        self._ticket = ticket
        self._tracer.going_on[ticket] = context.get_current()


class _Elsewhere:
    """The context of a span, for as long as the block lasts."""

    __slots__ = ("_context", "_token")

    def __init__(self, of: Context) -> None:
        self._context = of
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = context.attach(self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            context.detach(self._token)


class OpenTelemetryTracer:
    """:class:`neuron_meet.tracing.Tracer` of a server named `node`, which sends its spans to `endpoint`."""

    def __init__(self, endpoint: str, node: str) -> None:
        """`endpoint`: an OTLP receiver's base, such as http://127.0.0.1:4318 (OTEL_EXPORTER_OTLP_ENDPOINT)."""
        self._node = node
        own = {"service.version": __version__, "service.instance.id": node}
        if "OTEL_SERVICE_NAME" not in os.environ:
            own["service.name"] = "neuron-meet"
        # No handler at the exit: `stop` ends it.
        provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        self._exporter = _exporter(endpoint)
        self._processor = BatchSpanProcessor(self._exporter)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("neuron_meet", __version__)
        self.current_event: ContextVar[_Taken] = ContextVar("event")
        self.going_on: dict[str, Context] = {}

    def event(self, name: str, begun: float) -> Span:
        """A trace of its own."""
        now = time.time_ns()
        waited = max(0, int((time.monotonic() - begun) * 1e9))
        span = self._tracer.start_span(
            name,
            Context(),
            SpanKind.SERVER,
            {"neuron_meet.node": self._node, "neuron_meet.queued_us": waited // 1000},
            start_time=now - waited,
        )
        return _Taken(self, span, event=True)

    def span(self, name: str, attributes: Attributes) -> Span:
        """A part of the trace that is under way."""
        if not trace.get_current_span().is_recording():
            return NO_SPAN
        return _Taken(self, self._tracer.start_span(name, attributes=attributes), event=False)

    def elsewhere(self, ticket: str) -> AbstractContextManager[object]:
        """What a span goes on as."""
        of = self.going_on.get(ticket)
        return NO_SPAN if of is None else _Elsewhere(of)

    def note(self, name: str, value: str | int) -> None:
        """Say something of the event."""
        if event := self.current_event.get(None):
            event.note(name, value)

    def fail(self, reason: str) -> None:
        """The event has failed."""
        if event := self.current_event.get(None):
            event.fail(reason)

    @property
    def trace_id(self) -> str | None:
        """The trace that is under way."""
        span = trace.get_current_span()
        # One that has ended is left behind in tasks that it started.
        return trace.format_trace_id(span.get_span_context().trace_id) if span.is_recording() else None

    async def stop(self) -> None:
        """Send what was not sent yet, for two seconds at most, and take nothing down any more."""
        switch(None)
        # A thread that the process's end does not wait for: the SDK itself waits for up to 30 s.
        sending = threading.Thread(target=self._processor.shutdown, name="last-spans", daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, FLUSH_SECONDS)
        self._exporter.shutdown()  # whatever it still tries


async def takes_spans(endpoint: str) -> bool:
    """Whether an OTLP receiver takes an empty request, within some seconds."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # the answer is enough
    exporter = _exporter(endpoint, PROBE_SECONDS)
    try:
        return await asyncio.to_thread(exporter.export, ()) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()


def _exporter(endpoint: str, timeout: float | None = None) -> OTLPSpanExporter:
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=timeout)
