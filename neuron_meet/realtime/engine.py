"""The Engine.IO server: upstream's HTTP handling with this server's connections."""

from __future__ import annotations

import asyncio
import json
import os
from binascii import b2a_base64
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import engineio
import msgspec
import structlog
from aiohttp import hdrs, web
from engineio.async_drivers.aiohttp import translate_request

from neuron_meet import errors
from neuron_meet.realtime.bounds import Bounds
from neuron_meet.realtime.frames import Frame, websocket_text
from neuron_meet.realtime.socket import EngineSocket
from neuron_meet.realtime.websocket import Upgrade, WebSocket
from neuron_meet.repeats import seldom

log = structlog.get_logger(__name__)

CLOSING_STEPS_A_SECOND = 20
ID_BYTES = 12
IDS_AT_ONCE = 100
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
RETRY_AFTER_SECONDS = "10"


class ConnectionSink(Protocol):
    """What the Socket.IO layer is told about connections."""

    def opened(self, socket: EngineSocket) -> None:
        """A connection was made."""
        ...

    def message(self, socket: EngineSocket, data: bytes) -> None:
        """A MESSAGE packet arrived; `data` follows its type."""
        ...

    def ended(self, socket: EngineSocket, reason: str, *, clean: bool) -> None:
        """The connection is over; `clean` where the client meant to go."""
        ...

    def pinged(self, socket: EngineSocket) -> None:
        """A ping goes out now."""
        ...

    def ponged(self, socket: EngineSocket) -> None:
        """A pong came."""
        ...


class EngineServer(engineio.AsyncServer):
    """`engineio.AsyncServer` with `EngineSocket` connections; everything about HTTP stays upstream's."""

    def __init__(
        self,
        *,
        sink: ConnectionSink,
        allow_connection_from: Callable[[str], bool],
        allow_connection_anywhere: Callable[[str], Awaitable[bool]] | None,
        client_address: Callable[[web.Request], str],
        bounds: Bounds,
        **options: Any,
    ) -> None:
        super().__init__(async_mode="aiohttp", monitor_clients=False, http_compression=False, **options)
        # A copy: the driver's table is shared by every server in the process.
        self._async = {**self._async, "websocket": WebSocket, "translate_request": self._translate}
        self.draining = False
        """Whether new connections are refused, because the server goes."""
        self.sink = sink
        self._allow_connection_from = allow_connection_from
        self._allow_connection_anywhere = allow_connection_anywhere
        self._client_address = client_address
        self.bounds = bounds
        self.at_once, self.shares = bounds.at_once, bounds.shares
        self.max_buffered_bytes = bounds.max_buffered_bytes
        self._to_flush: list[EngineSocket] = []
        self.sockets: dict[str, EngineSocket] = {}
        self.slow_dropped = 0
        self.flooding_dropped = 0
        self._random: list[bytes] = []
        self._path = ""

    def attach(self, app: web.Application, engineio_path: str = "engine.io") -> None:
        """Answer every method at that path: upstream leaves all but three to the application."""
        self._path = f"/{engineio_path.strip('/')}/"
        app.router.add_route(hdrs.METH_ANY, self._path, self.handle_request)

    def flush_soon(self, socket: EngineSocket) -> None:
        """Flush a socket at the end of this turn of the loop."""
        self._to_flush.append(socket)
        if len(self._to_flush) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        sockets, self._to_flush = self._to_flush, []
        for socket in sockets:
            socket.flush()

    def generate_id(self) -> str:
        """A session's id, as upstream's: 12 random bytes and a number. The random ones are taken from the system for
        many at once, a call each was a fiftieth of a connect.
        """
        if not self._random:
            fresh = os.urandom(IDS_AT_ONCE * ID_BYTES)
            self._random = [fresh[at : at + ID_BYTES] for at in range(0, len(fresh), ID_BYTES)]
        number = self.sequence_number = (self.sequence_number + 1) & 0xFFFFFF
        encoded = b2a_base64(self._random.pop() + number.to_bytes(3), newline=False)
        return encoded.translate(_URL_SAFE).decode()

    async def close_all(self, seconds: float, *, held: bool = False) -> None:
        """End every connection, evenly spread, and wait until the peers know (upstream's `shutdown` closes none).

        `held`: their places are kept, for a return to another node.
        """
        open_sockets = list(self.sockets.values())
        steps = max(1, min(len(open_sockets), int(seconds * CLOSING_STEPS_A_SECOND)))
        for step in range(steps):
            for socket in open_sockets[step::steps]:
                socket.end(self.reason.SERVER_DISCONNECT, clean=not held)
            if step < steps - 1:
                await asyncio.sleep(seconds / steps)
        closing = [socket.websocket.ended() for socket in open_sockets if socket.websocket is not None]
        await asyncio.gather(*closing)

    def _translate(self, request: web.Request) -> dict[str, Any]:
        environ = translate_request(request)
        environ["REMOTE_ADDR"] = self._client_address(request)  # upstream: always 127.0.0.1
        return environ

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        """A request to the Engine.IO path.

        Upstream turns each into a WSGI environment and looks at it from all sides. What :meth:`admit` takes goes
        without that. Requests of a session have a pace of its own (`LIMIT_FRAMES`).
        """
        if _REFUSAL not in request and (answer := await self._admit(request)) is not None:
            return answer
        refusal = request.get(_REFUSAL)
        if refusal is not None:
            return await self._make_response(refusal, self._translate(request))
        if (
            request.query.get("sid") not in self.sockets
            and (turn := self.bounds.pace.keep(self._client_address(request))) is not None
        ):
            await turn
        refusal = self._refuse_request(request)
        if refusal is not None:
            answer = await self._make_response(refusal, self._translate(request))
        else:
            answer = await super().handle_request(request)
        if answer.status >= _ERRORS and hdrs.UPGRADE in request.headers and "sid" in request.query:
            answer.force_close()  # a session asks for many websockets: they do not stay as idle connections
        return answer

    async def admit(self, request: web.Request) -> web.StreamResponse | None:
        """Serve a new websocket, asked for as every client of the protocol does and with nothing in its way, to its
        end. None for every other request, and for one that is refused: :meth:`handle_request` answers those.

        May be asked before the application has looked at the request: middlewares and routes do nothing for it, and
        are a tenth of a connect.
        """
        return await self._admit(request) if request.path == self._path else None

    async def _admit(self, request: web.Request) -> web.StreamResponse | None:
        """The same, of a request that is known to be for this server."""
        if (
            request.rel_url.raw_query_string != _NEW_WEBSOCKET
            or self.draining
            or not self._welcomes_origin(request)
            or (upgrade := _upgrade(request)) is None
        ):
            return None
        address = self._client_address(request)
        if (turn := self.bounds.pace.keep(address)) is not None:
            await turn
        refusal = await self._refuse_connection(address, upgradable=True)
        if refusal is not None:
            request[_REFUSAL] = refusal
            return None
        socket, opening = self._new_socket(address, [])
        websocket = WebSocket(socket.run, self)
        try:
            return await websocket.answer(request, upgrade, websocket_text(opening))
        finally:
            socket.end(self.reason.TRANSPORT_CLOSE, abort=True)  # where it did not get as far as a websocket

    def _refuse_request(self, request: web.Request) -> dict[str, Any] | None:
        """The answer to a request that is wrong in a way that upstream would not see, or not say; None elsewhere."""
        query = request.query
        if request.method == hdrs.METH_OPTIONS:
            return None
        if request.method not in _METHODS:
            return _engine_error(BAD_METHOD)
        if not query.get("transport"):  # upstream: polling
            return _engine_error(UNKNOWN_TRANSPORT)
        if not query.get("sid") and query.get("EIO") != "4":
            by = {"address": self._client_address(request)}
            seldom(log.warning, "client refused, its Engine.IO is not 4: Socket.IO 2 or before", by=by)
            return _engine_error(UNSUPPORTED_VERSION)
        if "j" in query:  # JSONP, which Engine.IO 4 has not, and upstream by half
            return _engine_error(BAD_REQUEST)
        version = request.headers.get(hdrs.SEC_WEBSOCKET_VERSION)
        return OTHER_WEBSOCKET if version is not None and version not in WEBSOCKET_VERSIONS else None

    def _bad_request(self, message: str | None = None) -> dict[str, Any]:
        """What upstream refuses, in the words and the shape of Node's engine.io; `message` is upstream's."""
        return _engine_error(
            next((code for words, code in _UPSTREAM_ERRORS if message and words in message), BAD_REQUEST)
        )

    def _ok(
        self,
        packets: list[Any] | None = None,
        headers: list[tuple[str, str]] | None = None,
        jsonp_index: int | None = None,
    ) -> dict[str, Any]:
        """Upstream's answer, but to a POST the protocol's `ok` (Engine.IO 4, "Sending data")."""
        answer = super()._ok(packets, headers, jsonp_index)
        return answer if packets is not None else answer | {"response": b"ok"}

    def _welcomes_origin(self, request: web.Request) -> bool:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return True
        named = {"HTTP_HOST": request.headers.get(hdrs.HOST, "")}
        named["HTTP_X_FORWARDED_HOST"] = ",".join(request.headers.getall(hdrs.X_FORWARDED_HOST, ()))
        named["HTTP_FORWARDED"] = ",".join(request.headers.getall(hdrs.FORWARDED, ()))
        return self.cors_allowed_origins(origin, named)

    async def _refuse_connection(self, address: str, *, upgradable: bool) -> dict[str, Any] | None:
        """What is answered instead of a new connection; None where it is welcome."""
        if not self.draining:
            if not self.at_once.has_room(address) or not self._allow_connection_from(address):
                return TOO_MANY
            if not upgradable:
                return NO_UPGRADE
            anywhere = self._allow_connection_anywhere
            if anywhere is not None and not (await anywhere(address) and self.at_once.has_room(address)):
                return TOO_MANY
        return DRAINING if self.draining else None

    def _new_socket(self, address: str, upgrades: list[str]) -> tuple[EngineSocket, bytes]:
        """A connection that begins now, and the OPEN packet that tells its client so."""
        sid = self.generate_id()
        socket = self.sockets[sid] = EngineSocket(self, sid, address)
        self.at_once.take(address)
        opening = {
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": int(self.ping_interval * 1000),
            "pingTimeout": int(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
        self.sink.opened(socket)
        socket.schedule_ping()
        return socket, b"0" + msgspec.json.encode(opening)

    def refuse_upgrade(self, socket: EngineSocket) -> dict[str, Any] | None:
        """What is answered instead of an upgrade, which is one more connection; None where there is room."""
        return None if self.at_once.has_room(socket.address) else TOO_MANY

    def forget(self, socket: EngineSocket) -> None:
        """A connection is over. Called once for each."""
        self.sockets.pop(socket.sid, None)
        self.at_once.release(socket.address)
        self.bounds.unfetched.forget(socket)

    async def _handle_connect(
        self, environ: dict[str, Any], transport: str, jsonp_index: int | None = None
    ) -> dict[str, Any] | web.StreamResponse:
        """Replaces `AsyncServer._handle_connect`, which can only make `AsyncSocket`s."""
        address, by_websocket = environ["REMOTE_ADDR"], transport == "websocket"
        upgradable = not by_websocket or _asks_for_upgrade(environ)
        if (refusal := await self._refuse_connection(address, upgradable=upgradable)) is not None:
            return refusal
        socket, opening = self._new_socket(address, [] if by_websocket else ["websocket"])
        socket.write(Frame(opening))
        if by_websocket:
            try:
                return await socket.handle_get_request(environ)
            finally:
                socket.end(
                    self.reason.TRANSPORT_CLOSE, abort=True
                )  # where it did not get as far as a websocket
        socket.connected = True
        return self._ok(await socket.packets_for(environ["aiohttp.request"]), jsonp_index=jsonp_index)

    def refuse(self) -> dict[str, Any]:
        """A request that is answered with 400."""
        return _engine_error(BAD_REQUEST)

    def create_queue(self, *args: Any, **kwargs: Any) -> Any:
        """None: an `EngineSocket` has a queue of its own."""
        return None


UNKNOWN_TRANSPORT, UNKNOWN_SESSION, BAD_METHOD, BAD_REQUEST, FORBIDDEN, UNSUPPORTED_VERSION = range(6)
"""Engine.IO's codes of errors (`errors.ENGINE_ERRORS`)."""
_UPSTREAM_ERRORS = (
    ("Invalid session", UNKNOWN_SESSION),
    ("Invalid transport", UNKNOWN_TRANSPORT),
    ("not an accepted origin", FORBIDDEN),
)


def _engine_error(code: int) -> dict[str, Any]:
    """A refusal as Node's engine.io gives it: `{"code":1,"message":"Session ID unknown"}`."""
    body = msgspec.json.encode({"code": code, "message": errors.ENGINE_ERRORS[code]})
    return {"status": "400 BAD REQUEST", "headers": [("Content-Type", "application/json")], "response": body}


WEBSOCKET_VERSIONS = ("13", "8", "7")
"""What aiohttp takes: that of RFC 6455, and two drafts with the same frames."""
OTHER_WEBSOCKET = _engine_error(BAD_REQUEST) | {
    "status": "426 UPGRADE REQUIRED",
    "headers": [
        ("Content-Type", "application/json"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
    ],
}
"""To a websocket of another version (RFC 6455 §4.4)."""
NO_UPGRADE = _engine_error(BAD_REQUEST)
"""To a websocket handshake without `Upgrade`; without `Connection: upgrade` upstream breaks (500)."""


_REFUSAL = web.RequestKey("refusal", dict[str, Any])
"""What is answered instead of a new websocket."""
_ERRORS = 400
"""HTTP's first status of an error."""
_METHODS = frozenset((hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_OPTIONS))
_NEW_WEBSOCKET = "EIO=4&transport=websocket"
"""The query of a new websocket (Engine.IO protocol 4), as the JavaScript client writes it."""


def _upgrade(request: web.Request) -> Upgrade | None:
    """The websocket handshake that the request is; None where it is none, which upstream answers."""
    if request.method != hdrs.METH_GET:
        return None
    try:
        return Upgrade(request)
    except web.HTTPBadRequest:
        return None


def _asks_for_upgrade(environ: dict[str, Any]) -> bool:
    """Whether `Connection` names `upgrade` (RFC 9110 §7.8); upstream has looked at `Upgrade` only."""
    return "upgrade" in {option.strip() for option in environ.get("HTTP_CONNECTION", "").lower().split(",")}


def _refusal(status: str, refusal: errors.Refusal) -> dict[str, Any]:
    """A refused handshake, in the shape that upstream turns into a response."""
    body = json.dumps({"message": refusal.message, "statusCode": refusal.status})
    headers = [("Content-Type", "application/json"), ("Retry-After", RETRY_AFTER_SECONDS)]
    return {"status": status, "headers": headers, "response": body.encode()}


DRAINING = _refusal("503 SERVICE UNAVAILABLE", errors.UNAVAILABLE)
TOO_MANY = _refusal("429 TOO MANY REQUESTS", errors.TOO_MANY_REQUESTS)
