"""Logs of a process: where they go, what a line is, and what is never in one. Each in a process of its own,
because logging is configured once for a whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime

import pytest

PROGRAM = """
import logging
import structlog
from neuron_meet.ops.logs import STATE, configure_logs, set_level
from neuron_meet.settings import Settings

configure_logs(Settings(_env_file=None))
log = structlog.get_logger("neuron_meet.test")


def fails(hidden):
    secret_local = hidden + "-local"
    raise ValueError("broken on purpose " + str(len(secret_local)))


print("to standard output")
for level in ("debug", "info", "warning", "error"):
    getattr(log, level)(f"ours at {level}", room="r1")
    getattr(logging.getLogger("socketio.server"), level)("theirs at %s", level)
logging.getLogger("engineio.server").error("late request")
try:
    fails("hunter2")
except ValueError:
    log.exception("ours broke")
    logging.getLogger("aiohttp.server").exception("theirs broke")
started_with = STATE.level
for level in ("debug", "error", started_with):  # a logger that is in use follows
    set_level(level)
    log.debug("later at debug")
    log.warning("later at warning")
"""

ODD = r"""
import structlog
from neuron_meet.ops.logs import configure_logs
from neuron_meet.settings import Settings

configure_logs(Settings(_env_file=None))
print("to standard output")
for value in ("\ud800", "\x9b2J é \u2028", 2**80, float("nan"), {1: 2}, b"bytes", {"set"}, object(), [object]):
    structlog.get_logger("neuron_meet.test").info("odd", value=value)
"""


TURN = r"""
import asyncio
import structlog
from neuron_meet.ops.logs import configure_logs
from neuron_meet.settings import Settings


class Unspeakable:
    def __repr__(self):
        raise ValueError("not to be shown")


async def main():
    for value in ("plain", Unspeakable(), "\ud800", "\x9b2J é \u2028", 2**80):
        log.info("odd", value=value)
    log.warning("%s of %s", 5, "five")


configure_logs(Settings(_env_file=None))
log = structlog.get_logger("neuron_meet.test")
print("to standard output")
asyncio.run(main())
"""

BOTH_WAYS = """
import structlog
from neuron_meet import tracing
from neuron_meet.ops.logs import configure_logs, name_everywhere
from neuron_meet.settings import Settings


class Tracer:
    trace_id = "abc123"


configure_logs(Settings(_env_file=None))
log = structlog.get_logger("neuron_meet.test")
bound = log.bind(bound=True)  # its lines are made by structlog's processors
print("to standard output")


def say():
    for level in ("debug", "info", "warning", "error"):
        for each in (log, bound):
            getattr(each, level)("said", room="r1", count=3, nothing=None)


say()
name_everywhere(node="n1", worker=2)
say()
with structlog.contextvars.bound_contextvars(request="r-7"):
    say()
tracing.switch(Tracer())
say()
"""


def lines(program: str = PROGRAM, **environment: str) -> list[str]:
    """What a process with these settings writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "to standard output\n"
    return done.stderr.splitlines()


LATER = ["later at debug", "later at warning"]
"""What the changed levels let through before the first one is back."""
PRODUCTION = {"NODE_ENV": "production", "JWT_SECRET": "x" * 40}


@pytest.mark.parametrize(
    "environment", [PRODUCTION, {"LOG_FORMAT": "json"}, {**PRODUCTION, "LOG_LEVEL": "warning"}]
)
def test_json_is_one_object_a_line(environment: dict[str, str]) -> None:
    entries = [json.loads(line) for line in lines(**environment)]
    quiet = environment.get("LOG_LEVEL") == "warning"
    assert [entry["event"] for entry in entries] == [
        *([] if quiet else ["ours at info"]),
        "ours at warning",
        "theirs at warning",
        "ours at error",
        "theirs at error",
        "ours broke",
        "theirs broke",
        *LATER,
        "later at warning",
    ]
    for entry in entries:
        assert entry["level"] in ("debug", "info", "warning", "error")
        assert entry["timestamp"].endswith("Z")
    assert entries[0]["room"] == "r1"
    for entry in entries[-5:-3]:
        assert entry["exception"].startswith("Traceback")
        assert entry["exception"].endswith("ValueError: broken on purpose 13")
    assert not any("hunter2" in json.dumps(entry) for entry in entries)


def test_whatever_a_value_is_a_line_is_json_and_nothing_that_a_terminal_obeys() -> None:
    written = lines(ODD, **PRODUCTION)
    assert len(written) == 9
    assert all(line.isascii() and json.loads(line)["event"] == "odd" for line in written)
    assert [json.loads(line)["value"] for line in written[:3]] == ["\ud800", "\x9b2J é \u2028", 2**80]


def test_an_odd_value_takes_no_other_line_of_its_turn_with_it() -> None:
    entries = [json.loads(line) for line in lines(TURN, **PRODUCTION)]
    assert [entry["event"] for entry in entries] == ["odd"] * 5 + ["5 of five"]
    assert [entry.get("value") for entry in entries] == [
        "plain",
        None,
        "\ud800",
        "\x9b2J é \u2028",
        2**80,
        None,
    ]
    assert entries[1]["unreadable"] == "ValueError"


def test_a_line_is_what_structlogs_processors_make_of_it() -> None:
    entries = [json.loads(line) for line in lines(BOTH_WAYS, LOG_LEVEL="debug", **PRODUCTION)]
    assert len(entries) == 32
    for ours, theirs in zip(entries[::2], entries[1::2], strict=True):
        assert theirs.pop("bound") is True
        for entry in (ours, theirs):
            timestamp = entry.pop("timestamp")
            assert timestamp.endswith("Z") and datetime.fromisoformat(timestamp)
        assert ours == theirs
    said = {"event": "said", "room": "r1", "count": 3, "nothing": None, "level": "debug"}
    everywhere = said | {"node": "n1", "worker": 2}
    assert entries[::8] == [
        said,
        everywhere,
        everywhere | {"request": "r-7"},
        everywhere | {"trace_id": "abc123"},
    ]


def test_the_console_is_for_reading() -> None:
    text = "\n".join(lines(LOG_LEVEL="debug"))
    assert "\x1b" not in text  # no terminal, no colours
    for expected in ("ours at debug", "ours at error", "theirs at warning", "room=r1", "Traceback"):
        assert expected in text
    for unexpected in ("theirs at info", "theirs at debug", "late request", "hunter2-local"):
        assert unexpected not in text
    assert text.count("ValueError: broken on purpose 13") == 2


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_is_the_least_that_is_logged(level: str) -> None:
    text = "\n".join(lines(LOG_LEVEL=level.upper()))
    levels = ["debug", "info", "warning", "error"]
    for other in levels:
        assert (f"ours at {other}" in text) is (levels.index(other) >= levels.index(level))
    # Libraries write whole packets below `warning`, whatever the level.
    for other in levels:
        assert (f"theirs at {other}" in text) is (levels.index(other) >= max(2, levels.index(level)))
