"""Request ids: every line that is logged while a request is handled names it, and so does the answer."""

from __future__ import annotations

import re
import secrets

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from neuron_meet.rest.problems import SOCKET_IO_PREFIX

HEADER = "X-Request-Id"
_GIVEN = re.compile(r"[\w.:=+/-]{1,100}")
"""What a proxy's id may look like; anything else is replaced, so that nobody writes into the log by it."""

_ID = web.RequestKey("request_id", str)


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the id that a proxy gave, or make one. Connections of Socket.IO have their socket's id instead."""
    if request.path.startswith(SOCKET_IO_PREFIX):
        return await handler(request)
    given = request.headers.get(HEADER, "")
    request_id = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
    request[_ID] = request_id
    with structlog.contextvars.bound_contextvars(request=request_id):
        return await handler(request)


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Name the id in an answer (`on_response_prepare`)."""
    if (request_id := request.get(_ID)) is not None:
        response.headers[HEADER] = request_id
