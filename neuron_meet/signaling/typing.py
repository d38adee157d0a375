"""Typing indicators: who types, and the end of it when the client does not say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TYPING_SECONDS = 3.0
"""Without a new start the others are told that it ended (contract, Chat)."""


CLOCK_SECONDS = 0.002
"""uvloop's timers have whole milliseconds and may fire that much early."""


class TypingIndicators:
    """Sockets that type now. `expired` is called with the socket id when one runs out.

    A new start only moves the deadline; the timer looks at it when it fires, so that a fast typist costs
    one timer and not one for each key.
    """

    def __init__(self, expired: Callable[[str], None], seconds: float = TYPING_SECONDS) -> None:
        self._expired = expired
        self._seconds = seconds
        self._deadlines: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._elsewhere: set[str] = set()

    def heard(self, sid: str, *, is_typing: bool) -> None:
        """What another node says of a socket of its own; it also sees to the end of it."""
        if is_typing:
            self._elsewhere.add(sid)
        else:
            self._elsewhere.discard(sid)

    def start(self, sid: str) -> None:
        """The socket types: now and for the next seconds."""
        loop = asyncio.get_running_loop()
        self._deadlines[sid] = loop.time() + self._seconds
        if sid not in self._timers:
            self._timers[sid] = loop.call_later(self._seconds, self._look, sid)

    def stop(self, sid: str) -> bool:
        """The socket types no longer. Returns whether it did."""
        self._elsewhere.discard(sid)
        timer = self._timers.pop(sid, None)
        if timer is not None:
            timer.cancel()
        return self._deadlines.pop(sid, None) is not None

    def typing(self, sid: str) -> bool:
        """Whether the socket types now, here or at another node."""
        return sid in self._deadlines or sid in self._elsewhere

    @property
    def count(self) -> int:
        """How many type now."""
        return len(self._deadlines)

    def _look(self, sid: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = self._deadlines[sid]
        if deadline - loop.time() > CLOCK_SECONDS:
            self._timers[sid] = loop.call_at(deadline, self._look, sid)
            return
        del self._timers[sid], self._deadlines[sid]
        self._expired(sid)
