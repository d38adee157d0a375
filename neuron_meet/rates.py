"""How often something may happen: `20 per 5 seconds`, in the notation of the `limits` library."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from time import monotonic
from typing import NamedTuple

from limits import RateLimitItem, parse

_SUBSCRIBER_BITS = 64
"""A subscriber has at least a /64 of IPv6 (RFC 6177): 2^64 addresses that must count as one."""
_WIDER = ((56, 4), (48, 16))
"""And at most a /48, which many providers and tunnels give to whoever asks; a /56 is what households get (RFC 6177 §2).
Of each so many times as much is allowed as of a /64: what a customer has counts, and neighbours have room."""
_OVERFLOW = "overflow "
_OVERFLOW_KEYS = 256
"""What is counted together where a table is full. 256 times what one address may is far more than honest newcomers need
meanwhile, and far less than tens of thousands of strangers would have each for themselves."""


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

    def times(self, factor: int) -> Rate:
        """So many times as much in the same time."""
        if factor == 1:
            return self
        count = self.count * factor
        return Rate(f"{count} per {self.seconds} seconds", count, self.seconds)

    def __str__(self) -> str:
        return self.text


class Counted(NamedTuple):
    """Something that is counted: its key, and how many times a limit it may have."""

    key: str
    times: int = 1


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


@lru_cache(maxsize=1024)
def counted(address: str) -> tuple[Counted, ...]:
    """All that counts for a client's address, the narrowest first: what :func:`address_key` says, and of IPv6 the wider
    networks around it, which are one customer's just as well.
    """
    key = address_key(address)
    try:
        parsed = ip_address(address)
    except ValueError:
        return (Counted(key),)
    if not isinstance(parsed, IPv6Address):
        return (Counted(key),)
    return (Counted(key), *(Counted(_network(int(parsed), bits), times) for bits, times in _WIDER))


def widest(address: str) -> str:
    """The key of the widest network that :func:`counted` has for a client's address."""
    return counted(address)[-1].key


def _network(address: int, bits: int) -> str:
    return str(IPv6Network((address, bits), strict=False))


_secret = os.urandom(16)


def overflow_key(key: str) -> str:
    """Where `key` is counted while a table of keys is full: one of a few keys, which nobody can choose."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=_secret, digest_size=4).digest()
    return f"{_OVERFLOW}{int.from_bytes(digest) % _OVERFLOW_KEYS}"


def is_overflow(key: str) -> bool:
    """Whether it is one of those."""
    return key.startswith(_OVERFLOW)


class Bucket:
    """A token bucket: full at first, refilled evenly. Two floats, for what is asked on every packet."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, rate: Rate) -> None:
        self._tokens = float(rate.count)
        self._at = monotonic()

    @property
    def was_filled(self) -> bool:
        """Whether there was a token when it was last looked at: then there is one now, at a fraction of the price."""
        return self._tokens >= 1

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

    def charge(self, rate: Rate) -> float:
        """Take a token, of the next ones where there is none. Returns the seconds until it would have been there."""
        now, most = monotonic(), rate.count
        tokens = self._tokens + (now - self._at) * most / rate.seconds
        self._tokens = tokens = (min(most, tokens)) - 1
        self._at = now
        return 0.0 if tokens >= 0 else -tokens * rate.seconds / most

    def give_back(self) -> None:
        """A token that was taken is not used."""
        self._tokens += 1

    def is_rested(self, rate: Rate) -> bool:
        """Whether it was unused for so long that it is full, as a new one is: nothing is lost when it is forgotten."""
        return monotonic() - self._at >= rate.seconds


class Buckets:
    """One bucket for each address, and for each wider network of IPv6 (:func:`counted`).

    Beyond `most` the longest unused one is forgotten, if it was unused for so long that it is full again. While the
    table is full of others, newcomers share a few (:func:`overflow_key`): who comes from very many addresses can have
    neither their own nor anybody else's forgotten by it.
    """

    def __init__(self, rate: Rate, most: int = 50_000) -> None:
        self._rate = rate
        self._most = most
        self._rates = {times: rate.times(times) for times in (1, *(times for _, times in _WIDER))}
        self._buckets: dict[str, Bucket] = {}

    def take(self, address: str) -> bool:
        """Take a token of the address, and of each network around it; False, and none is taken, where one has none."""
        taken: list[Bucket] = []
        for key, times in reversed(
            counted(address)
        ):  # the widest first: a network that is out makes no new entries
            rate = self._rates[times]
            bucket = self._bucket(key, rate)
            if not bucket.take(rate):
                for each in taken:
                    each.give_back()
                return False
            taken.append(bucket)
        return True

    def charge(self, address: str) -> float:
        """Take a token of the address, and of each network around it, there or not. Returns the seconds until all of
        them would have been there.
        """
        longest = 0.0
        for key, times in counted(address):
            rate = self._rates[times]
            seconds = self._bucket(key, rate).charge(rate)
            longest = max(longest, seconds)
        return longest

    def _bucket(self, key: str, rate: Rate) -> Bucket:
        buckets = self._buckets
        bucket = buckets.pop(key, None)
        if bucket is None:
            if len(buckets) >= self._most:
                oldest = next(iter(buckets))
                if buckets[oldest].is_rested(rate):
                    del buckets[oldest]
                else:
                    key = f"{overflow_key(key)}, {rate.count}"
                    bucket = buckets.pop(key, None)
            bucket = bucket or Bucket(rate)
        buckets[key] = bucket  # last, because just used
        return bucket
