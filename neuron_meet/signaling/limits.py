"""How often one socket may send what. Buckets live and die with the socket's caller."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.rates import Bucket, Buckets, Rate, counted
from neuron_meet.settings import Settings
from neuron_meet.signaling.caller import Caller


class Pace(Enum):
    """Classes of events that share a limit."""

    JOIN = "joins"
    CHAT = "chat"
    TYPING = "typing"
    MEDIA = "media"
    RELAY = "relay"
    HOST = "host"
    UNJOINED = "unjoined"
    INVALID = "invalid"
    PATIENCE = "patience"


class SharedBuckets(Protocol):
    """Token buckets that all nodes share."""

    async def take(self, what: str, rate: Rate, key: str) -> bool:
        """Take a token; False where there is none. Raises PresenceUnavailable where nobody can say."""
        ...


class EventLimits:
    """The limits on events, from the settings; with `RATE_LIMIT_ENABLED=false` everything is allowed.

    Those of an address are this node's and, where there are others, all nodes' together (`shared`): this node's
    stands before, so that a flood does not get as far as Redis, and alone for as long as Redis is out of reach.
    `refused_connections` counts those that an address was not allowed.
    """

    def __init__(self, settings: Settings, shared: SharedBuckets | None = None) -> None:
        self.shared = shared if settings.rate_limit_enabled else None
        self._join_rate = settings.limit_joins_address
        self._connection_rate = settings.limit_connections_address
        self._enabled = settings.rate_limit_enabled
        self._rates: dict[Pace, Rate] = {
            Pace.JOIN: settings.limit_joins,
            Pace.CHAT: settings.limit_chat,
            Pace.TYPING: settings.limit_typing,
            Pace.MEDIA: settings.limit_media,
            Pace.RELAY: settings.limit_relay,
            Pace.HOST: settings.limit_host,
            Pace.UNJOINED: settings.limit_unjoined,
            Pace.INVALID: settings.limit_invalid,
            Pace.PATIENCE: settings.limit_patience,
        }
        self._joins = Buckets(settings.limit_joins_address)
        self._connections = Buckets(settings.limit_connections_address)
        self.refused_connections = 0

    def allow(self, caller: Caller, pace: Pace) -> bool:
        """Whether the caller may do one more of that class now."""
        if not self._enabled:
            return True
        rate = self._rates[pace]
        bucket = caller.buckets.get(pace.value)
        if bucket is None:
            bucket = caller.buckets[pace.value] = Bucket(rate)
        return bucket.take(rate)

    def exhausted(self, caller: Caller, pace: Pace) -> bool:
        """Whether the caller may do none of that class now. Takes nothing."""
        bucket = caller.buckets.get(pace.value)
        return (
            bucket is not None and self._enabled and not bucket.was_filled and bucket.empty(self._rates[pace])
        )

    def allow_join_from(self, address: str) -> bool:
        """Whether one more join may come from that address to this node now."""
        return not self._enabled or self._joins.take(address)

    def allow_connection_from(self, address: str) -> bool:
        """Whether one more connection may come from that address to this node now."""
        allowed = not self._enabled or self._connections.take(address)
        self.refused_connections += not allowed
        return allowed

    async def allow_join_anywhere(self, address: str) -> bool:
        """Whether one more join may come from that address to any node now; to be asked last."""
        return await self._allowed("joins", self._join_rate, address)

    async def allow_connection_anywhere(self, address: str) -> bool:
        """Whether one more connection may come from that address to any node now; to be asked last."""
        allowed = await self._allowed("connections", self._connection_rate, address)
        self.refused_connections += not allowed
        return allowed

    async def _allowed(self, what: str, rate: Rate, address: str) -> bool:
        if self.shared is None:
            return True
        try:
            for key, times in reversed(counted(address)):  # all nodes' networks, the widest first
                if not await self.shared.take(what, rate.times(times), key):
                    return False
        except PresenceUnavailable:
            pass  # within this node's limit
        return True
