"""The front end at `/`: the built-in meeting page (web/), or the one in the folder that `CLIENT_DIST` names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import hdrs, web

from neuron_meet.failure import ForeseenFailure
from neuron_meet.page_files import ASSETS, FRESH, IMMUTABLE, Content, PageFiles
from neuron_meet.rest.problems import SOCKET_IO_PREFIX, is_api
from neuron_meet.settings import Settings

PAGE = Path(__file__).resolve().parent / "web"
"""The built-in page: HTML, CSS and ES modules."""
INDEX = PAGE / "index.html"
SOCKET_IO_CLIENT = Path("dist") / "socket.io.esm.min.js"
"""The official client as an ES module, in npm's `socket.io-client`."""

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
        "require-trusted-types-for 'script'",
    )
)
"""Content-Security-Policy of the built-in page: its own files, this server, and no text ever becomes HTML."""
PAGE_PERMISSIONS = "camera=(self), microphone=(self), display-capture=(self)"
"""Permissions-Policy of the built-in page: nothing that it may embed gets a device."""

_GREETING = "Neuron Meet's server. REST is under /api, Socket.IO under /socket.io/.\n"


class ClientMissingError(ForeseenFailure):
    """There is no front end where one should be. The text says what to do."""


class WebClient:
    """Files below one folder; its `index.html` answers every other path, for the front end's own routes."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`ClientMissingError` when `folder` has no `index.html`."""
        self._root = folder.resolve()
        self._index = self._root / "index.html"
        if not self._index.is_file():
            raise ClientMissingError(
                f"CLIENT_DIST is {folder}, but there is no index.html in it. "
                "Build the front end first, or unset CLIENT_DIST."
            )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The file at the request's path, else `index.html`. 404 under `/api` and `/socket.io/`."""
        if is_api(request) or request.path.startswith(SOCKET_IO_PREFIX):
            raise web.HTTPNotFound
        # In a thread: the folder may be on a slow disk.
        file = await asyncio.to_thread(self._file, request.match_info["path"])
        if file is None:
            if _is_asset(request):
                raise web.HTTPNotFound
            file = self._index
        # Only the page itself must be fresh: it names the assets, whose names change when they do.
        fresh = file.suffix == ".html"
        return web.FileResponse(file, headers={hdrs.CACHE_CONTROL: "no-cache" if fresh else "max-age=3600"})

    def _file(self, path: str) -> Path | None:
        """The file at `path`, if it is one, below the folder (links out of it do not count) and not hidden."""
        parts = path.split("/")
        if "\0" in path or any(part.startswith(".") and part != ".well-known" for part in parts):
            return None
        try:
            file = self._root.joinpath(*(part for part in parts if part)).resolve(strict=True)
        except (OSError, ValueError):
            return None
        return file if file.is_file() and file.is_relative_to(self._root) else None


def _is_asset(request: web.Request) -> bool:
    """Whether a missing path is a script, style or picture, which a page of HTML would only confuse.

    Those have an extension; a browser that goes to a page says that it takes HTML.
    """
    named_like_file = "." in request.path.rpartition("/")[2]
    return named_like_file and "text/html" not in request.headers.get(hdrs.ACCEPT, "")


def add_web_client(app: web.Application, settings: Settings, socket_io_client: Path) -> None:
    """Have `app` serve a front end at the paths that nothing else answers: the one in `CLIENT_DIST`, else the
    built-in page (`/` and `/join/<code>`), else, with `WEB_PAGE` off, a sentence at `/` that says what this is.

    `socket_io_client`: the folder of npm's `socket.io-client`. Raises :class:`ClientMissingError`.
    """
    if settings.client_dist is not None:
        app.router.add_get("/{path:.*}", WebClient(settings.client_dist).serve)
    elif settings.web_page:
        _add_page(app, socket_io_client / SOCKET_IO_CLIENT)
    else:
        app.router.add_get("/", _greet)


def _add_page(app: web.Application, socket_io: Path) -> None:
    """Routes of the built-in page. Its files are read once, at the start: no path reaches the disk."""
    if not socket_io.is_file():
        raise ClientMissingError(
            f"The meeting page needs npm's socket.io-client, and there is no {socket_io}. "
            "Run make setup, or set WEB_PAGE=false."
        )
    page = PageFiles((*sorted(file for file in PAGE.iterdir() if file != INDEX), socket_io), INDEX)
    own = {
        hdrs.CACHE_CONTROL: FRESH,
        "Content-Security-Policy": PAGE_POLICY.replace(
            "script-src 'self'", f"script-src 'self' {page.import_map_source}"
        ),
        "Permissions-Policy": PAGE_PERMISSIONS,
    }
    for path in ("/", "/join/{code}"):
        app.router.add_get(path, _serve(page.document, own))
    for name, content in page.plain.items():
        app.router.add_get(ASSETS + name, _serve(content, {hdrs.CACHE_CONTROL: FRESH}))
    for name, content in page.immutable.items():
        app.router.add_get(ASSETS + name, _serve(content, {hdrs.CACHE_CONTROL: IMMUTABLE}))


def _serve(
    content: Content, headers: Mapping[str, str]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        return content.answer(request, headers)

    return serve


async def _greet(_request: web.Request) -> web.Response:
    return web.Response(text=_GREETING)
