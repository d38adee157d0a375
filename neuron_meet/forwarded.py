"""What proxies write of the way that a request has come: `X-Forwarded-For`, and `Forwarded` (RFC 7239).

Forwarded: for=203.0.113.9;host=meet.example.com, for="[2001:db8::7]:4711"
X-Forwarded-For: 203.0.113.9:4711, 2001:db8::7
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

_PAIR = re.compile(
    r"""[\s;]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s,;"]*)\s*(?:([;,])|$)""", re.ASCII
)
"""A parameter of an element, and what follows it."""
_ESCAPED = re.compile(r"\\(.)")
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\w+)?|([^:]+):\w+", re.ASCII)
"""An address in brackets, with a port or without; an IPv4 address with a port (RFC 7239 §6; a port may be hidden)."""


def elements(header: str) -> list[dict[str, str]]:
    """The elements of a `Forwarded` header, the client's side first: parameters by name, in lower case.

    What cannot be read is an element without parameters: a client may have opened a quotation in what it wrote, which
    the proxy's part does not close.
    """
    found: list[dict[str, str]] = []
    element: dict[str, str] = {}
    at = 0
    while at < len(header):
        match = _PAIR.match(header, at)
        if match is None:
            element = {}
            comma = header.find(",", at)
            at = len(header) if comma < 0 else comma + 1
        else:
            value = match[2]
            element.setdefault(match[1].lower(), _unquoted(value))
            at = match.end()
            if match[3] == ";":
                continue
        found.append(element)
        element = {}
    return [*found, element] if element else found


@lru_cache(maxsize=1024)
def read_address(text: str) -> Address | None:
    """The address of a hop, with a port or without, in brackets and quotes or without; None for what is none, such as
    `unknown`. IPv4 in IPv6 is IPv4.
    """
    text = _unquoted(text.strip())
    match = _WITH_PORT.fullmatch(text)
    if match is not None:
        text = match[1] if match[1] is not None else match[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=1024)
def address_text(host: str) -> str:
    """How the address of a TCP peer is written here; `host` itself where it is none ("" of a unix socket)."""
    return str(read_address(host) or host)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return _ESCAPED.sub(r"\1", text[1:-1]) if quoted else text
