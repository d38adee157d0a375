"""In production and without CORS_ORIGINS: the own page connects, whatever the proxy writes; a stranger's does not."""

from __future__ import annotations

from aiohttp import WSServerHandshakeError

from tests.proxies.fronts import NAME, Front
from tests.proxies.notations import HOSTS, PORT_NAMED

OWN = f"https://{NAME}"
STRANGERS = (f"https://{NAME}.evil.example", "https://evil.example", f"https://edge.{NAME}", "null")
OTHER_PORT = f"https://{NAME}:8443"
"""A stranger's where the proxy names the port; a host without a port is that host at any port."""


async def test_every_notation_of_the_host(front: Front) -> None:
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    async with front.session("127.0.1.250") as session:
        for name in HOSTS[front.kind]:
            for origin in (OWN, OTHER_PORT, *STRANGERS):
                headers = {"Origin": origin, "Host": NAME}
                url = f"/{name}/socket.io/?EIO=4&transport="
                async with session.get(url + "polling", headers=headers) as response:
                    polling = response.status
                try:
                    async with session.ws_connect(url + "websocket", headers=headers):
                        websocket = 101
                except WSServerHandshakeError as refused:
                    websocket = refused.status
                seen[name, origin] = polling, websocket
    for (name, origin), statuses in seen.items():
        own = name not in PORT_NAMED[front.kind] if origin == OTHER_PORT else origin == OWN
        assert statuses == ((200, 101) if own else (400, 400)), (name, origin)
