from typing import Any

from aiohttp import web

class _Reason:
    CLIENT_DISCONNECT: str
    SERVER_DISCONNECT: str
    PING_TIMEOUT: str
    TRANSPORT_CLOSE: str
    TRANSPORT_ERROR: str

class AsyncServer:
    reason: _Reason
    ping_interval: float
    ping_timeout: float
    max_http_buffer_size: int
    sockets: dict[str, Any]
    cors_allowed_origins: Any
    _async: dict[str, Any]
    def __init__(self, async_mode: str | None = None, **options: Any) -> None: ...
    def generate_id(self) -> str: ...
    async def _make_response(
        self, response_dict: dict[str, Any], environ: dict[str, Any]
    ) -> web.StreamResponse: ...
    def _ok(
        self, packets: Any = None, headers: Any = None, jsonp_index: int | None = None
    ) -> dict[str, Any]: ...
    def _bad_request(self, message: str | None = None) -> dict[str, Any]: ...
    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None: ...
    def create_queue(self, *args: Any, **kwargs: Any) -> Any: ...
    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> dict[str, Any] | web.StreamResponse: ...
    async def handle_request(self, request: web.Request) -> web.StreamResponse: ...
