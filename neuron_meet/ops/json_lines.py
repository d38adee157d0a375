"""Lines of the log as JSON, for a third of what structlog's processors and `json.dumps` take.

A line is a good part of what it tells of: where somebody leaves a room, it was 15 % (docs/performance.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from neuron_meet.streams import Said, TurnsLines
from neuron_meet.tracing import trace_id

_ENCODER = msgspec.json.Encoder(enc_hook=repr)
_now = datetime.now
_bound = structlog.contextvars.bind_contextvars(request="")
_REQUEST = _bound["request"].var
"""What `rest/request_ids.py` binds, and nothing else is bound: all variables of a context take as long as the line."""
structlog.contextvars.reset_contextvars(**_bound)


def encoded(lines: Sequence[Said]) -> bytes:
    """All of them, what is no text yet as JSON. In ASCII: beyond it are characters that a terminal obeys."""
    if str not in map(type, lines):
        try:
            data = _ENCODER.encode_lines(lines)
        except Exception:  # noqa: S110 -- one of them is the reason; the others are written
            pass
        else:
            if data.isascii():
                return data
    return b"".join([_encoded(line) for line in lines])


def to_json(values: Mapping[str, object]) -> str:
    """As `encoded` writes it, whatever the values are."""
    try:
        text = _ENCODER.encode(values).decode("ascii")
    except Exception:  # what it cannot write, such as half a surrogate pair, and what has to be escaped
        return _escaped(values)
    return text


def _escaped(values: Mapping[str, object]) -> str:
    try:
        return json.dumps(values, default=repr, separators=(",", ":"))
    except Exception as error:  # whatever a value's `__repr__` raises, there is a line
        told = {name: values[name] for name in ("event", "level") if name in values}
        return json.dumps({**told, "unreadable": type(error).__name__}, default=str)


def _encoded(line: Said) -> bytes:
    text = line if isinstance(line, str) else to_json(line) + "\n"
    return text.encode(errors="backslashreplace")


def saying(
    level: str, output: TurnsLines, everywhere: Mapping[str, object], method: Callable[..., Any]
) -> Callable[..., Any]:
    """`method` of a logger, which logs at `level`, past structlog's processors.

    A line is what they would have made of it, and says `everywhere` besides. It is encoded when it is written: below
    `warning` with others, some milliseconds later. What only they can do is left to them: errors, `%`, what is bound to
    a logger or to a request.
    """
    lingers = level in ("debug", "info")

    def say(self: FilteringBoundLogger, event: str, *arguments: object, **values: object) -> None:
        bound: object = self._context  # pyright: ignore[reportPrivateUsage] - this is one of its methods
        if arguments or "exc_info" in values or bound or _REQUEST.get() is not ...:
            method(self, event, *arguments, **values)
            return
        values["event"] = event
        if (trace := trace_id()) is not None:
            values["trace_id"] = trace
        values.update(everywhere)
        values["level"] = level
        values["timestamp"] = _now(UTC)
        output.say(values, linger=lingers)

    return say
