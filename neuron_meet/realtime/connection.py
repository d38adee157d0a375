"""A socket of the default namespace: its caller, what carries it now, and what it may have missed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from neuron_meet.holdings import NOTED_BYTES, Holdings
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
        "_keeping",
        "_kept",
        "_kept_bytes",
        "_lost",
        "_noted_from",
        "caller",
        "engine",
        "onward",
        "pid",
        "since",
    )

    def __init__(
        self, caller: Caller, engine: EngineSocket | None, pid: str | None, keeping: Holdings
    ) -> None:
        """`keeping`: where the bytes are counted that are kept for returns."""
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
        self._keeping = keeping
        self._noted_from = min(MAX_KEPT_BYTES, NOTED_BYTES)
        """So many bytes are counted, next."""
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
            if self._kept_bytes > self._noted_from or len(kept) > MAX_KEPT_FRAMES:
                self._keeps_much()
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

    # -- bytes that are held for it (holdings.py)
    @property
    def address(self) -> str:
        """The client's."""
        return self.caller.address

    def held_bytes(self) -> int:
        """What is kept for its return."""
        return self._kept_bytes

    def give_up(self) -> None:
        """All that is kept for this client and its neighbours is too much: should it drop now, it starts anew."""
        if self._kept:
            self._lost = self._kept[-1].number
        self._kept.clear()
        self._kept_bytes, self._noted_from = 0, min(MAX_KEPT_BYTES, NOTED_BYTES)

    def over(self) -> None:
        """Nobody comes back to it."""
        self._keeping.forget(self)

    def _keeps_much(self) -> None:
        self._lose_oldest()
        self._noted_from = min(MAX_KEPT_BYTES, self._kept_bytes + NOTED_BYTES)
        self._keeping.note(self)

    def _lose_oldest(self) -> None:
        while self._kept and (self._kept_bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_KEPT_FRAMES):
            oldest = self._kept.popleft()
            self._kept_bytes -= len(oldest.body)
            self._lost = oldest.number

    def _forget_up_to(self, number: int) -> None:
        while self._kept and self._kept[0].number <= number:
            self._kept_bytes -= len(self._kept.popleft().body)
        self._noted_from = min(MAX_KEPT_BYTES, max(0, self._kept_bytes - NOTED_BYTES) + NOTED_BYTES)
