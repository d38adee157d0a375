"""Standard output and standard error for lines: writing never fails; what cannot be written is lost, and counted."""

from __future__ import annotations

import atexit
import os
import sys
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from collections.abc import Callable, Mapping, Sequence
from threading import current_thread, main_thread
from typing import Literal

_LINES_END = ord("\n")
LINGER_SECONDS = 0.02
"""Forty joins of 0.5 ms: each had a system call of its own, about 1 % of it (docs/performance.md)."""
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

    A meeting that ends, or a node that is gone, says a line for each who was in it. What may linger is written with
    what other turns say, one system call for many joins. Outside of an event loop, and of other threads, each line is
    written at once.
    """

    def __init__(self, stream: StandardStream, encode: Callable[[Sequence[Said]], bytes]) -> None:
        """`encode` makes lines of UTF-8 of what was said, each with its end. It raises nothing."""
        self._stream = stream
        self._encode = encode
        self._said: list[Said] = []
        self._loop: AbstractEventLoop | None = None
        """The loop that writes it."""
        self._lingering: TimerHandle | None = None
        """When it does, where that is not at the end of this turn."""
        atexit.register(self.write_out)

    def say(self, said: Said, *, linger: bool = False) -> None:
        """Write, or lose, this when this turn ends, or within `LINGER_SECONDS`. Nothing in it may change until then."""
        try:
            loop = get_running_loop()
        except RuntimeError:
            if current_thread() is main_thread():  # its loop is over, or did not begin
                self.write_out()
            self._stream.put(self._encode([said]))
            return
        if loop is not self._loop:  # nothing waits, or for a loop that ended before it was written
            self._loop, self._lingering = loop, None
            if linger:
                self._lingering = loop.call_later(LINGER_SECONDS, self.write_out)
            else:
                loop.call_soon(self.write_out)
        elif self._lingering is not None and not linger:
            self._lingering.cancel()
            self._lingering = None
            loop.call_soon(self.write_out)
        self._said.append(said)

    def write(self, text: str) -> int:
        """Say `text`, lines with their ends."""
        self.say(text)
        return len(text)

    def write_out(self) -> None:
        """Write what was said until now."""
        said, self._said, self._loop, self._lingering = self._said, [], None, None
        if said:
            self._stream.put(self._encode(said))

    def flush(self) -> None:
        """The loop does it."""
