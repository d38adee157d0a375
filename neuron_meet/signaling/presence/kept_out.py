"""Who is kept out of one room of a cluster: entries with an end, shared with the room's state."""

from __future__ import annotations

import time

from neuron_meet.rooms.removals import (
    DENIED_SECONDS,
    REMOVED_ACCOUNT_SECONDS,
    REMOVED_GUEST_SECONDS,
    Visitor,
    account_key,
    guest_keys,
)

MAX_ENTRIES = 2_000
"""Entries kept of one room at most; the oldest go first."""


class SharedKeptOut:
    """One room's records (:class:`neuron_meet.rooms.removals.KeptOut`), by Unix time.

    `added` and `forgotten` say what a step on a fork has changed.
    """

    __slots__ = ("added", "forgotten", "until")

    def __init__(self, until: dict[str, float] | None = None) -> None:
        self.until: dict[str, float] = until or {}
        self.added: dict[str, float] = {}
        self.forgotten = False

    def removed(self, visitor: Visitor) -> bool:
        """Whether they were removed from this meeting and are still kept out."""
        return self._applies("removed", visitor)

    def denied(self, visitor: Visitor) -> bool:
        """Whether they were not let in, some minutes ago at most."""
        return self._applies("denied", visitor)

    def remove(self, visitor: Visitor) -> None:
        """Keep somebody out of this meeting."""
        self._record("removed", visitor, REMOVED_ACCOUNT_SECONDS, REMOVED_GUEST_SECONDS)

    def deny(self, visitor: Visitor) -> None:
        """Do not ask again for somebody, for some minutes."""
        self._record("denied", visitor, DENIED_SECONDS, DENIED_SECONDS)

    def forget(self) -> None:
        """The meeting is over."""
        self.until, self.added, self.forgotten = {}, {}, True

    def fork(self) -> SharedKeptOut:
        """A copy to try a step on."""
        return SharedKeptOut(dict(self.until))

    def take_over(self, added: dict[str, float], *, forgotten: bool) -> None:
        """What a step has changed, here or elsewhere."""
        if forgotten:
            self.until.clear()
        self.until.update(added)
        while len(self.until) > MAX_ENTRIES:
            del self.until[next(iter(self.until))]

    def _applies(self, what: str, visitor: Visitor) -> bool:
        keys = [account_key(visitor.user_id)] if visitor.user_id is not None else guest_keys(visitor)
        now = time.time()
        return any(self.until.get(f"{what} {key}", 0.0) > now for key in keys)

    def _record(self, what: str, visitor: Visitor, account_seconds: float, guest_seconds: float) -> None:
        now = time.time()
        added = {f"{what} {key}": now + guest_seconds for key in guest_keys(visitor)}
        if visitor.user_id is not None:
            added[f"{what} {account_key(visitor.user_id)}"] = now + account_seconds
        self.added |= added
        self.until |= added
