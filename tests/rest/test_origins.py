"""Cross-origin requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from neuron_meet.store.client import Database
from tests.rest.server import Answer, Server, serving

PAGE = "https://meet.example.com"
OTHER = "https://evil.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,x-requested-with",
}


def cors(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def ask(server: Server, origin: str | None, method: str = "GET", **headers: str) -> Answer:
    sent: Mapping[str, str] = headers if origin is None else headers | {"Origin": origin}
    return await server.call(method, "/api/health", headers=sent)


def allowing(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "Retry-After",
    }


PREFLIGHT_ANSWER = {
    "access-control-allow-methods": "GET,HEAD,POST,PATCH,DELETE",
    "access-control-allow-headers": "authorization,x-requested-with",
    "access-control-max-age": "600",
}

DEVELOPMENT: dict[str, Any] = {"node_env": "development"}
PRODUCTION: dict[str, Any] = {"node_env": "production"}


@pytest.mark.parametrize(
    ("settings", "origin", "allowed"),
    [
        (DEVELOPMENT, PAGE, True),
        (DEVELOPMENT, "null", True),
        (DEVELOPMENT | {"cors_origins": PAGE}, PAGE, True),
        (DEVELOPMENT | {"cors_origins": PAGE}, OTHER, False),
        (PRODUCTION, PAGE, False),
        (PRODUCTION | {"cors_origins": f"{PAGE}/, https://b.example"}, PAGE, True),
        (PRODUCTION | {"cors_origins": f"{PAGE}, https://b.example"}, "https://b.example", True),
        (PRODUCTION | {"cors_origins": PAGE}, OTHER, False),
        (PRODUCTION | {"cors_origins": PAGE}, PAGE + ".evil.example", False),
        (PRODUCTION | {"cors_origins": PAGE}, "http://meet.example.com", False),
        (PRODUCTION | {"cors_origins": PAGE}, "null", False),
    ],
)
async def test_who_may_read(database: Database, settings: dict[str, Any], origin: str, allowed: bool) -> None:
    async with serving(database, **settings) as server:
        answer = await ask(server, origin)
        assert answer.status == 200
        assert cors(answer) == (allowing(origin) if allowed else {})
        assert answer.headers["vary"] == "Origin"
        preflight = await ask(server, origin, "OPTIONS", **PREFLIGHT)
        assert preflight.status == 204
        assert cors(preflight) == (allowing(origin) | PREFLIGHT_ANSWER if allowed else {})


async def test_errors_can_be_read_across_origins_too(server: Server) -> None:
    answer = await server.call("GET", "/api/auth/me", headers={"Origin": PAGE})
    assert (answer.status, cors(answer)) == (401, allowing(PAGE))
    answer = await server.call("GET", "/api/nothing", headers={"Origin": PAGE})
    assert (answer.status, cors(answer)) == (404, allowing(PAGE))


async def test_without_an_origin_nothing_is_said_about_it(server: Server) -> None:
    answer = await ask(server, None)
    assert cors(answer) == {}
    assert answer.headers["vary"] == "Origin"


async def test_socket_io_answers_for_itself(database: Database, tmp_path: Path) -> None:
    """Whatever is mounted there gets preflights, and its answers and errors pass as they are."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=request.method, headers={"Access-Control-Allow-Origin": "its own"})

    (tmp_path / "index.html").write_text("a page for every other path")

    def mount(app: web.Application) -> None:
        app.router.add_route("*", "/socket.io/", echo)

    async with serving(database, mount=mount, client_dist=tmp_path) as server:
        for method in ("GET", "POST", "OPTIONS"):
            answer = await server.call(method, "/socket.io/", headers={"Origin": PAGE, **PREFLIGHT})
            assert (answer.status, answer.body) == (200, method)
            assert cors(answer) == {"access-control-allow-origin": "its own"}
            assert "content-security-policy" not in answer.headers
