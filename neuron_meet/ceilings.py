"""How much of something may be there at once, of one address and in all. Rates (rates.py) bound how often."""

from __future__ import annotations

from collections.abc import Callable

from neuron_meet.rates import counted

ALL = "all"
"""What has no room when there are as many in all as may be."""


class AtOnce:
    """Counts what is there: at most `most_each` of an address, at most `most` in all (None: no bound).

    Of IPv6 the wider networks around an address count as well (:func:`~neuron_meet.rates.counted`). `shared` tells
    whether many clients have an address, such as a proxy's, which only the bound for all is for then.
    What is there no more takes no place here.
    """

    def __init__(
        self, most_each: int | None, most: int | None, shared: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._most_each, self._most, self._shared = most_each, most, shared
        self._counts: dict[str, int] = {}
        self.total = 0
        """How many there are."""
        self.refused = 0
        """How many there was no room for."""

    def has_room(self, address: str) -> bool:
        """Whether there may be one more of `address` now. Counts a refusal where not."""
        room = self.lacking(address) is None
        self.refused += not room
        return room

    def lacking(self, address: str) -> str | None:
        """What has no room for one more of `address`: the key of it or of a network around it, or :data:`ALL`.

        None where there is room.
        """
        most_each = self._most_each
        if most_each is not None:
            counts = self._counts
            for key, times in counted(address):
                if counts.get(key, 0) >= most_each * times and not self._shared(address):
                    return key
        return ALL if self._most is not None and self.total >= self._most else None

    def take(self, address: str) -> None:
        """Count one more of `address`, whether or not there is room. To be released once, with the same address."""
        self.total += 1
        for key, _ in counted(address):
            self._counts[key] = self._counts.get(key, 0) + 1

    def release(self, address: str) -> None:
        """Count one less of `address`."""
        self.total -= 1
        for key, _ in counted(address):
            left = self._counts[key] - 1
            if left:
                self._counts[key] = left
            else:
                del self._counts[key]

    def count(self, address: str) -> int:
        """How many there are of an address (of IPv6: of its /64)."""
        return self._counts.get(counted(address)[0].key, 0)

    @property
    def keys(self) -> int:
        """How many addresses and networks are counted."""
        return len(self._counts)
