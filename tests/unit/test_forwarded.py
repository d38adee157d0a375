"""What proxies write of the way of a request: every notation of X-Forwarded-For and Forwarded (RFC 7239)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_meet.forwarded import elements, read_address


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ('"203.0.113.9:4711"', "203.0.113.9"),
        ("203.0.113.9:_port", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:DB8::7]:443", "2001:db8::7"),
        ('"[2001:db8::7]:443"', "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("203.0.113.9:", None),
        ("203.0.113.9:80:80", None),
        ("[203.0.113.9", None),
        ("[]", None),
        ("2001:db8::7:443:x", None),
        ("meet.example.com:443", None),
    ],
)
def test_the_address_of_a_hop(written: str, address: str | None) -> None:
    read = read_address(written)
    assert (None if read is None else str(read)) == address


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("for=192.0.2.43", [{"for": "192.0.2.43"}]),
        (
            "for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com",
            [
                {"for": "192.0.2.43"},
                {"for": "198.51.100.17", "by": "203.0.113.60", "proto": "http", "host": "example.com"},
            ],
        ),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        ("for=a;host=b ,for=c", [{"for": "a", "host": "b"}, {"for": "c"}]),
        ('for="a\\"b, c";by=d', [{"for": 'a"b, c', "by": "d"}]),
        ("for=a;", [{"for": "a"}]),
        # What a client has opened the proxy's part does not close.
        ('for="a, for=203.0.113.9', [{}, {"for": "203.0.113.9"}]),
        ('for="a, for="[2001:db8::7]:443"', [{}, {"for": "[2001:db8::7]:443"}]),
        ("nonsense, for=b", [{}, {"for": "b"}]),
        ("for=b, nonsense", [{"for": "b"}, {}]),
    ],
)
def test_elements(header: str, expected: list[dict[str, str]]) -> None:
    assert elements(header) == expected


@given(st.text(alphabet='for="\\,; []:1a', max_size=60))
def test_what_a_proxy_appends_is_the_last_element_whatever_the_client_wrote(wrote: str) -> None:
    for added in ("203.0.113.9", '"[2001:db8::7]:443"'):
        assert elements(f"{wrote}, for={added}")[-1] == {"for": added.strip('"')}, wrote
