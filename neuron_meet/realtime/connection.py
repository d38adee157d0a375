"""A socket of the default namespace: its caller, what carries it now, and what it may have missed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from neuron_meet.realtime.frames import Frame, Frames
from neuron_meet.signaling.caller import Caller

if TYPE_CHECKING:
    from neuron_meet.realtime.socket import EngineSocket

MAX_KEPT_FRAMES = 4_000
MAX_KEPT_BYTES = 1_000_000
"""What is kept for one socket's return. A socket that missed more is not recovered but starts anew."""


class Connection:
    """A connected or held socket.

    Frames are kept until the client has confirmed them: a pong answers a ping that was sent after them, and
    the transport keeps the order. So a socket in good health keeps a ping interval of frames at most.
    """

    __slots__ = (
        "_confirmed_by_pong",
        "_kept",
        "_kept_bytes",
        "_lost",
        "caller",
        "engine",
        "onward",
        "pid",
        "since",
    )

    def __init__(self, caller: Caller, engine: EngineSocket | None, pid: str | None) -> None:
        self.caller = caller
        self.engine = engine
        self.since = time.time()
        """When it came to this server, in Unix seconds."""
        self.pid = pid
        """The secret that claims this socket back; None where recovery is off."""
        self.onward: Callable[[bytes], None] | None = None
        """Takes what is still written here when another node has the socket: answers to what it had asked."""
        self._kept: deque[Frame] = deque()
        self._kept_bytes = 0
        self._lost = 0
        self._confirmed_by_pong = 0

    def write(self, frame: Frame) -> None:
        """Send a frame, and keep it for a return where it is worth that."""
        if self.onward is not None:
            self.onward(frame.body)
            return
        if frame.number and self.pid is not None:
            kept = self._kept
            kept.append(frame)
            self._kept_bytes += len(frame.body)
            if self._kept_bytes > MAX_KEPT_BYTES or len(kept) > MAX_KEPT_FRAMES:
                self._lose_oldest()
        engine = self.engine
        if engine is not None:
            engine.write(frame)

    def pinged(self, number: int) -> None:
        """A ping went out behind frame `number`."""
        self._confirmed_by_pong = number

    def ponged(self) -> None:
        """The client answered the ping: it has everything that was sent before."""
        self._forget_up_to(self._confirmed_by_pong)

    def missed_since(self, number: int) -> list[Frame] | None:
        """The kept frames after frame `number`, in order; None where some of them are no longer kept."""
        if number < self._lost:
            return None
        return [frame for frame in self._kept if frame.number > number]

    def keep_again(self, frames: Frames, before: Sequence[bytes]) -> list[Frame]:
        """Keep frames of another node ahead of those kept here, all numbered anew. Returns them, in order."""
        bodies = [*before, *(frame.body for frame in self._kept)]
        self._kept = deque(frames.again(body) for body in bodies)
        self._kept_bytes = sum(len(frame.body) for frame in self._kept)
        return list(self._kept)

    @property
    def kept(self) -> int:
        """How many frames are kept."""
        return len(self._kept)

    def _lose_oldest(self) -> None:
        while self._kept and (self._kept_bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_KEPT_FRAMES):
            oldest = self._kept.popleft()
            self._kept_bytes -= len(oldest.body)
            self._lost = oldest.number

    def _forget_up_to(self, number: int) -> None:
        while self._kept and self._kept[0].number <= number:
            self._kept_bytes -= len(self._kept.popleft().body)
