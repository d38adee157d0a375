"""Sockets for what HOST may be, and the URLs that are printed of them."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

import pytest

from neuron_meet.listening import listeners, url_of

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


def reachable(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "reached", "unreached"),
    [
        pytest.param("::", ["127.0.0.1", "::1"], [], marks=needs_ipv6),
        pytest.param("::1", ["::1"], ["127.0.0.1"], marks=needs_ipv6),
        ("0.0.0.0", ["127.0.0.1"], ["::1"]),
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2"]),
        ("localhost", ["127.0.0.1"], []),
    ],
)
def test_who_is_reached(host: str, reached: list[str], unreached: list[str]) -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(each) for each in listeners(host, 0)]
        ports = {each.getsockname()[1] for each in made}
        assert len(ports) == 1
        port = ports.pop()
        assert all(reachable(each, port) for each in reached)
        assert not any(reachable(each, port) for each in unreached)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::"])
def test_a_port_that_is_taken(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError) as error:
            listeners(host, taken.getsockname()[1])
        assert error.value.errno == errno.EADDRINUSE


def test_a_name_that_is_none() -> None:
    with pytest.raises(OSError):
        listeners("no-such-host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:3001"),
        ("localhost", "http://localhost:3001"),
        ("::", "http://[::]:3001"),
        ("2001:db8::1", "http://[2001:db8::1]:3001"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]:3001"),
    ],
)
def test_urls(host: str, url: str) -> None:
    assert url_of(host, 3001) == url
