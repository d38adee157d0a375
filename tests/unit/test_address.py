"""The client's address behind proxies: only what a trusted one says is believed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from neuron_meet.rest.address import ClientAddresses

PROXY, OUTER, INSIDE = "10.0.0.1", "192.168.7.1", ("10.0.0.0/8", "192.168.7.1/32", "fd00::/8")


def asked(peer: str | None, *forwarded: str, header: str = "X-Forwarded-For") -> web.Request:
    """A request from `peer` with these lines of a header."""
    headers = [(header, line) for line in forwarded]
    # A real request whose peer is changed: on loopback all would come from 127.0.0.1.
    request = make_mocked_request("GET", "/", headers=headers).clone()  # type: ignore[arg-type]
    return request.clone(remote=peer) if peer is not None else request


def knowing(*trusted: str) -> ClientAddresses:
    return ClientAddresses([ip_network(network) for network in trusted])


def address(
    peer: str | None, *forwarded: str, trusted: tuple[str, ...] = INSIDE, header: str = "X-Forwarded-For"
) -> str:
    """The address of such a request's client."""
    return knowing(*trusted)(asked(peer, *forwarded, header=header))


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
        # With ports, in brackets, in quotes: HAProxy, Azure's gateways, IIS and others.
        (PROXY, ("203.0.113.9:4711",), "203.0.113.9"),
        (PROXY, ("[2001:db8::7]:4711",), "2001:db8::7"),
        (PROXY, ("[2001:db8::7]",), "2001:db8::7"),
        (PROXY, ('"[2001:db8::7]:4711"',), "2001:db8::7"),
        (PROXY, (f"203.0.113.9:4711, {OUTER}:80",), "203.0.113.9"),
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


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (("for=203.0.113.9",), "203.0.113.9"),
        (('for="203.0.113.9:4711";proto=https;host=meet.example.com',), "203.0.113.9"),
        (('For="[2001:db8::7]:4711"',), "2001:db8::7"),
        ((f"for=203.0.113.9, for={OUTER};by=10.0.0.1",), "203.0.113.9"),
        (("for=203.0.113.9", f"for={OUTER}"), "203.0.113.9"),
        (("for=198.51.100.1, for=203.0.113.9",), "203.0.113.9"),
        (('for="198.51.100.1, for=203.0.113.9',), "203.0.113.9"),
        (("for=unknown",), PROXY),
        (("for=_secret",), PROXY),
        (("by=10.0.0.1",), PROXY),
        (("",), PROXY),
    ],
)
def test_forwarded(forwarded: tuple[str, ...], expected: str) -> None:
    assert address(PROXY, *forwarded, header="Forwarded") == expected
    assert address("203.0.113.77", *forwarded, header="Forwarded") == "203.0.113.77"


def test_x_forwarded_for_goes_before_forwarded() -> None:
    request = asked(PROXY, "203.0.113.9")
    both = request.clone(headers={**request.headers, "Forwarded": "for=198.51.100.1"})
    assert knowing(*INSIDE)(both.clone(remote=PROXY)) == "203.0.113.9"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_proxy_that_nobody_named_is_told_of_once(header: str) -> None:
    addresses = knowing("10.0.0.0/8")
    with structlog.testing.capture_logs() as lines:
        for peer in ("172.16.0.5", "172.16.0.5", "127.0.0.1", "9.9.9.9", "8.8.8.8"):
            assert addresses(asked(peer, "for=198.51.100.1", header=header)) == peer
        addresses(asked("10.0.0.1", "198.51.100.1", header=header))
        addresses(asked("192.168.0.1"))
    told = [(line["log_level"], line["setting"], line["peer"]) for line in lines]
    # A second time of a global address, because anybody on the internet can bring that one about.
    assert told == [
        ("warning", "TRUSTED_PROXIES", "172.16.0.5"),
        ("warning", "TRUSTED_PROXIES", "9.9.9.9"),
    ]


def test_who_is_a_proxy() -> None:
    addresses = knowing("10.0.0.0/8")
    private = ("172.16.0.5", "127.0.0.1", "100.64.0.9", "fd00::1", "::1", "fe80::1")
    assert addresses.is_proxy("10.1.2.3"), "it is named"
    assert not any(addresses.is_proxy(each) for each in private), "nobody has said for whom they ask"
    for peer in (*private, "9.9.9.9", "2001:4860::1"):
        addresses(asked(peer, "198.51.100.1"))
    assert all(addresses.is_proxy(each) for each in private)
    assert not addresses.is_proxy("9.9.9.9"), "a client on the internet cannot pass for one"
    assert not addresses.is_proxy("2001:4860::1")
    assert not addresses.is_proxy("")
