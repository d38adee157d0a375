"""A watch on the event loop: whoever holds it for long is named in the log, and counted."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback

import structlog

from neuron_meet.durations import Durations

log = structlog.get_logger(__name__)

STALL_SECONDS = 0.1
"""From here on people notice (issue 4)."""
CHECK_SECONDS = 0.1
INNERMOST_FRAMES = 6


class StallWatch:
    """Asks the loop for a sign of life from a thread of its own; where none comes in time, looks at what it does.

    `stalls` counts them, `longest` is the longest, in seconds; `lag` has how long each answer took. Costs two
    wake-ups every tenth of a second.
    """

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.stalls = 0
        self.longest = 0.0
        self.lag = Durations()

    def start(self) -> None:
        """Watch the running loop."""
        loop, thread_id = asyncio.get_running_loop(), threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, args=(loop, thread_id), name="stall-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._answered.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        while True:
            # Before the look at `_stopped`: a clear after it could undo `stop`'s, which then waits for ever.
            self._answered.clear()
            if self._stopped.wait(CHECK_SECONDS):
                return
            asked = time.monotonic()
            try:
                loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # the loop is closed
                return
            if self._answered.wait(self._stall_seconds):
                self.lag.add(time.monotonic() - asked)
                continue
            held_by = _stack(thread_id)
            self._answered.wait()
            seconds = time.monotonic() - asked
            if self._stopped.is_set():
                return
            self.lag.add(seconds)
            self.stalls += 1
            self.longest = max(self.longest, seconds)
            log.warning("event loop stalled", milliseconds=round(seconds * 1000), held_by=held_by)


def _stack(thread_id: int) -> str:
    """Where a thread is: file, line and function of its innermost frames; never values."""
    # Documented, and for just this, whatever its name says.
    frame = sys._current_frames().get(thread_id)  # pyright: ignore[reportPrivateUsage]
    frames = traceback.extract_stack(frame)[-INNERMOST_FRAMES:] if frame else []
    return " < ".join(
        f"{entry.name} ({entry.filename.rsplit('/', 1)[-1]}:{entry.lineno})" for entry in reversed(frames)
    )
