"""A receiver of traces on loopback: what an OpenTelemetry collector is for a server that sends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

DEADLINE = 30.0


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    name: str
    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    failed: bool
    said: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What came so far."""

    url: str = ""
    spans: list[Span] = field(default_factory=list[Span])
    bodies: list[bytes] = field(default_factory=list[bytes])
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        assert request.headers["Content-Type"] == "application/x-protobuf"
        body = await request.read()
        sent = ExportTraceServiceRequest.FromString(body)
        async with self.changed:
            self.bodies.append(body)
            for resource in sent.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += [_span(span, resource.resource) for span in scope.spans]
            self.changed.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def event(self, name: str, result: str) -> tuple[Span, list[Span]]:
        """The next trace of such an event that ended so: its root, and all of it in the order of their beginnings."""

        def found() -> Span | None:
            ended = {span.id for span in self.spans}
            for span in self.spans:
                if (span.name, span.parent, span.said.get("neuron_meet.result")) == (name, "", result):
                    whole = [other for other in self.spans if other.trace == span.trace]
                    if all(other.parent in ended for other in whole if other.parent):
                        return span
            return None

        async with asyncio.timeout(DEADLINE), self.changed:
            root = await self.changed.wait_for(found)
        assert root is not None
        trace = sorted((span for span in self.spans if span.trace == root.trace), key=lambda s: s.begun)
        self.spans = [span for span in self.spans if span.trace != root.trace]
        return root, trace


def _span(span: Any, resource: Any) -> Span:
    return Span(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        begun=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        said=_said(span.attributes),
        resource=_said(resource.attributes),
    )


def _said(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def tree(spans: list[Span]) -> list[Any]:
    """Their names: each span as a name, or as a name with those of the spans inside it."""

    def below(parent: str) -> list[Any]:
        inside = [(span.name, below(span.id)) for span in spans if span.parent == parent]
        return [(name, spans) if spans else name for name, spans in inside]

    return below("")


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A receiver on a free port."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()
