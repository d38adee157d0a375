"""Tracing, where the environment asks for it: else not even its packages are imported."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import ModuleType

import structlog

from neuron_meet.failure import ForeseenFailure
from neuron_meet.settings import Settings
from neuron_meet.tracing import switch

log = structlog.get_logger(__name__)


class TracingMissing(ForeseenFailure):
    """The packages that tracing needs are not installed. The text says what to do."""


@asynccontextmanager
async def traced(settings: Settings, node: str) -> AsyncGenerator[None]:
    """Have events traced for the length of the block, where OTEL_EXPORTER_OTLP_ENDPOINT says where to.

    Raises TracingMissing.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        yield
        return
    tracer = _spans().OpenTelemetryTracer(settings.otel_exporter_otlp_endpoint, node)
    switch(tracer)
    log.info("tracing", endpoint=settings.otel_exporter_otlp_endpoint)
    try:
        yield
    finally:
        await tracer.stop()


async def try_receiver(endpoint: str) -> None:
    """Send nothing at all to an OTLP receiver. Raises ForeseenFailure where it does not take it; TracingMissing."""
    if not await _spans().takes_spans(endpoint):
        raise ForeseenFailure(
            f"{endpoint} takes no traces (OTLP over HTTP, path /v1/traces): start the receiver, or correct "
            "OTEL_EXPORTER_OTLP_ENDPOINT, and OTEL_EXPORTER_OTLP_HEADERS where it asks for a key."
        )


def _spans() -> ModuleType:
    try:
        from neuron_meet.ops import spans  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise TracingMissing(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is not installed: "
            "pip install 'neuron-meet[tracing]', or leave that variable out."
        ) from None
    return spans
