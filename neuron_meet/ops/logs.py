"""Logs: one line an event that matters, to stderr; console in development, JSON in production. Never content."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from neuron_meet.ops.json_lines import encoded, saying, to_json
from neuron_meet.settings import Settings
from neuron_meet.streams import StandardStream, TurnsLines
from neuron_meet.tracing import trace_id

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@dataclass(slots=True)
class LogState:
    """What can be changed of the logs while the process runs."""

    level: str = "info"
    everywhere: dict[str, str | int] = field(default_factory=dict[str, str | int])
    """What every line says, such as the node's name."""


STATE = LogState()
STDERR = StandardStream("stderr")
_LINES = TurnsLines(STDERR, encoded)
_OUTPUT = cast("TextIO", _LINES)
_ALL = structlog.make_filtering_bound_logger(logging.DEBUG)
_WRITING = {name: getattr(_ALL, name) for name in LEVELS}
LINES = cast("type[FilteringBoundLogger]", type("Lines", (_ALL,), {}))
"""What every logger of this process is; `set_level` changes what it writes, also of loggers that are in use."""


def set_level(level: str) -> None:
    """Log from `level` on, now. Libraries stay at `warning` at least. Raises KeyError for what is none."""
    least = LEVELS[level]
    STATE.level = level
    for name, number in LEVELS.items():
        setattr(LINES, name, _WRITING[name] if number >= least else _write_nothing)
    logging.getLogger().setLevel(max(least, logging.WARNING))


def name_everywhere(**names: str | int) -> None:
    """Have every line say this too."""
    STATE.everywhere.update(names)


def _write_nothing(_self: object, *_event: object, **_values: object) -> None:
    """In the place of a level that is off: a line for each connection costs next to nothing where nobody reads it."""


def _add_everywhere(_logger: object, _method: str, event: EventDict) -> EventDict:
    if (trace := trace_id()) is not None:
        event["trace_id"] = trace
    event.update(STATE.everywhere)
    return event


def _serialized(line: EventDict, **_options: object) -> str:
    return to_json(line)


def configure_logs(settings: Settings) -> None:
    """Send structlog's and the libraries' lines to stderr in the format and from the level of the settings.

    Libraries log from `warning` on: python-socketio and engineio write whole packets at `info`.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and settings.production)
    shared: list[Processor] = [
        _add_everywhere,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_serialized)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the rich one prints local variables: content
        )
    )
    structlog.configure(
        processors=[
            *shared,
            *([structlog.processors.format_exc_info] if as_json else []),
            renderer,
        ],
        wrapper_class=LINES,
        logger_factory=structlog.WriteLoggerFactory(_OUTPUT),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_OUTPUT)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if as_json else []),
                renderer,
            ],
        )
    )
    # Upstream logs a client's late request on a closed session as an error; it is neither ours nor the client's.
    logging.getLogger("engineio.server").setLevel(logging.CRITICAL)
    logging.basicConfig(handlers=[handler], force=True)
    if as_json:
        _WRITING.update(
            {name: saying(name, _LINES, STATE.everywhere, getattr(_ALL, name)) for name in LEVELS}
        )
    set_level(settings.log_level)
