"""Origins and hosts as URLs have them, however they are written: `https://Meet.example.com:443` is
`https://meet.example.com` (RFC 6454 §4, WHATWG URL).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address

import yarl

from neuron_meet.forwarded import elements

DEFAULT_PORTS = {"http": 80, "https": 443}
"""Ports that browsers leave out of an origin (WHATWG URL, "special scheme"), of the schemes that pages have."""
LONGEST_ORIGIN = 300
"""A host name has 253 characters at most (RFC 1035 §2.3.4); nothing longer is looked at."""
MOST_HOSTS = 8
"""Hosts of one request that are compared: two proxies one behind the other name three."""

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s\\,]+)", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(\d{0,5}))?", re.IGNORECASE)
_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)
_LARGEST_PORT = 65_535
_FEWEST_LABELS = 2
"""Of what follows `*.`: a wildcard for a whole top-level domain is a mistake."""

Host = tuple[str, int | None]
"""A host in lower case and its port, None where there is none. IPv6 stands in brackets, shortened."""


def read_host(text: str) -> Host | None:
    """The host that `Host`, `X-Forwarded-Host` and `Forwarded` name: a name or an address, with a port or without.

    None for what is none.
    """
    match = _HOST.fullmatch(text.strip()) if len(text) <= LONGEST_ORIGIN else None
    if match is None:
        return None
    name, port = _name(match[1]), int(match[2]) if match[2] else None
    return None if name is None or (port or 0) > _LARGEST_PORT else (name, port)


@lru_cache(maxsize=1024)
def read_origin(text: str) -> tuple[str, Host] | None:
    """Scheme and host of an origin, its port named always where the scheme has one. None for what is none."""
    match = _ORIGIN.fullmatch(text.strip().rstrip("/")) if len(text) <= LONGEST_ORIGIN else None
    host = read_host(match[2]) if match is not None else None
    if match is None or host is None:
        return None
    scheme = match[1].lower()
    return scheme, (host[0], host[1] or DEFAULT_PORTS.get(scheme))


def write_origin(text: str) -> str:
    """An origin as browsers write it. `https://*.example.com` stands for every name under example.com.

    Raises ValueError with a sentence for what no browser would ever send.
    """
    if text == "*":
        return text
    read = read_origin(text)
    if read is None:
        raise ValueError(f"{text!r} is no origin: scheme and host, without a path")
    scheme, (name, port) = read
    if scheme in ("ws", "wss"):
        raise ValueError(
            f"{text!r} is no page's origin: name the page, which begins with http:// or https://"
        )
    if name.startswith("*.") and name.count(".") < _FEWEST_LABELS:
        raise ValueError(f"{text!r} allows a whole top-level domain: at least https://*.example.com")
    return f"{scheme}://{name}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{name}:{port}"


class OriginList:
    """Origins as a setting lists them, written as :func:`write_origin` writes them."""

    def __init__(self, origins: Iterable[str]) -> None:
        listed = list(origins)
        self.any = "*" in listed
        self._exact = {origin for origin in map(read_origin, listed) if origin is not None}
        self._below = {
            (scheme, port, name.removeprefix("*"))
            for scheme, (name, port) in self._exact
            if name.startswith("*.")
        }

    def __contains__(self, origin: object) -> bool:
        """Whether a page's origin is among them."""
        if self.any:
            return True
        read = read_origin(origin) if isinstance(origin, str) else None
        if read is None:
            return False
        return "*" not in read[1][0] and (read in self._exact or self._is_below(read))

    def _is_below(self, read: tuple[str, Host]) -> bool:
        scheme, (name, port) = read
        return any(
            (scheme, port) == (its_scheme, its_port) and name.endswith(ending) and len(name) > len(ending)
            for its_scheme, its_port, ending in self._below
        )


def is_own_page(origin: str, environ: Mapping[str, str]) -> bool:
    """Whether a page of `origin` is this server's own, as a request's headers name the server (WSGI's `HTTP_HOST`,
    `HTTP_X_FORWARDED_HOST`, `HTTP_FORWARDED`): by itself, or by the proxies before it, any of them.

    A host without a port is that host at any port: nginx's `$host` leaves out the port at which it was asked.
    """
    read = read_origin(origin)
    if read is None:
        return False
    name, port = read[1]
    return any(host[0] == name and host[1] in (None, port) for host in _hosts(environ))


def _hosts(environ: Mapping[str, str]) -> list[Host]:
    named = [
        environ.get("HTTP_HOST", ""),
        *environ.get("HTTP_X_FORWARDED_HOST", "").split(",", MOST_HOSTS),
        *(element.get("host", "") for element in elements(environ.get("HTTP_FORWARDED", ""))[:MOST_HOSTS]),
    ]
    return [host for host in map(read_host, named) if host is not None]


def _name(text: str) -> str | None:
    if text.startswith("["):
        try:
            return f"[{IPv6Address(text[1:-1])}]"
        except ValueError:
            return None
    name = text.lower().removesuffix(".")
    if not name.isascii():
        try:
            name = yarl.URL.build(scheme="http", host=name).raw_host or ""  # IDNA
        except ValueError:
            return None
    return name if _NAME.fullmatch(name) and ".." not in name else None
