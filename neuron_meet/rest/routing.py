"""Routes as data: one declaration drives routing, authentication, validation, response and documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Generic, Literal, Protocol, TypeVar

from aiohttp import HttpVersion11, web
from pydantic import TypeAdapter

from neuron_meet.errors import UNAUTHORIZED, Refusal, Refused
from neuron_meet.rest.turns import Held, RequestTurns, sent
from neuron_meet.rest.validation import Input, decode_body, decode_query, read_json

InputT = TypeVar("InputT", bound=Input | None)


class Principal(Protocol):
    """The account that calls, as far as REST itself shows it."""

    @property
    def id(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def display_name(self) -> str | None: ...
    @property
    def avatar_url(self) -> str | None: ...
    @property
    def created_at(self) -> datetime: ...


Authenticate = Callable[[str], Awaitable[Principal]]
"""From a bearer token to its account; raises :class:`Refused` (`UNAUTHORIZED`)."""


class Access(Enum):
    """Who may call a route."""

    PUBLIC = "public"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Call(Generic[InputT]):
    """One call of a route: the path's variables, the decoded input, who calls, and from which address."""

    path: Mapping[str, str]
    input: InputT
    principal: Principal | None
    address: str

    @property
    def caller(self) -> Principal:
        """The account that calls. Only routes with `Access.BEARER` may ask."""
        if self.principal is None:
            raise LookupError("a public route has no caller")
        return self.principal


@dataclass(frozen=True, kw_only=True)
class Route(Generic[InputT]):
    """A method on a path, declared.

    `input` is read from the JSON body, for GET from the query string. `output` is the type of what the
    handler returns, as pydantic understands it, sent as JSON with `status`; a handler may also return a
    response of its own. `guard` is asked with the client's address before the input is read, and refuses whoever would
    be refused whatever it is. `refusals` are those that the handler raises on purpose (401 and 400 follow from
    `access` and `input`).
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    handler: Callable[[Call[InputT]], Awaitable[object]]
    output: Any
    access: Access = Access.PUBLIC
    input: type[InputT] | None = None
    guard: Callable[[str], Awaitable[None]] | None = None
    status: int = 200
    refusals: tuple[Refusal, ...] = ()
    probe: bool = False
    """Whether it says how the server is: asked by who watches over it, and answered whatever else goes on."""


AddressOf = Callable[[web.Request], str]
"""From a request to its client's address, "" where there is none (see rest/address.py)."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What all routes are served with: who calls, from where, and in which turn.

    `in_background` has the task that calls it come after others at the database: reading, signing in and making rooms
    are behind joins; what changes a meeting is not.
    """

    authenticate: Authenticate
    address_of: AddressOf
    turns: RequestTurns
    in_background: Callable[[], None]


def add_routes(app: web.Application, routes: Iterable[Route[Any]], serving: Serving) -> None:
    """Put `routes` into `app`. A GET route answers HEAD too."""
    for route in routes:
        handler = _handler(route, serving)
        if route.method == "GET":
            app.router.add_get(route.path, handler, allow_head=True, expect_handler=_expect)
        else:
            app.router.add_route(route.method, route.path, handler, expect_handler=_expect)


async def _expect(request: web.Request) -> None:
    """Asks for the body of a client that waits to be asked (RFC 9110 §10.1.1), and ignores other expectations.

    aiohttp would refuse those in its own words, before anything that gives errors their shape.
    """
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp's own handler: this is not the response yet


def _handler(route: Route[Any], serving: Serving) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    output: TypeAdapter[Any] = TypeAdapter(route.output)
    in_background = route.method in ("GET", "POST") and not route.probe

    async def handle(request: web.Request) -> web.StreamResponse:
        with Held() as held:
            return await sent(request, await answer(request, held))

    async def answer(request: web.Request, held: Held) -> web.StreamResponse:
        # The former server's order: who calls (401), then what they send (400), then the rest.
        principal = None
        address = serving.address_of(request)
        if in_background:
            serving.in_background()
        if not route.probe:
            await serving.turns.of_address(address, held)
        if route.access is Access.BEARER:
            principal = await serving.authenticate(bearer_token(request.headers.get("Authorization")))
            await serving.turns.of_account(principal.id, held)
        if route.guard is not None:
            await route.guard(address)
        call = Call(
            path=request.match_info, input=await _input(route, request), principal=principal, address=address
        )
        result = await route.handler(call)
        if isinstance(result, web.StreamResponse):
            return result
        body = output.dump_json(result, by_alias=True)
        return web.Response(body=body, status=route.status, content_type="application/json", charset="utf-8")

    return handle


async def _input(route: Route[Any], request: web.Request) -> Any:
    if route.input is None:
        return None
    if route.method == "GET":
        return decode_query(route.input, request.query)
    return decode_body(route.input, await read_json(request))


def bearer_token(header: str | None) -> str:
    """The token in an `Authorization: Bearer …` header (RFC 6750 §2.1; the scheme in any case).

    Raises :class:`Refused` (`UNAUTHORIZED`) when there is none.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(UNAUTHORIZED)
    return token.strip()
