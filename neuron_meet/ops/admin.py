"""The admin address: metrics and administration, apart from the public one.

With `ADMIN_TOKEN` everything but the empty page asks for it (`Authorization: Bearer …`). Without it there are
metrics alone, and settings.py sees to it that the address is a loopback one.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from neuron_meet.failure import ForeseenFailure
from neuron_meet.listening import listeners, url_of
from neuron_meet.ops.metrics import Metrics
from neuron_meet.repeats import seldom
from neuron_meet.rest.malformed import Runner
from neuron_meet.rest.problems import SOCKET_IO_PREFIX, problem_response, problems_middleware
from neuron_meet.settings import Settings

log = structlog.get_logger(__name__)

LONGEST_PATH_LOGGED = 100

OPEN_TO_ALL = frozenset({"/", "/admin.js", "/admin.css"})
"""The page, without data: it asks for the token itself."""


class AdminPortTaken(ForeseenFailure):
    """The admin address cannot be listened on. The text says what to do."""


def metrics_route(metrics: Metrics) -> web.RouteDef:
    """`GET /metrics`."""

    async def scrape(request: web.Request) -> web.Response:
        body, content_type = metrics.scrape(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    return web.get("/metrics", scrape)


@asynccontextmanager
async def admin_server(
    settings: Settings,
    routes: Iterable[web.RouteDef],
    unavailable: tuple[type[Exception], ...] = (),
    attach: Callable[[web.Application], None] | None = None,
) -> AsyncGenerator[str | None]:
    """Serve `routes` at the admin address for the length of the block. Gives its URL, None where there is none.

    `unavailable`: as in `problems_middleware`. `attach` adds what asks for its own password, at the path of Socket.IO.
    Raises AdminPortTaken.
    """
    if settings.admin_port is None:
        yield None
        return
    secrets = (settings.admin_token, *settings.admin_token_previous) if settings.admin_token else ()
    tokens = [secret.get_secret_value() for secret in secrets]
    app = web.Application(middlewares=[problems_middleware(unavailable), _asking_for(tokens)])
    app.add_routes(routes)
    if attach is not None:
        attach(app)
    app.on_response_prepare.append(_add_headers)
    runner = Runner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            sockets = listeners(settings.admin_host, settings.admin_port)
        except OSError as error:
            raise AdminPortTaken(
                f"Port {settings.admin_port} on {settings.admin_host} cannot be used ({error.strerror}). "
                "Stop what listens there, or choose another with ADMIN_PORT."
            ) from error
        for each in sockets:
            await web.SockSite(runner, each).start()
        url = url_of(settings.admin_host, sockets[0].getsockname()[1])
        log.info("admin address", url=url, token=bool(tokens))
        yield url
    finally:
        await runner.cleanup()


def _asking_for(tokens: Sequence[str]) -> Middleware:
    """Lets nobody pass who knows none of `tokens`; without any everybody (there is nothing but metrics then)."""

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        itself = request.path.startswith(SOCKET_IO_PREFIX)  # a 404 where nothing is attached there
        if not tokens or itself or request.path in OPEN_TO_ALL or _knows(request, tokens):
            return await handler(request)
        seldom(
            log.warning,
            "admin refused",
            by={"address": request.remote},
            path=request.path[:LONGEST_PATH_LOGGED],
        )
        return problem_response(401, "Unauthorized")

    return ask


def _knows(request: web.Request, tokens: Sequence[str]) -> bool:
    """Whether the request carries one of the tokens; takes the same time whatever it carries instead."""
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    # Digests of equal length: compare_digest alone would tell the length.
    digest = _digest(given.strip())
    is_known = [hmac.compare_digest(digest, _digest(token)) for token in tokens]
    return scheme.lower() == "bearer" and any(is_known)


def _digest(text: str) -> bytes:
    return hmac.digest(b"neuron-meet admin", text.encode("utf-8", "surrogateescape"), "sha256")


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
