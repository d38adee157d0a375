"""How often something may happen: `20 per 5 seconds`, in the notation of the `limits` library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from time import monotonic

from limits import RateLimitItem, parse

_SUBSCRIBER_BITS = 64
"""A subscriber has at least a /64 of IPv6 (RFC 6177): 2^64 addresses that must count as one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` times at once, and `count` times in `seconds` seconds over time."""

    text: str
    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """The rate in `text`, such as `10/minute` or `20 per 5 seconds`. Raises ValueError with an example."""
        try:
            item = parse(text)
        except ValueError:
            raise ValueError("must be a rate such as: 20 per 5 seconds, 10/minute, 600 per hour") from None
        if item.amount < 1:
            raise ValueError("must allow at least one; RATE_LIMIT_ENABLED=false switches limits off")
        return cls(text, item.amount, item.get_expiry())

    @property
    def item(self) -> RateLimitItem:
        """As the `limits` library has it."""
        return parse(self.text)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)
def address_key(address: str) -> str:
    """What is counted for a client's address: an IPv4 address itself, of an IPv6 one its network (/64)."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a unix socket's client has none
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), _SUBSCRIBER_BITS), strict=False).network_address)
    return str(parsed)


class Bucket:
    """A token bucket: full at first, refilled evenly. Two floats, for what is asked on every packet."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, rate: Rate) -> None:
        self._tokens = float(rate.count)
        self._at = monotonic()

    def empty(self, rate: Rate) -> bool:
        """Whether there is no token now."""
        now = monotonic()
        self._tokens = min(float(rate.count), self._tokens + (now - self._at) * rate.count / rate.seconds)
        self._at = now
        return self._tokens < 1

    def take(self, rate: Rate) -> bool:
        """Take a token; False where there is none."""
        now = monotonic()
        self._tokens = min(float(rate.count), self._tokens + (now - self._at) * rate.count / rate.seconds)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Buckets:
    """One bucket for each key, such as an address; the longest unused are forgotten beyond `most`."""

    def __init__(self, rate: Rate, most: int = 50_000) -> None:
        self._rate = rate
        self._most = most
        self._buckets: dict[str, Bucket] = {}

    def take(self, key: str) -> bool:
        """Take a token of `key`; False where there is none."""
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = Bucket(self._rate)
            if len(self._buckets) >= self._most:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = bucket  # last, because just used
        return bucket.take(self._rate)
