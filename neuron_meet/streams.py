"""Standard output and standard error for lines: writing never fails; what cannot be written is lost, and counted."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from typing import Literal

_LINES_END = ord("\n")


class StandardStream:
    """One of them, past Python's buffer, which would keep what a full disk refuses, and fail with it at the exit.

    A line that was cut short, as by a disk that is full in its middle, is ended before the next one begins.
    """

    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        self._stream = stream
        self._cut = False
        self.lost = 0
        """Lines that could not be written whole."""

    def write(self, text: str) -> int:
        """Write, or lose, `text`: lines, each with its end."""
        stream = getattr(sys, self._stream)  # now: a test may have put another there
        try:
            number = stream.fileno()
        except (OSError, ValueError):  # not a file: something in this process that takes what is written
            return int(stream.write(text))
        data = memoryview(text.encode(errors="backslashreplace"))
        try:
            if self._cut:
                os.write(number, b"\n")
                self._cut = False
            while data:
                written = os.write(number, data)
                self._cut = data[written - 1] != _LINES_END
                data = data[written:]
        except OSError:
            self.lost += bytes(data).count(_LINES_END)
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered here."""


class TurnsLines:
    """A stream's lines, those of one turn of the event loop written together when it ends: one system call.

    A meeting that ends, or a node that is gone, says a line for each who was in it. Outside of an event loop, and of
    other threads, each line is written at once.
    """

    def __init__(self, stream: StandardStream) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._turning: asyncio.AbstractEventLoop | None = None
        """The loop at the end of whose turn they are written."""
        atexit.register(self.write_out)

    def write(self, text: str) -> int:
        """Write, or lose, `text`, which ends with a line's end, at the end of this turn at the latest."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # not in the loop's thread
            return self._stream.write(text)
        if loop is not self._turning:  # nothing waits, or for a loop that ended in that turn
            loop.call_soon(self.write_out)
            self._turning = loop
        self._lines.append(text)
        return len(text)

    def write_out(self) -> None:
        """Write what this turn has said until now."""
        lines, self._lines, self._turning = self._lines, [], None
        if lines:
            self._stream.write("".join(lines))

    def flush(self) -> None:
        """The end of the turn does it."""
