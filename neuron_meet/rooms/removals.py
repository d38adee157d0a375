"""Who was removed from which meeting, and for how long that keeps them out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

REMOVED_ACCOUNT_SECONDS = 12 * 3600.0
"""A removed account stays out for the rest of the day's meeting."""
REMOVED_GUEST_SECONDS = 600.0
"""A guest has no identity to hold on to: their socket, and their address together with their name, stay out so long."""
DENIED_SECONDS = 300.0
"""Whom the host did not let in is not asked for again for so long (contract: "for some minutes")."""
MAX_REMOVALS = 10_000
"""Entries kept at most; the oldest go first. Bounds memory against a host who removes without end."""


class Visitor(NamedTuple):
    """Somebody at a door: their socket, their verified account if any, their address, the name they use."""

    sid: str
    user_id: str | None
    address: str
    name: str


class Removals:
    """Who is kept out of which room, in memory: a restart of the server forgets them (docs/security.md)."""

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
        self._until: dict[tuple[str, str], float] = {}

    def record(self, code: str, visitor: Visitor) -> None:
        """Keep somebody out of the meeting `code`."""
        until = dict.fromkeys(guest_keys(visitor), self._guest_seconds)
        if visitor.user_id is not None:
            until[account_key(visitor.user_id)] = self._account_seconds
        for key, seconds in until.items():
            self._until.pop((code, key), None)
            self._until[code, key] = self._now() + seconds
        while len(self._until) > MAX_REMOVALS:
            del self._until[next(iter(self._until))]

    def applies(self, code: str, visitor: Visitor) -> bool:
        """Whether somebody was removed from the meeting `code` and is still kept out."""
        keys = [account_key(visitor.user_id)] if visitor.user_id is not None else guest_keys(visitor)
        for key in keys:
            until = self._until.get((code, key))
            if until is None:
                continue
            if until > self._now():
                return True
            del self._until[code, key]
        return False

    def forget(self, code: str) -> None:
        """The meeting is over."""
        for entry in [entry for entry in self._until if entry[0] == code]:
            del self._until[entry]


class KeptOut(Protocol):
    """Who is kept out of one room, by the host's word."""

    def removed(self, visitor: Visitor) -> bool:
        """Whether they were removed from this meeting and are still kept out."""
        ...

    def denied(self, visitor: Visitor) -> bool:
        """Whether they were not let in, some minutes ago at most."""
        ...

    def remove(self, visitor: Visitor) -> None:
        """Keep somebody out of this meeting."""
        ...

    def deny(self, visitor: Visitor) -> None:
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

    def remove(self, visitor: Visitor) -> None:
        """Keep somebody out of this meeting."""
        self._removals.record(self._code, visitor)

    def deny(self, visitor: Visitor) -> None:
        """Do not ask again for somebody, for some minutes."""
        self._denials.record(self._code, visitor)

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


def guest_keys(visitor: Visitor) -> list[str]:
    """What a guest is known by: the socket; the address together with the name."""
    # Of an account too: who signs out and comes back as a guest under the same name is the same.
    return [f"socket:{visitor.sid}", f"guest:{visitor.address}:{visitor.name.casefold()}"]
