"""What aiohttp answers by itself, in the shape of every other error: without what was sent and without a version.

Requests that are no HTTP, expectations that it cannot meet, exceptions before and beside the application's middlewares.
aiohttp's own answers quote the request, which may be the beginning of a token, and its log an exception for each.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import ClientPayloadError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from neuron_meet import errors
from neuron_meet.rest.problems import http_exception_response, log_failure, problem_body

LONGEST_LINE_BYTES = 32_768
"""Of the request line: tokens in a query, and cookies of others on the same domain, pass aiohttp's 8 kB."""
LONGEST_FIELD_BYTES = LONGEST_LINE_BYTES + 1
"""Of a header. By the one that was exceeded aiohttp's exception tells which of the two was too long."""
_TOO_MANY_HEADERS = "Too many headers received"
"""Over 128 of them, in aiohttp's words: it has no class for it."""

_MALFORMED = (HttpProcessingError, web.RequestPayloadError, ClientPayloadError)

Door = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Serves a request; None where it leaves that to the application."""
_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Runner(web.AppRunner):
    """`web.AppRunner` whose connections answer errors as all of the server does, and take longer lines than 8 kB."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, max_line_size=LONGEST_LINE_BYTES, max_field_size=LONGEST_FIELD_BYTES, **options)

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server())


class Server(web.Server):
    """Makes connections of our kind."""

    def __init__(self, made: web.Server, door: Door | None = None) -> None:
        """`made`: as the application has made it. `door` serves requests that the application need not see."""
        of: Any = made
        super().__init__(
            _shaping(of.request_handler, door),
            request_factory=of.request_factory,
            loop=of._loop,
            **of._kwargs,
        )

    def __call__(self) -> web.RequestHandler:
        """A protocol for one more connection."""
        return ErrorShaping(self, loop=self._loop, **self._kwargs)


class ErrorShaping(web.RequestHandler):
    """One connection: aiohttp's, but for what it says of errors, to the client and in the log."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be parsed, or was not caught; the connection is closed after it.

        Raises ConnectionError where an answer was begun already, as aiohttp's does.
        """
        if not isinstance(exc, _MALFORMED) and exc is not None:
            log_failure(request.method, "unknown", status, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun, another one cannot follow")
        status, text = _problem(status, exc)
        response = _Bare(status, text)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """An exception that ends the connection: by its type and place, as all others."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException) and not isinstance(error, _MALFORMED):
            log_failure("-", "unknown", HTTPStatus.INTERNAL_SERVER_ERROR, error)


class _Bare(web.Response):
    """An error outside of the application, whose signals put the security headers on all others."""

    def __init__(self, status: int, text: str) -> None:
        answer = web.json_response(problem_body(status, text))
        super().__init__(
            status=status, body=cast("bytes", answer.body), content_type="application/json", charset="utf-8"
        )
        self.headers["X-Content-Type-Options"] = "nosniff"
        self.headers[hdrs.CACHE_CONTROL] = "no-store"

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


def _problem(status: int, exc: BaseException | None) -> tuple[int, str]:
    """Status and text of what could not be parsed (aiohttp says 400 of all of it), or failed."""
    if isinstance(exc, LineTooLong):
        if exc.args[1:2] == (LONGEST_LINE_BYTES,):
            return HTTPStatus.REQUEST_URI_TOO_LONG, errors.LINE_TOO_LONG
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, errors.HEADERS_TOO_LARGE
    if isinstance(exc, HttpProcessingError) and exc.message == _TOO_MANY_HEADERS:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, errors.HEADERS_TOO_LARGE
    if isinstance(exc, _MALFORMED) or status == HTTPStatus.BAD_REQUEST:
        return HTTPStatus.BAD_REQUEST, errors.NO_HTTP
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return status, errors.INTERNAL.message
    return status, HTTPStatus(status).phrase


def _shaping(handle: _Handle, door: Door | None) -> _Handle:
    """The application's handler; aiohttp's exceptions that pass all middlewares are answered as others are."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            if door is not None and (served := await door(cast("web.Request", request))) is not None:
                return served
            return await handle(request)
        except web.HTTPException as exception:
            return http_exception_response(request, exception)

    return answer


class WithoutMalformedRequests(logging.Filter):
    """Drops what aiohttp logs about requests that it could not parse, where its own connections serve.

    That is in an application that this server is mounted into, which runs them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, _MALFORMED)


_without = WithoutMalformedRequests()


def keep_out_of_log() -> None:
    """Apply the filter to aiohttp's server log. May be called again."""
    logging.getLogger("aiohttp.server").addFilter(_without)
