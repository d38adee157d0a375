"""Who is kept out of one room of a cluster: entries with an end, shared with the room's state."""

from __future__ import annotations

import time

from neuron_meet.cluster.keys import hashed
from neuron_meet.rooms.removals import (
    DENIED_SECONDS,
    MAX_OF_ROOM,
    REMOVED_ACCOUNT_SECONDS,
    REMOVED_GUEST_SECONDS,
    Visitor,
    account_key,
    guest_keys,
    keys_of,
    trim,
)

REMOVED, DENIED = "removed", "denied"


class SharedKeptOut:
    """One room's records (:class:`neuron_meet.rooms.removals.KeptOut`), by Unix time.

    Their names are hashes: who looks at Redis reads no guest's address and name in them. Redis keeps as many
    (`neuron_meet/cluster/scripts.py`), so a room's host can push out entries of that room only.
    `added` and `forgotten` say what a step on a fork has changed.
    """

    __slots__ = ("added", "forgotten", "until")

    def __init__(self, until: dict[str, float] | None = None) -> None:
        self.until: dict[str, float] = until or {}
        self.added: dict[str, float] = {}
        self.forgotten = False

    def removed(self, visitor: Visitor) -> bool:
        """Whether they were removed from this meeting and are still kept out."""
        return self._applies(REMOVED, visitor)

    def denied(self, visitor: Visitor) -> bool:
        """Whether they were not let in, some minutes ago at most."""
        return self._applies(DENIED, visitor)

    def remove(self, visitor: Visitor, host_id: str) -> None:
        """Keep somebody out of this meeting."""
        self._record(REMOVED, visitor, REMOVED_ACCOUNT_SECONDS, REMOVED_GUEST_SECONDS)

    def deny(self, visitor: Visitor, host_id: str) -> None:
        """Do not ask again for somebody, for some minutes."""
        self._record(DENIED, visitor, DENIED_SECONDS, DENIED_SECONDS)

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
        trim(self.until, time.time(), MAX_OF_ROOM)

    def _applies(self, what: str, visitor: Visitor) -> bool:
        if not self.until:  # nearly always
            return False
        now = time.time()
        return any(self.until.get(name_of(what, key), 0.0) > now for key in keys_of(visitor))

    def _record(self, what: str, visitor: Visitor, account_seconds: float, guest_seconds: float) -> None:
        now = time.time()
        added = {name_of(what, key): now + guest_seconds for key in guest_keys(visitor)}
        if visitor.user_id is not None:
            added[name_of(what, account_key(visitor.user_id))] = now + account_seconds
        self.added |= added
        self.until |= added


def name_of(what: str, key: str) -> str:
    """The name of an entry: what happened, and the hash of whom it happened to."""
    return f"{what} {hashed(key)}"
