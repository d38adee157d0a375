"""How many bytes are held for connections, by address and in all: half messages, packets that nobody fetches.

A connection's own bound is some megabytes, and an address may have thousands of connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from neuron_meet.rates import widest

NOTED_BYTES = 65_536
"""A connection that holds less is not counted: 2,000 of those are 131 MB."""
PASSING_SECONDS = 1.0
"""What is held for less long waits for the network alone, or for the end of a turn of the loop."""
SWEEP_SECONDS = 1.0
AT_ANY_TIME = 2
"""So many times as much as the bounds may not be there at any moment, be it only passing."""


class Holder(Protocol):
    """What bytes are held for."""

    @property
    def address(self) -> str:
        """The client's."""
        ...

    def held_bytes(self) -> int:
        """How many there are now."""
        ...

    def give_up(self) -> None:
        """Let go of them: the connection ends, or what was kept is forgotten."""
        ...


class Holdings:
    """Bytes of one kind. Of an address at most `most_each`, of all at most `most`: who holds most of them gives up.

    An address is an IPv4 address, or a /48 of IPv6. `shared` tells whether many clients have it, such as a proxy's,
    which only the bound for all is for then.
    """

    def __init__(self, most_each: int, most: int, shared: Callable[[str], bool] = lambda _: False) -> None:
        self.most_each, self._most, self._shared = most_each, most, shared
        self._noted: dict[Holder, tuple[int, float, str]] = {}
        """How much each holds, since when it is much, and for whom it counts."""
        self._told: set[Holder] = set()
        """Those who give up in this turn of the loop."""
        self._each: dict[str, int] = {}
        self.total = 0
        """Bytes held by those who hold more than `NOTED_BYTES`."""
        self.given_up = 0
        """How often somebody had to give up."""
        self._sweep: asyncio.TimerHandle | None = None

    def note(self, holder: Holder) -> None:
        """`holder` may hold more than before: measure it. That it holds less is noticed without a call.

        Never calls back: who has to give up does so later in this turn of the loop.
        """
        if holder in self._told:
            return
        self._measure(holder)
        if self.total > AT_ANY_TIME * self._most:
            self._bound_all(AT_ANY_TIME)
        elif self._is_too_much(key := widest(holder.address), holder.address, AT_ANY_TIME):
            self._bound_each(key, AT_ANY_TIME)
        if self._sweep is None and self._noted:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look)

    def forget(self, holder: Holder) -> None:
        """It holds nothing any more."""
        if holder in self._noted:
            self._set(holder, 0)

    def close(self) -> None:
        """The server stops."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _set(self, holder: Holder, size: int) -> None:
        known = self._noted.get(holder)
        if known is None and size <= NOTED_BYTES:
            return
        before, since, key = known or (0, asyncio.get_running_loop().time(), widest(holder.address))
        if size > NOTED_BYTES:
            self._noted[holder] = (size, since, key)
        else:
            self._noted.pop(holder, None)
            size = 0
        self.total += size - before
        left = self._each.get(key, 0) + size - before
        if left:
            self._each[key] = left
        else:
            self._each.pop(key, None)

    def _measure(self, holder: Holder) -> None:
        self._set(holder, holder.held_bytes())

    def _is_too_much(self, key: str, address: str, times: int) -> bool:
        return self._each.get(key, 0) > times * self.most_each and not self._shared(address)

    def _bound_all(self, times: int) -> None:
        """Have those give up who hold most, of all, until what is held is within so many times the bound."""
        for holder in list(self._noted):
            self._measure(holder)
        self._shed(list(self._noted), times, lambda: self.total > times * self._most)

    def _bound_each(self, key: str, times: int) -> None:
        """The same for one address, whose key that is."""
        holders = [holder for holder, noted in self._noted.items() if noted[2] == key]
        for holder in holders:
            self._measure(holder)
        self._shed(holders, times, lambda: self._each.get(key, 0) > times * self.most_each)

    def _shed(self, holders: list[Holder], times: int, is_too_much: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() - (PASSING_SECONDS if times == 1 else 0)
        noted = {holder: self._noted[holder] for holder in holders if holder in self._noted}
        for holder, (_, since, _) in sorted(noted.items(), key=lambda item: item[1][0], reverse=True):
            if not is_too_much():
                return
            if since <= until:
                self.given_up += 1
                self._set(holder, 0)
                self._told.add(holder)
                loop.call_soon(self._have_give_up, holder)

    def _have_give_up(self, holder: Holder) -> None:
        self._told.discard(holder)
        holder.give_up()

    def _look(self) -> None:
        """Measure again, and look again while there is anything to be looked at."""
        self._sweep = None
        for holder in list(self._noted):
            self._measure(holder)
        if self.total > self._most:
            self._bound_all(1)
        for key, address in {noted[2]: holder.address for holder, noted in self._noted.items()}.items():
            if self._is_too_much(key, address, 1):
                self._bound_each(key, 1)
        if self._noted:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look)
