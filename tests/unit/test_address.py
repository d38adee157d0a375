"""The client's address behind proxies: only what a trusted one says is believed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request

from neuron_meet.rest.address import ClientAddresses

PROXY, OUTER, INSIDE = "10.0.0.1", "192.168.7.1", ("10.0.0.0/8", "192.168.7.1/32", "fd00::/8")


def address(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = INSIDE) -> str:
    """The address of a request from `peer` with these X-Forwarded-For lines."""
    headers = [("X-Forwarded-For", line) for line in forwarded]
    # A real request whose peer is changed: on loopback all would come from 127.0.0.1.
    request = make_mocked_request("GET", "/", headers=headers).clone()  # type: ignore[arg-type]
    request = request.clone(remote=peer) if peer is not None else request
    return ClientAddresses([ip_network(network) for network in trusted])(request)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        (PROXY, (), PROXY),
        (PROXY, ("203.0.113.9",), "203.0.113.9"),
        # A stranger's header is the stranger's own invention.
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),
        # What stands left of the first stranger is that stranger's claim.
        (PROXY, ("198.51.100.1, 203.0.113.9",), "203.0.113.9"),
        (PROXY, ("127.0.0.1, 10.9.9.9, 203.0.113.9",), "203.0.113.9"),
        # Two proxies, one behind the other; the header in one line or in two.
        (PROXY, (f"203.0.113.9, {OUTER}",), "203.0.113.9"),
        (PROXY, ("198.51.100.1, 203.0.113.9", OUTER), "203.0.113.9"),
        (PROXY, (f" 203.0.113.9 ,{OUTER}",), "203.0.113.9"),
        # Everybody is trusted: the farthest is the client.
        (PROXY, (f"10.1.1.1, {OUTER}",), "10.1.1.1"),
        # Garbage ends the belief.
        (PROXY, ("203.0.113.9, unknown",), PROXY),
        (PROXY, (f"203.0.113.9, unknown, {OUTER}",), OUTER),
        (PROXY, ("",), PROXY),
        (PROXY, ("203.0.113.9,",), PROXY),
        (PROXY, ("<script>",), PROXY),
        # IPv6, and IPv4 in it.
        ("2001:db8::1", (), "2001:db8::1"),
        ("2001:DB8:0::1", (), "2001:db8::1"),
        ("::ffff:203.0.113.9", (), "203.0.113.9"),
        ("::ffff:10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        (PROXY, ("::ffff:203.0.113.9",), "203.0.113.9"),
        ("fd00::1", ("2001:db8::1",), "2001:db8::1"),
        ("fe00::1", ("2001:db8::1",), "fe00::1"),
    ],
)
def test_addresses(peer: str, forwarded: tuple[str, ...], expected: str) -> None:
    assert address(peer, *forwarded) == expected


def test_without_trusted_proxies_the_peer_it_is() -> None:
    assert address(PROXY, "203.0.113.9", trusted=()) == PROXY
    assert address("127.0.0.1", "203.0.113.9", trusted=()) == "127.0.0.1"


def test_no_address_at_all() -> None:
    assert address(None, "203.0.113.9") == ""


def test_thousands_of_hops_are_read_once() -> None:
    assert address(PROXY, ", ".join(["203.0.113.9"] + [OUTER] * 5000)) == "203.0.113.9"
