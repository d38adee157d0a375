"""Which pages may open a socket: in production the server's own origin and those that are named."""

from __future__ import annotations

import aiohttp
import pytest

from neuron_meet.app import running
from neuron_meet.settings import Settings

pytestmark = pytest.mark.one_node("handshakes, not rooms")

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
WEBSOCKETS = ("/socket.io/?EIO=4&transport=websocket", "/socket.io/?transport=websocket&EIO=4&t=x")
"""As every client asks, which goes a short way (realtime/engine.py), and as any other may."""
SECRET = "a-secret-of-more-than-thirty-two-bytes-for-tests"


@pytest.mark.parametrize(
    ("named", "origin", "status"),
    [
        ("", None, 200),  # a same-origin GET, or no browser
        ("", "own", 200),
        ("", "https://evil.example.org", 400),
        ("https://meet.example.org", "https://meet.example.org", 200),
        ("https://meet.example.org", "https://evil.example.org", 400),
        ("https://meet.example.org", "own", 200),
        ("", "forwarded", 200),
    ],
)
async def test_who_may_connect_in_production(
    database_url: str, named: str, origin: str | None, status: int
) -> None:
    values = {
        "node_env": "production",
        "jwt_secret": SECRET,
        "host": "127.0.0.1",
        "port": 0,
        "cors_origins": named,
    }
    async with (
        running(Settings.model_validate(values), database_url) as server,
        aiohttp.ClientSession() as session,
    ):
        headers = {} if origin is None else {"Origin": server.url if origin == "own" else origin}
        if origin == "forwarded":  # behind a proxy that names the host for which it was asked
            headers = {"Origin": "https://outside.example.org", "X-Forwarded-Host": "outside.example.org"}
        async with session.get(server.url + HANDSHAKE, headers=headers) as response:
            assert response.status == status
            allowed = response.headers.get("Access-Control-Allow-Origin")
            assert allowed == (headers.get("Origin") if status == 200 else None)
        for path in WEBSOCKETS:
            try:
                async with session.ws_connect(server.url + path, headers=headers) as websocket:
                    assert (await websocket.receive_str()).startswith("0{")
                    assert status == 200
            except aiohttp.WSServerHandshakeError as refused:
                assert refused.status == status == 400
