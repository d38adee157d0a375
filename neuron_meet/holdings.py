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

    def note(self, holder: Holder, size: int) -> None:
        """`holder` holds `size` bytes now. Called where they are more than `NOTED_BYTES`; less is noticed by itself.

        Never calls back: who has to give up does so later in this turn of the loop.
        """
        if holder in self._told:
            return
        self._set(holder, size)
        if self._exceeds(holder.address, AT_ANY_TIME):
            for each in self._noted_of(holder.address):
                self._set(each, each.held_bytes())
            self._bound(holder.address, AT_ANY_TIME)
        if self._sweep is None:
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
        loop = asyncio.get_running_loop()
        before, since, key = self._noted.get(holder) or (0, loop.time(), widest(holder.address))
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

    def _exceeds(self, address: str, times: int) -> bool:
        return self.total > times * self._most or self._is_too_much(address, times)

    def _is_too_much(self, address: str, times: int) -> bool:
        return self._each.get(widest(address), 0) > times * self.most_each and not self._shared(address)

    def _noted_of(self, address: str) -> list[Holder]:
        """Those whose bytes count: of all where all hold too much, else of the address."""
        if self.total > self._most:
            return list(self._noted)
        key = widest(address)
        return [holder for holder, noted in self._noted.items() if noted[2] == key]

    def _bound(self, address: str, times: int) -> None:
        """Have those give up who hold most until what is held is within so many times the bounds."""
        loop = asyncio.get_running_loop()
        until = loop.time() - (PASSING_SECONDS if times == 1 else 0)
        for holder in sorted(self._noted_of(address), key=self._size, reverse=True):
            if not self._exceeds(address, times):
                return
            if self._noted[holder][1] <= until:
                self.given_up += 1
                self._set(holder, 0)
                self._told.add(holder)
                loop.call_soon(self._have_give_up, holder)

    def _have_give_up(self, holder: Holder) -> None:
        self._told.discard(holder)
        holder.give_up()

    def _size(self, holder: Holder) -> int:
        return self._noted[holder][0]

    def _look(self) -> None:
        """Measure again, and look again while there is anything to be looked at."""
        self._sweep = None
        for holder in list(self._noted):
            self._set(holder, holder.held_bytes())
        for address in {holder.address for holder in self._noted}:
            if self._exceeds(address, 1):
                self._bound(address, 1)
        if self._noted:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._look)
