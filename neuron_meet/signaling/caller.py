"""The one who sends an event: a socket and what the server itself knows about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuron_meet.rates import Bucket


@dataclass(slots=True, eq=False)
class Caller:
    """A connected socket as the use cases see it.

    `user_id` is the verified token's subject or None for a guest: nothing that a client says changes it.
    `gone` turns true when the socket is no longer connected; check it after every await.
    """

    sid: str
    user_id: str | None = None
    auth_name: str = ""
    address: str = ""
    capabilities: frozenset[str] = field(default_factory=frozenset[str])
    gone: bool = False
    has_joined: bool = False
    """Whether it has joined, or knocked, since it was last connected. Of a member it is false after a recovery, here
    or from another node: then a join is that of a front end which joins at every connection."""
    buckets: dict[str, Bucket] = field(default_factory=dict[str, Bucket])
    """How much of each class of events it may still send (signaling/limits.py)."""

    @property
    def session(self) -> str:
        """What stays the same for a guest who comes back: a recovery, here or at another node, gives the socket its id
        again, and no other socket ever gets it."""
        return self.sid
