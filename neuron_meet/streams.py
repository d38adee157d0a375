"""Standard output and standard error for lines: writing never fails; what cannot be written is lost, and counted."""

from __future__ import annotations

import os
import sys
from typing import Literal


class StandardStream:
    """One of them, past Python's buffer, which would keep what a full disk refuses, and fail with it at the exit.

    A line that was cut short, as by a disk that is full in its middle, is ended before the next one begins.
    """

    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        self._stream = stream
        self._cut = False
        self.lost = 0

    def write(self, text: str) -> int:
        """Write, or lose, `text`, which ends with a line's end."""
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
                data, self._cut = data[written:], written < len(data)
        except OSError:
            self.lost += 1
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered here."""
