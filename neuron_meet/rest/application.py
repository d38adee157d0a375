"""The aiohttp application that serves declared routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from neuron_meet.rest.address import client_address
from neuron_meet.rest.malformed import keep_out_of_log
from neuron_meet.rest.origins import Origins, add_headers, preflight_middleware
from neuron_meet.rest.problems import problems_middleware
from neuron_meet.rest.request_ids import request_ids
from neuron_meet.rest.routing import Authenticate, Route, add_routes
from neuron_meet.rest.validation import BODY_LIMIT_BYTES
from neuron_meet.settings import Settings


def build_application(
    settings: Settings,
    routes: Iterable[Route[Any]],
    *,
    authenticate: Authenticate,
    unavailable: tuple[type[Exception], ...],
) -> web.Application:
    """An application that answers `routes`, with CORS, security headers and the contract's error bodies.

    `unavailable`: exceptions that mean that a dependency is away (answered with 503). Other handlers, such as
    Socket.IO's under `/socket.io/`, may be added before it is started; that path is left alone.
    """
    keep_out_of_log()
    origins = Origins(settings)
    app = web.Application(
        middlewares=[request_ids, preflight_middleware(origins), problems_middleware(unavailable)],
        client_max_size=BODY_LIMIT_BYTES,
    )
    add_headers(app, origins)
    add_routes(app, routes, authenticate, client_address(settings.trusted_proxies))
    return app
