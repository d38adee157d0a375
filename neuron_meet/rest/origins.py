"""Cross-origin requests (CORS) and the security headers of every response but Socket.IO's."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from neuron_meet.origin import OriginList, is_own_page
from neuron_meet.rest.problems import SOCKET_IO_PREFIX, is_api
from neuron_meet.settings import Settings

_METHODS = "GET,HEAD,POST,PATCH,DELETE"
_PREFLIGHT_SECONDS = "600"

_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""JSON needs nothing, and nobody frames it."""
_PAGE_POLICY = "frame-ancestors 'self'; base-uri 'self'; object-src 'none'"
"""What a built front end loads is its own affair; being framed by others (click-jacking) is not."""


class Origins:
    """Which origins may call with credentials.

    Those of `CORS_ORIGINS` (`*` among them allows any); without it any in development and none but the
    server's own in production.
    """

    def __init__(self, settings: Settings) -> None:
        self._listed = OriginList(settings.cors_origins)
        self._any = self._listed.any or (not settings.cors_origins and not settings.production)

    def allow(self, origin: str) -> bool:
        """Whether pages of `origin` may read responses."""
        return self._any or origin in self._listed

    def allow_connection(self, origin: str | None, environ: Mapping[str, str]) -> bool:
        """Whether pages of `origin` may open a Socket.IO connection; `environ` names the server (WSGI's `HTTP_HOST`,
        `HTTP_X_FORWARDED_HOST`, `HTTP_FORWARDED`), whose own pages always may. None: no page at all, or the same
        origin's GET.
        """
        return origin is None or self.allow(origin) or is_own_page(origin, environ)


def preflight_middleware(origins: Origins) -> Middleware:
    """Answers preflight requests (Fetch standard, "CORS-preflight request") without asking the routes."""

    @web.middleware
    async def answer_preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
        origin = request.headers.get(hdrs.ORIGIN)
        preflight = request.method == hdrs.METH_OPTIONS and wanted is not None and origin is not None
        if not preflight or request.path.startswith(SOCKET_IO_PREFIX):
            return await handler(request)
        response = web.Response(status=204)
        if origins.allow(str(origin)):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
            # As the former server did: a front end behind an allowed origin may send what it likes.
            asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS)
            if asked:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
                response.headers[hdrs.VARY] = hdrs.ACCESS_CONTROL_REQUEST_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = _PREFLIGHT_SECONDS
        return response

    return answer_preflight


def add_headers(app: web.Application, origins: Origins) -> None:
    """Have `app` put the CORS and security headers on every response, errors included.

    `Strict-Transport-Security` is left to the proxy that speaks TLS: this server speaks plain HTTP and cannot
    know for which names it would promise.
    """

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.popall(hdrs.SERVER, None)  # the versions of Python and aiohttp are nobody's business
        if request.path.startswith(SOCKET_IO_PREFIX):
            return
        origin = request.headers.get(hdrs.ORIGIN)
        headers.add(hdrs.VARY, hdrs.ORIGIN)
        if origin is not None and origins.allow(origin):
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
        headers["X-Content-Type-Options"] = "nosniff"
        # Pages' addresses hold room codes: other sites do not get them.
        headers["Referrer-Policy"] = "same-origin"
        headers["X-Frame-Options"] = "DENY" if is_api(request) else "SAMEORIGIN"
        headers.setdefault("Content-Security-Policy", _API_POLICY if is_api(request) else _PAGE_POLICY)
        if is_api(request):
            headers[hdrs.CACHE_CONTROL] = "no-store"

    app.on_response_prepare.append(prepare)
