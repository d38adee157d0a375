"""What this server uses of python-socketio 5.18.1, which ships no types."""

from typing import Any

from aiohttp import web

class _Reason:
    CLIENT_DISCONNECT: str
    SERVER_DISCONNECT: str

class AsyncServer:
    reason: _Reason
    eio: Any
    def __init__(self, **options: Any) -> None: ...
    def attach(self, app: web.Application, socketio_path: str = "socket.io") -> None: ...
    def _engineio_server_class(self) -> Any: ...
