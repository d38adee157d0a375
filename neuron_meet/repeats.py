"""What strangers can cause at will is written once, and then counted: one line a minute, with the count.

`seldom(log.warning, "slow client dropped", by={"address": address}, sid=sid)` writes the line. The next ones by the
same address within a minute are counted; a line `slow client dropped address=… again=17` follows when it is over.
The audit counts in the same way (neuron_meet/audit.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from neuron_meet.rates import address_key

MINUTE_SECONDS = 60.0
MOST_KEYS = 500
"""Twice so many lines a minute at most, some 0.2 MB, whoever sends what."""
MOST_KEYS_OF_ONE = 10
"""One address that names another account each time fills no more of the table than this."""

Facts = Mapping[str, object]
"""Who something is by, such as the address and the account."""


@dataclass(slots=True)
class _Entry:
    """What was seen of one key in this minute."""

    owner: str
    by: Facts
    again: Callable[[Facts, int], object]
    said: int = 0
    counted: int = 0


class Repeats:
    """A bounded table of what was written already. Beyond its bounds only sums are kept: of an owner, then of all."""

    def __init__(
        self,
        *,
        seconds: float = MINUTE_SECONDS,
        most: int = MOST_KEYS,
        most_of_one: int = MOST_KEYS_OF_ONE,
    ) -> None:
        self._seconds, self._most, self._most_of_one = seconds, most, most_of_one
        self._entries: dict[Hashable, _Entry] = {}
        self._owners: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def say(
        self,
        what: str,
        by: Facts,
        first: Callable[[], object],
        again: Callable[[Facts, int], object],
        *,
        owner: str = "",
        burst: int = 1,
    ) -> None:
        """Call `first` at once if `what`, one of few words of this code, was not written `burst` times for `by`.

        Otherwise count it; at the minute's end `again` is called with `by` and the count, or with what is left of `by`
        where the table is full. A minute without any begins anew. `owner`: whose share of the table it takes, such as
        the client's address. Outside of an event loop nothing is counted: `first` is called.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            first()
            return
        if loop is not self._loop:  # of one that is over nobody would be told any more
            self.flush()
            self._loop = loop
        entry = self._entries.get(key := (what, *by.items()))
        if entry is None:
            if len(self._entries) >= self._most or (owner and self._owners[owner] >= self._most_of_one):
                entry = self._sum(what, owner, again)
            else:
                entry = self._add(key, _Entry(owner, by, again))
        if entry.said < burst:
            entry.said += 1
            first()
        else:
            entry.counted += 1

    def _add(self, key: Hashable, entry: _Entry) -> _Entry:
        self._entries[key] = entry
        self._owners[entry.owner] += 1
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(self._seconds, self._minute)
        return entry

    def _sum(self, what: str, owner: str, again: Callable[[Facts, int], object]) -> _Entry:
        """What stands for all that have no place of their own: the owner's others, or everybody's."""
        own: Facts = {"address": owner}
        if (entry := self._entries.get((what, *own.items()))) is not None:
            return entry
        if owner and len(self._entries) < self._most:
            return self._add((what, *own.items()), _Entry(owner, own, again, said=self._most))
        # As many as there are words: these do not count towards the bound.
        entry = self._entries.get(what)
        return entry or self._add(what, _Entry("", {}, again, said=self._most))

    def _minute(self) -> None:
        self._timer = None
        for key, entry in list(self._entries.items()):
            if entry.counted:
                count, entry.counted = entry.counted, 0
                entry.again(entry.by, count)
            else:
                del self._entries[key]
                self._owners[entry.owner] -= 1
                if not self._owners[entry.owner]:
                    del self._owners[entry.owner]
        if self._entries and self._loop is not None:
            self._timer = self._loop.call_later(self._seconds, self._minute)

    def flush(self) -> None:
        """Tell what was counted, and begin anew: at the end of a server, whose last minute is not over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._entries = self._entries, {}
        self._owners.clear()
        for entry in entries.values():
            if entry.counted:
                entry.again(entry.by, entry.counted)


LOG = Repeats()
"""For the log, of which a process has one."""


def seldom(say: Callable[..., object], event: str, *, by: Facts, **facts: object) -> None:
    """Log `event` with `say`, such as `log.warning`, unless it was for `by` in the last minute (:class:`Repeats`).

    Lines that stand for more have `by` and `again`, how many they stand for. Of an `address` that is IPv6, all of its
    network (/64) count together.
    """
    address = by.get("address")
    owner = address_key(address) if isinstance(address, str) and address else ""
    counted = {**by, "address": owner} if owner else by

    def again(who: Facts, count: int) -> None:
        say(event, **who, again=count)

    LOG.say(event, counted, lambda: say(event, **by, **facts), again, owner=owner)
