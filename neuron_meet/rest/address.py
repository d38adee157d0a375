"""The client's address, right behind a proxy that is named, and only then."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import structlog
from aiohttp import web

from neuron_meet.forwarded import Address, address_text, elements, read_address

log = structlog.get_logger(__name__)

Network = IPv4Network | IPv6Network

X_FORWARDED_FOR, FORWARDED = "X-Forwarded-For", "Forwarded"
MOST_UNNAMED = 1_000
"""Proxies that nobody named, remembered at most. Beyond those, more are told from clients by nothing."""


class ClientAddresses:
    """From a request to its client's address, "" where there is none (a unix socket).

    `X-Forwarded-For` (`Forwarded`, where there is none) is read from the right, as long as the hop that wrote it is in
    `trusted`: what stands left of the first stranger is that stranger's claim (RFC 7239 §8.1). IPv4 in IPv6 counts as
    IPv4.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._unnamed: set[str] = set()
        self._warned: set[bool] = set()

    def __call__(self, request: web.BaseRequest) -> str:
        """The address of the request's client."""
        headers = request.headers
        if X_FORWARDED_FOR not in headers and FORWARDED not in headers:
            return address_text(request.remote or "")
        peer = read_address(request.remote or "")
        if peer is None:
            return request.remote or ""
        if not self._trusts(peer):
            self._notice(peer)
            return str(peer)
        hops = _hops(request)
        while hops and self._trusts(peer):
            hop = read_address(hops.pop())
            if hop is None:  # garbage: believe nothing from here on
                break
            peer = hop
        return str(peer)

    def is_proxy(self, address: str) -> bool:
        """Whether many clients may come from `address`: it is a proxy that is named, or one that nobody named.

        The latter has been seen to say for whom it asks, and has an address that is not global (loopback, a private
        network): a client on the internet cannot have one, and so cannot pass for a proxy.
        """
        if address in self._unnamed:
            return True
        parsed = read_address(address)
        return parsed is not None and self._trusts(parsed)

    def _trusts(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)

    def _notice(self, peer: Address) -> None:
        """A peer says for whom it asks, and nobody has named it. Said once, and once more of one with a global address:
        whoever likes can have that said, and the proxy's line must still come.
        """
        if not peer.is_global and len(self._unnamed) < MOST_UNNAMED:
            self._unnamed.add(str(peer))
        if peer.is_global in self._warned:
            return
        self._warned.add(peer.is_global)
        log.warning(
            "X-Forwarded-For or Forwarded from a peer that TRUSTED_PROXIES does not name: all its clients count as one",
            setting="TRUSTED_PROXIES",
            peer=str(peer),
        )


def _hops(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall(X_FORWARDED_FOR, ())
    if lines:
        return [hop for line in lines for hop in line.split(",")]
    lines = request.headers.getall(FORWARDED, ())
    return [element.get("for", "") for line in lines for element in elements(line)]
