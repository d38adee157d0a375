"""The error bodies that front ends read, and the one place that turns exceptions into them.

Shapes as the former NestJS server wrote them (contract/rest.md, "Errors"):
`{"message": str | [str], "error": "Bad Request", "statusCode": 400}`; `error` is left out where the message
is nothing but the status's own name (`Unauthorized`) and for 500.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from neuron_meet.errors import INTERNAL, NO_SUCH_EXPECTATION, UNAUTHORIZED, UNAVAILABLE, Refused
from neuron_meet.failure import place
from neuron_meet.repeats import seldom
from neuron_meet.rest.limits import TooManyRequests

log = structlog.get_logger(__name__)

API_PREFIX = "/api"
SOCKET_IO_PREFIX = "/socket.io/"

_PHRASES = {413: "Payload Too Large"}
"""Where NestJS's name of a status differs from Python's of some version."""


class HttpError(Exception):
    """A request that is answered with an error: HTTP `status`, and one sentence or a list of them."""

    def __init__(self, status: int, message: str | Sequence[str]) -> None:
        super().__init__(status)
        self.status = status
        self.message = message if isinstance(message, str) else list(message)


def problem_body(status: int, message: str | Sequence[str]) -> dict[str, object]:
    """The JSON body of an error with HTTP `status`."""
    phrase = _PHRASES.get(status) or HTTPStatus(status).phrase
    if status == INTERNAL.status or message == phrase:
        return {"message": message, "statusCode": status}
    return {"message": message, "error": phrase, "statusCode": status}


def problem_response(status: int, message: str | Sequence[str]) -> web.Response:
    """The response to an error with HTTP `status`. A 401 names the scheme to use (RFC 9110 §11.6.1)."""
    response = web.json_response(problem_body(status, message), status=status)
    if status == UNAUTHORIZED.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == UNAVAILABLE.status:
        response.headers["Retry-After"] = "1"
    return response


def is_api(request: web.BaseRequest) -> bool:
    """Whether the path belongs to the REST API."""
    return request.path == API_PREFIX or request.path.startswith(API_PREFIX + "/")


def problems_middleware(unavailable: tuple[type[Exception], ...]) -> Middleware:
    """Middleware that answers every exception of a handler in the shapes above.

    `unavailable`: exceptions of a dependency that is away; they are answered with 503. Whatever else is not
    foreseen is a 500. Both are logged with the exception's type and place, never with its text, which may
    quote what a user sent. The Socket.IO path answers for itself.
    """

    @web.middleware
    async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(SOCKET_IO_PREFIX):
            return await handler(request)
        try:
            return await handler(request)
        except HttpError as problem:
            return problem_response(problem.status, problem.message)
        except Refused as refused:
            return _refused_response(refused)
        except web.HTTPException as answer:
            return http_exception_response(request, answer)
        except Exception as error:
            refusal = UNAVAILABLE if isinstance(error, unavailable) else INTERNAL
            log_failure(request.method, _route(request), refusal.status, error)
            return problem_response(refusal.status, refusal.message)

    return answer_problems


def log_failure(method: str, route: str, status: int, error: BaseException) -> None:
    """Log an exception that nobody foresaw, by its type and place: its text may quote what a user sent."""
    found = place(error)
    by = {"method": method, "route": route, "status": status, "error": found.pop("error")}
    seldom(log.error, "request.failed", by=by, **found)


def _refused_response(refused: Refused) -> web.Response:
    response = problem_response(refused.refusal.status, refused.refusal.message)
    if isinstance(refused, TooManyRequests):
        response.headers[hdrs.RETRY_AFTER] = str(refused.retry_after)
    return response


def http_exception_response(request: web.BaseRequest, answer: web.HTTPException) -> web.StreamResponse:
    """The answer to aiohttp's own exceptions: 404 and 405 are one thing to Express; redirects are raised again."""
    if answer.status in (404, 405):
        # In Express's words. A method that a path does not have is the same thing to it.
        return problem_response(404, f"Cannot {request.method} {request.raw_path}")
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem_response(answer.status, "request entity too large")
    if answer.status == HTTPStatus.EXPECTATION_FAILED:
        return problem_response(answer.status, NO_SUCH_EXPECTATION)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        return problem_response(answer.status, answer.reason)
    raise answer


def _route(request: web.Request) -> str:
    """The route's pattern, which unlike the path holds no id or code."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
