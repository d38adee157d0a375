"""`/api/openapi.json`, `/api/asyncapi.json`, `/api/events.d.ts` and the browsable page `/api/docs`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from neuron_meet.contract.asyncapi import asyncapi
from neuron_meet.contract.openapi import openapi
from neuron_meet.contract.typescript import typescript
from neuron_meet.rest.routing import Call, Route

ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js")
"""What the page needs of npm's `swagger-ui-dist`."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Neuron Meet REST</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = 'SwaggerUIBundle({ url: "openapi.json", dom_id: "#api", deepLinking: true });\n'
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
"""Swagger UI styles its elements inline and draws its icons from data: addresses."""


def contract_routes(routes: Iterable[Route[Any]], assets: Path) -> list[Route[Any]]:
    """The routes that describe `routes` and the events. `assets` is the folder of npm's `swagger-ui-dist`."""
    declared = list(routes)
    documents: dict[str, tuple[str, Callable[[], bytes]]] = {
        "/api/openapi.json": ("application/json", lambda: msgspec.json.encode(openapi(declared))),
        "/api/asyncapi.json": ("application/json", lambda: msgspec.json.encode(asyncapi())),
        "/api/events.d.ts": ("text/plain", lambda: typescript().encode()),
        "/api/docs": ("text/html", _PAGE.encode),
        "/api/docs/start.js": ("text/javascript", _START.encode),
    }
    served = [_document(path, content_type, make) for path, (content_type, make) in documents.items()]
    return [*served, *(_asset(assets / name) for name in ASSETS)]


def _document(path: str, content_type: str, make: Callable[[], bytes]) -> Route[Any]:
    body = cache(make)  # made when it is first asked for: nothing of it should slow the start

    async def serve(_call: Call[None]) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY} if content_type == "text/html" else {}
        return web.Response(body=body(), content_type=content_type, charset="utf-8", headers=headers)

    return Route(
        method="GET", path=path, summary=f"The contract for machines: {path}", handler=serve, output=Any
    )


def _asset(file: Path) -> Route[Any]:
    async def serve(_call: Call[None]) -> web.StreamResponse:
        return web.FileResponse(file)

    return Route(
        method="GET", path=f"/api/docs/{file.name}", summary="The page's assets", handler=serve, output=Any
    )
