"""Who was removed from which meeting, and for how long that keeps them out."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import nlargest
from typing import NamedTuple, Protocol

REMOVED_ACCOUNT_SECONDS = 12 * 3600.0
"""A removed account stays out for the rest of the day's meeting."""
REMOVED_GUEST_SECONDS = 600.0
"""A guest has no identity to hold on to: their socket, and their address together with their name, stay out so long."""
DENIED_SECONDS = 300.0
"""Whom the host did not let in is not asked for again for so long (contract: "for some minutes")."""
MAX_OF_ROOM = 2_000
"""Entries kept of one room at most: some 700 removals, seven times the largest meeting."""
MAX_REMOVALS = 50_000
"""Entries kept of all rooms at most, some 12 MB; beyond it hosts who have more than others lose theirs first."""


class Visitor(NamedTuple):
    """Somebody at a door: their socket, their verified account if any, their address, the name they use."""

    sid: str
    user_id: str | None
    address: str
    name: str


class _Table:
    """Who is kept out of one room, until when, and whose room it is."""

    __slots__ = ("host_id", "until")

    def __init__(self, host_id: str) -> None:
        self.host_id = host_id
        self.until: dict[str, float] = {}


class Removals:
    """Who is kept out of which room, in this process's memory.

    Nobody's entries are pushed out by what others do in their rooms: each room has a bound of its own, and where all
    rooms together have too many, the hosts who have most are cut to the same number each.
    """

    def __init__(
        self,
        *,
        account_seconds: float = REMOVED_ACCOUNT_SECONDS,
        guest_seconds: float = REMOVED_GUEST_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._account_seconds = account_seconds
        self._guest_seconds = guest_seconds
        self._rooms: dict[str, _Table] = {}
        self._entries = 0

    def __len__(self) -> int:
        """Entries of all rooms."""
        return self._entries

    def record(self, code: str, visitor: Visitor, host_id: str) -> None:
        """Keep somebody out of the meeting `code`, which is `host_id`'s."""
        until = dict.fromkeys(guest_keys(visitor), self._guest_seconds)
        if visitor.user_id is not None:
            until[account_key(visitor.user_id)] = self._account_seconds
        self._put(code, host_id, until)

    def record_account(self, code: str, user_id: str, host_id: str, seconds: float) -> None:
        """Keep an account out of the meeting `code` for so long: it was removed before this process began."""
        self._put(code, host_id, {account_key(user_id): seconds})

    def applies(self, code: str, visitor: Visitor) -> bool:
        """Whether somebody was removed from the meeting `code` and is still kept out."""
        if (table := self._rooms.get(code)) is None:
            return False
        now = self._now()
        return any(table.until.get(key, 0.0) > now for key in keys_of(visitor))

    def forget(self, code: str) -> None:
        """The meeting is over."""
        if (table := self._rooms.pop(code, None)) is not None:
            self._entries -= len(table.until)

    def _put(self, code: str, host_id: str, seconds: dict[str, float]) -> None:
        now = self._now()
        table = self._rooms.setdefault(code, _Table(host_id))
        before = len(table.until)
        table.until |= {key: now + left for key, left in seconds.items()}
        trim(table.until, now, MAX_OF_ROOM)
        self._entries += len(table.until) - before
        if self._entries > MAX_REMOVALS:
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Drop what is over, then what hosts have above the same number for each; a tenth is free afterwards."""
        by_host: defaultdict[str, list[tuple[float, str, str]]] = defaultdict(list)
        for code, table in self._rooms.items():
            by_host[table.host_id] += [
                (until, code, key) for key, until in table.until.items() if until > now
            ]
        target = MAX_REMOVALS * 9 // 10
        share = fair_share([len(entries) for entries in by_host.values()], target)
        kept = [entry for entries in by_host.values() for entry in nlargest(share, entries)]
        hosts = {code: table.host_id for code, table in self._rooms.items()}
        self._rooms.clear()
        for until, code, key in nlargest(target, kept):
            self._rooms.setdefault(code, _Table(hosts[code])).until[key] = until
        self._entries = sum(len(table.until) for table in self._rooms.values())


def trim(until: dict[str, float], now: float, most: int) -> None:
    """Where there are more than `most` entries: drop what is over, then what ends soonest; a quarter is free then."""
    if len(until) > most:
        kept = nlargest(most * 3 // 4, ((end, key) for key, end in until.items() if end > now))
        until.clear()
        until.update((key, end) for end, key in kept)


def fair_share(sizes: Sequence[int], most: int) -> int:
    """How much each may keep, one at least, so that all together keep `most`, and who has less than that keeps all."""
    left = most
    for index, size in enumerate(sorted(sizes)):
        others = len(sizes) - index
        if size * others > left:
            return max(left // others, 1)
        left -= size
    return max(sizes, default=1)


class KeptOut(Protocol):
    """Who is kept out of one room, by the host's word."""

    def removed(self, visitor: Visitor) -> bool:
        """Whether they were removed from this meeting and are still kept out."""
        ...

    def denied(self, visitor: Visitor) -> bool:
        """Whether they were not let in, some minutes ago at most."""
        ...

    def remove(self, visitor: Visitor, host_id: str) -> None:
        """Keep somebody out of this meeting, which is `host_id`'s."""
        ...

    def deny(self, visitor: Visitor, host_id: str) -> None:
        """Do not ask again for somebody, for some minutes."""
        ...

    def forget(self) -> None:
        """The meeting is over."""
        ...

    def fork(self) -> KeptOut:
        """A copy to try a step on, where steps are tried; the same where they are done at once."""
        ...


class RoomRemovals:
    """One room's part of the records of this process (:class:`KeptOut`)."""

    __slots__ = ("_code", "_denials", "_removals")

    def __init__(self, code: str, removals: Removals, denials: Removals) -> None:
        self._code, self._removals, self._denials = code, removals, denials

    def removed(self, visitor: Visitor) -> bool:
        """Whether they were removed from this meeting and are still kept out."""
        return self._removals.applies(self._code, visitor)

    def denied(self, visitor: Visitor) -> bool:
        """Whether they were not let in, some minutes ago at most."""
        return self._denials.applies(self._code, visitor)

    def remove(self, visitor: Visitor, host_id: str) -> None:
        """Keep somebody out of this meeting, which is `host_id`'s."""
        self._removals.record(self._code, visitor, host_id)

    def deny(self, visitor: Visitor, host_id: str) -> None:
        """Do not ask again for somebody, for some minutes."""
        self._denials.record(self._code, visitor, host_id)

    def forget(self) -> None:
        """The meeting is over."""
        self._removals.forget(self._code)
        self._denials.forget(self._code)

    def fork(self) -> KeptOut:
        """The same: this process does its steps at once."""
        return self


def account_key(user_id: str) -> str:
    """What an account is known by."""
    return f"user:{user_id}"


def keys_of(visitor: Visitor) -> list[str]:
    """What somebody at the door is known by: a verified account by nothing else."""
    return [account_key(visitor.user_id)] if visitor.user_id is not None else guest_keys(visitor)


def guest_keys(visitor: Visitor) -> list[str]:
    """What a guest is known by: the socket; the address together with the name."""
    # Of an account too: who signs out and comes back as a guest under the same name is the same.
    return [f"socket:{visitor.sid}", f"guest:{visitor.address}:{visitor.name.casefold()}"]
