"""Each address has a share of a turn of the event loop: what it brings beyond waits for the next turn, in order.

Limits by connection do not bound what many connections of one sender cost together. A share does, and takes nothing
from anybody: while nobody else has work, the next turn comes at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakValueDictionary

from neuron_meet.rates import widest

A_TURN = 256
"""Frames of one address that are handled in a turn of the loop: 1 ms of the cheapest, 10 ms of those that are relayed.
"""
FRAME_SECONDS = 0.00004
"""What one of the dearer ones takes: what is no frame counts as so many as its time."""
KEPT_SECONDS = 1.0


class Turn:
    """A place in the line of a share."""

    __slots__ = ("cost", "go")

    def __init__(self, go: Callable[[], object], cost: int) -> None:
        self.go: Callable[[], object] | None = go
        self.cost = cost

    def cancel(self) -> None:
        """Have nothing called any more."""
        self.go = None


class Share:
    """What one address (of IPv6 its /48) has brought, and what of it waits.

    `used` counts frames; whoever handles one adds it. `used >= limit` tells that :meth:`is_out` must be asked before
    more is handled: two attributes, for what is asked on every packet.
    """

    __slots__ = ("__weakref__", "_at_last_turn", "_counts_turns", "_line", "limit", "used")

    def __init__(self) -> None:
        self.used = 0
        self.limit = A_TURN
        self._line: deque[Turn] = deque()
        self._counts_turns = False
        self._at_last_turn = 0

    def is_out(self) -> bool:
        """Whether nothing more is handled in this turn. To be asked once `used` has reached `limit`."""
        if self._counts_turns:
            return True
        # Those may have come in one turn or in a thousand: turns are counted only from here on, while much comes.
        self._counts_turns, self._at_last_turn = True, self.used
        self.limit = self.used + A_TURN
        asyncio.get_running_loop().call_soon(self._next_turn)
        return False

    def spend(self, seconds: float) -> None:
        """Count something that has taken so long."""
        self.used += 1 + int(seconds / FRAME_SECONDS)

    def wait(self, go: Callable[[], object], cost: int = 0) -> Turn:
        """Have `go` called in a later turn, behind those that wait. `cost`: frames that it stands for, beside those
        that it counts itself.
        """
        turn = Turn(go, cost)
        self._line.append(turn)
        if not self._counts_turns:
            self.is_out()
        return turn

    def take(self, cost: int) -> bool:
        """Whether something that costs as much as so many frames may be handled now; it is counted then."""
        if self._line or (self.used >= self.limit and self.is_out()):
            return False
        self.used += cost
        return True

    async def turn(self, cost: int) -> None:
        """Return when something that costs as much as so many frames may be handled."""
        if self.take(cost):
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self.wait(lambda: called.done() or called.set_result(None), cost)
        try:
            await called
        finally:
            waiting.cancel()

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._line)

    def _next_turn(self) -> None:
        came, self._at_last_turn = self.used - self._at_last_turn, self.used
        self.limit = self.used + A_TURN
        line = self._line
        for _ in range(len(line)):
            if self.used >= self.limit:
                break
            turn = line.popleft()
            if turn.go is None:
                continue
            self.used += turn.cost
            try:
                turn.go()
            except Exception as error:  # the others of the address go on
                told = {"message": "a turn failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
        self._counts_turns = bool(line) or came >= A_TURN // 2
        if self._counts_turns:
            asyncio.get_running_loop().call_soon(self._next_turn)


class Shares:
    """The share of each address, for as long as somebody holds it, and a second more: who asks for one at every request
    gets the same.
    """

    def __init__(self) -> None:
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()
        self._recent: dict[str, Share] = {}
        """By the address itself."""

    def of(self, address: str) -> Share:
        """The share of a client's address."""
        recent = self._recent.get(address)
        if recent is not None:
            return recent
        key = widest(address)
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share()
        if not self._recent:
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._recent.clear)
        self._recent[address] = share
        return share

    @property
    def keys(self) -> int:
        """How many addresses have one."""
        return len(self._shares)
