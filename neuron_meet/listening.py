"""Sockets that listen, and URLs that name them, for the addresses of HOST and ADMIN_HOST: `0.0.0.0`, `::`, a name."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

BACKLOG = 1024
EVERY_ADDRESS = "::"
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""`localhost` may mean an IPv6 address where there is no IPv6, as in many containers: its other one will do."""


def listeners(host: str, port: int, *, backlog: int = BACKLOG) -> list[socket.socket]:
    """Sockets that listen on `port` at every address that `host` means: one, or some for a name such as `localhost`.

    `::` is every address, IPv4's included (asyncio and aiohttp would leave those out). With port 0 all take the same
    free one. Raises OSError, and leaves nothing open then.
    """
    if host == EVERY_ADDRESS and socket.has_dualstack_ipv6():
        return [
            socket.create_server((host, port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
        ]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, place in dict.fromkeys((family, place) for family, _, _, _, place in found):
            try:
                made.append(_listener(family, (place[0], _port(made) or port, *place[2:]), backlog))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY or (not made and place == found[-1][4]):
                    raise
    except BaseException:
        for each in made:
            each.close()
        raise
    return made


def _listener(family: int, place: tuple[Any, ...], backlog: int) -> socket.socket:
    try:
        return socket.create_server(place, family=family, backlog=backlog)
    except OSError as error:  # whose text names the address once more
        raise OSError(error.errno, os.strerror(error.errno or 0)) from None


def _port(made: list[socket.socket]) -> int:
    return int(made[0].getsockname()[1]) if made else 0


def url_of(host: str, port: int) -> str:
    """The URL of what listens there; an IPv6 address stands in brackets (RFC 3986 §3.2.2, RFC 6874)."""
    written = f"[{host.replace('%', '%25')}]" if ":" in host else host
    return f"http://{written}:{port}"
