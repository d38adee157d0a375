"""Standard output and standard error for lines: writing never fails; what cannot be written is lost, and counted."""

from __future__ import annotations

import atexit
import os
import sys
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

_LINES_END = ord("\n")
Said = Mapping[str, object] | str
"""What a line says, by name; or lines as text, with their ends."""


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
        self.put(text.encode(errors="backslashreplace"))
        return len(text)

    def put(self, lines: bytes) -> None:
        """Write, or lose, lines of UTF-8, each with its end."""
        stream = getattr(sys, self._stream)  # now: a test may have put another there
        try:
            number = stream.fileno()
        except (OSError, ValueError):  # not a file: something in this process that takes what is written
            stream.write(lines.decode())
            return
        data = memoryview(lines)
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

    def flush(self) -> None:
        """Nothing is buffered here."""


class TurnsLines:
    """What is said in one turn of the event loop, encoded and written when it ends, together: one system call.

    A meeting that ends, or a node that is gone, says a line for each who was in it. Outside of an event loop, and of
    other threads, each line is written at once.
    """

    def __init__(self, stream: StandardStream, encode: Callable[[Sequence[Said]], bytes]) -> None:
        """`encode` makes lines of UTF-8 of what was said, each with its end. It raises nothing."""
        self._stream = stream
        self._encode = encode
        self._said: list[Said] = []
        self._turning: AbstractEventLoop | None = None
        """The loop at the end of whose turn they are written."""
        atexit.register(self.write_out)

    def say(self, said: Said) -> None:
        """Write, or lose, this at the end of this turn at the latest. Nothing in it may change until then."""
        try:
            loop = get_running_loop()
        except RuntimeError:  # not in the loop's thread
            self._stream.put(self._encode([said]))
            return
        if loop is not self._turning:  # nothing waits, or for a loop that ended in that turn
            loop.call_soon(self.write_out)
            self._turning = loop
        self._said.append(said)

    def write(self, text: str) -> int:
        """Say `text`, lines with their ends."""
        self.say(text)
        return len(text)

    def write_out(self) -> None:
        """Write what this turn has said until now."""
        said, self._said, self._turning = self._said, [], None
        if said:
            self._stream.put(self._encode(said))

    def flush(self) -> None:
        """The end of the turn does it."""
