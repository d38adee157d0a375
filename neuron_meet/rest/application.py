"""The aiohttp application that serves declared routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from neuron_meet.pace import UNPACED, Pace
from neuron_meet.rest.address import ClientAddresses
from neuron_meet.rest.malformed import keep_out_of_log
from neuron_meet.rest.origins import Origins, add_headers, preflight_middleware
from neuron_meet.rest.problems import SOCKET_IO_PREFIX, problems_middleware
from neuron_meet.rest.request_ids import add_request_id, request_ids
from neuron_meet.rest.routing import Authenticate, Route, Serving, add_routes
from neuron_meet.rest.turns import RequestTurns
from neuron_meet.rest.validation import BODY_LIMIT_BYTES
from neuron_meet.settings import Settings


def build_application(
    settings: Settings,
    routes: Iterable[Route[Any]],
    *,
    authenticate: Authenticate,
    unavailable: tuple[type[Exception], ...],
    addresses: ClientAddresses | None = None,
    in_background: Callable[[], None] = lambda: None,
    pace: Pace = UNPACED,
) -> web.Application:
    """An application that answers `routes`, with CORS, security headers and the contract's error bodies.

    `unavailable`: exceptions that mean that a dependency is away (answered with 503). Other handlers, such as
    Socket.IO's under `/socket.io/`, may be added before it is started; that path is left alone. `addresses` and
    `in_background`: as in :class:`~neuron_meet.rest.routing.Serving`. `pace`: of all other requests than Socket.IO's.
    """
    keep_out_of_log()
    addresses = addresses or ClientAddresses(settings.trusted_proxies)
    origins = Origins(settings)
    app = web.Application(
        middlewares=[
            _keeping(pace, addresses),
            request_ids,
            preflight_middleware(origins),
            problems_middleware(unavailable),
        ],
        client_max_size=BODY_LIMIT_BYTES,
    )
    add_headers(app, origins)
    app.on_response_prepare.append(add_request_id)
    turns = RequestTurns(addresses.is_proxy, enabled=settings.rate_limit_enabled)
    add_routes(app, routes, Serving(authenticate, addresses, turns, in_background))
    return app


def _keeping(pace: Pace, addresses: ClientAddresses) -> Middleware:
    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        if (
            not request.path.startswith(SOCKET_IO_PREFIX)
            and (turn := pace.keep(addresses(request))) is not None
        ):
            await turn
        return await handler(request)

    return keep
