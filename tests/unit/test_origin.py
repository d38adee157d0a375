"""Origins and hosts, compared as URLs: every way in which proxies, operators and browsers write them."""

from __future__ import annotations

import pytest

from neuron_meet.origin import LONGEST_ORIGIN, OriginList, is_own_page, write_origin


@pytest.mark.parametrize(
    ("written", "is_"),
    [
        ("https://meet.example.com", "https://meet.example.com"),
        ("https://meet.example.com/", "https://meet.example.com"),
        ("https://meet.example.com:443", "https://meet.example.com"),
        ("http://meet.example.com:80/", "http://meet.example.com"),
        ("https://meet.example.com:80", "https://meet.example.com:80"),
        ("https://meet.example.com:8443", "https://meet.example.com:8443"),
        ("https://meet.example.com:", "https://meet.example.com"),
        ("HTTPS://Meet.Example.COM", "https://meet.example.com"),
        ("https://meet.example.com.", "https://meet.example.com"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://*.Example.com:443", "https://*.example.com"),
        ("http://[2001:DB8:0::1]:8080", "http://[2001:db8::1]:8080"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("*", "*"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(written: str, is_: str) -> None:
    assert write_origin(written) == is_
    assert write_origin(is_) == is_


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("meet.example.com", "no origin"),
        ("*.example.com", "no origin"),
        ("https://meet.example.com/app", "no origin"),
        ("https://meet.example.com?x", "no origin"),
        ("https://user@meet.example.com", "no origin"),
        ("https://meet.example.com:99999", "no origin"),
        ("https://meet.example.com:http", "no origin"),
        ("https://a https://b", "no origin"),
        ("https://", "no origin"),
        ("https://*", "no origin"),
        ("https://meet.*.com", "no origin"),
        ("https://meet*.example.com", "no origin"),
        ("http://[evil", "no origin"),
        ("https://a..b", "no origin"),
        ('["https://meet.example.com"]', "no origin"),
        ("null", "no origin"),
        ("https://" + "a" * LONGEST_ORIGIN, "no origin"),
        ("wss://meet.example.com", "name the page"),
        ("https://*.com", "top-level"),
    ],
)
def test_what_no_browser_would_send_is_refused(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        write_origin(written)


LISTED = OriginList(
    write_origin(each) for each in ("https://meet.example.com:443", "https://*.wide.example", "http://a:81")
)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://meet.example.com", True),
        ("https://MEET.example.com", True),
        ("https://meet.example.com:443", True),
        ("https://meet.example.com:8443", False),
        ("http://meet.example.com", False),
        ("http://meet.example.com:443", False),
        ("https://evilmeet.example.com", False),
        ("https://meet.example.com.evil.example", False),
        ("https://one.wide.example", True),
        ("https://one.two.wide.example", True),
        ("https://wide.example", False),
        ("https://evilwide.example", False),
        ("https://.wide.example", False),
        ("https://*.wide.example", False),
        ("https://one.wide.example:8443", False),
        ("http://one.wide.example", False),
        ("http://a:81", True),
        ("http://a", False),
        ("null", False),
        ("", False),
        ("http://[evil", False),
    ],
)
def test_who_is_listed(origin: str, allowed: bool) -> None:
    assert (origin in LISTED) is allowed


def test_any_is_any() -> None:
    assert "null" in OriginList(["*"])
    assert "https://a.example" not in OriginList([])


PAGE = "https://meet.example.com"
OTHER_PORT = "https://meet.example.com:8443"


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        (PAGE, {"HOST": "meet.example.com"}),
        (PAGE, {"HOST": "meet.example.com:443"}),
        (PAGE, {"HOST": "MEET.Example.com"}),
        (PAGE, {"HOST": "meet.example.com."}),
        (OTHER_PORT, {"HOST": "meet.example.com:8443"}),
        (OTHER_PORT, {"HOST": "meet.example.com"}),  # nginx: proxy_set_header Host $host
        (PAGE, {"HOST": "node-1:3001", "X_FORWARDED_HOST": "meet.example.com"}),
        (PAGE, {"HOST": "node-1:3001", "X_FORWARDED_HOST": "meet.example.com:443"}),
        (PAGE, {"HOST": "node-1:3001", "X_FORWARDED_HOST": "meet.example.com, edge.internal"}),
        (PAGE, {"HOST": "node-1:3001", "X_FORWARDED_HOST": "edge.internal,Meet.example.com"}),
        (PAGE, {"HOST": "node-1:3001", "FORWARDED": 'for=192.0.2.1;host="meet.example.com:443";proto=https'}),
        (PAGE, {"HOST": "node-1:3001", "FORWARDED": "for=1.2.3.4, for=5.6.7.8; Host=meet.example.com"}),
        ("http://[2001:db8::1]:3001", {"HOST": "[2001:DB8:0::1]:3001"}),
        ("http://127.0.0.1:3001", {"HOST": "127.0.0.1:3001"}),
    ],
)
def test_the_servers_own_page_is_its_own_behind_every_proxy(origin: str, headers: dict[str, str]) -> None:
    assert is_own_page(origin, {f"HTTP_{name}": value for name, value in headers.items()})


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://meet.example.com.evil.example",
        "https://evilmeet.example.com",
        "https://evil.example#meet.example.com",
        "https://evil.example/meet.example.com",
        "https://meet.example.com@evil.example",
        "https://edge",
        "https://*.example.com",
        "null",
        "http://[evil",
        "",
    ],
)
def test_strangers_stay_out(origin: str) -> None:
    named = {
        "HTTP_HOST": "meet.example.com:443",
        "HTTP_X_FORWARDED_HOST": "meet.example.com, [evil, *, null",
        "HTTP_FORWARDED": 'host="meet.example.com',
    }
    assert not is_own_page(origin, named)
    assert not is_own_page(origin, {})


def test_another_port_is_another_page() -> None:
    assert not is_own_page(OTHER_PORT, {"HTTP_HOST": "meet.example.com:443"})
    assert not is_own_page("http://meet.example.com", {"HTTP_HOST": "meet.example.com:443"})
