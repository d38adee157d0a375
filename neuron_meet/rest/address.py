"""The client's address, right behind a proxy that is named, and only then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

Network = IPv4Network | IPv6Network


def client_address(trusted: Sequence[Network]) -> Callable[[web.Request], str]:
    """A function from a request to its client's address, "" where there is none (a unix socket).

    `X-Forwarded-For` is read from the right, as long as the hop that wrote it is in `trusted`: what stands
    left of the first stranger is that stranger's claim (RFC 7239 §8.1). IPv4 in IPv6 counts as IPv4.
    """

    def address_of(request: web.Request) -> str:
        peer = _parse(request.remote or "")
        if peer is None:
            return request.remote or ""
        hops = [
            part.strip() for line in request.headers.getall("X-Forwarded-For", []) for part in line.split(",")
        ]
        while hops and _is_in(peer, trusted):
            hop = _parse(hops.pop())
            if hop is None:  # garbage: believe nothing from here on
                break
            peer = hop
        return str(peer)

    return address_of


@lru_cache(maxsize=1024)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
