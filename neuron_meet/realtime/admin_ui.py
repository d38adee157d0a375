"""Socket.IO's Admin UI, to look at: a Socket.IO server of its own at the admin address, with the namespace /admin.

The library's own `instrument` patches python-socketio's client manager and sockets, which this server does without
(docs/architecture.md, "Transport"): it would show nothing, and cost every event. So what the UI asks for is read here,
each two seconds while somebody looks, from what the server itself goes by, and told as the UI's events. What the UI
could do (emit, join, leave, disconnect) would pass by the rules of meetings, and is not there.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import bcrypt
import socketio
import structlog
from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as Refusal

from neuron_meet.audit import OPERATOR, Audit
from neuron_meet.failure import place
from neuron_meet.origin import OriginList
from neuron_meet.rates import Buckets, Rate
from neuron_meet.realtime.connection import Connection
from neuron_meet.realtime.server import MeetingServer
from neuron_meet.repeats import seldom
from neuron_meet.signaling.presence.interface import Presence

log = structlog.get_logger(__name__)

NAMESPACE = "/admin"
EVERY_SECONDS = 2.0
"""As often as the UI gets its numbers from the JavaScript server."""
TRIES = Rate.parse("10 per minute")
"""Of a password, from one address."""
SHOWN_OF_CLIENT_ID = 12
"""Who knows all of an Engine.IO id can speak in its name; the JavaScript server shows as much."""
LARGEST_PACKET_BYTES = 10_000
LONGEST_PASSWORD_BYTES = 72
"""What bcrypt reads."""

Shown = dict[str, Any]
"""A socket as the UI has it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may look: a name, and the bcrypt hash of a password; and the origins from which a browser may."""

    username: str
    password_hash: str
    origins: Sequence[str]


class AdminUi:
    """Shows this node to Admin UIs. Nothing is done while nobody looks."""

    def __init__(
        self, sockets: MeetingServer, presence: Presence, access: Access, audit: Audit, name: str
    ) -> None:
        """`name`: what the UI calls this server; its host's name where that is ""."""
        self._sockets, self._presence, self._access, self._audit = sockets, presence, access, audit
        self._name = name or socket.gethostname()
        self._begun = time.monotonic()
        self._tries = Buckets(TRIES)
        self._hashing = asyncio.Semaphore(1)
        self._known: dict[str, dict[str, Shown]] = {}
        """By watcher: what it was told last."""
        self._telling = asyncio.Lock()
        """What a watcher is told is one thing after the other."""
        self._welcomes: set[asyncio.Task[None]] = set()
        self._server: Any = socketio.AsyncServer(
            async_mode="aiohttp",
            namespaces=[NAMESPACE],
            cors_allowed_origins=OriginList(access.origins).__contains__ if access.origins else None,
            max_http_buffer_size=LARGEST_PACKET_BYTES,
        )
        self._server.on("connect", self._connect, namespace=NAMESPACE)
        self._server.on("disconnect", self._disconnect, namespace=NAMESPACE)

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Tell those who look what changes, for the length of the block."""
        telling = asyncio.create_task(self._tell(), name="admin-ui")
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.wait([telling])
            for engine in list(self._server.eio.sockets.values()):
                await engine.close(wait=False)
            await self._server.shutdown()

    def attach(self, app: web.Application) -> None:
        """Answer at the path /socket.io/ of an application."""
        self._server.attach(app)

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: object) -> None:
        address = environ["aiohttp.request"].remote or ""
        if not self._tries.take(address):
            raise Refusal("too many tries")
        if not await self._knows(auth):
            seldom(log.warning, "admin refused", by={"address": address}, path=NAMESPACE)
            raise Refusal("invalid credentials")
        self._audit.record("admin.watch", actor=OPERATOR, address=address)
        # After the answer, which goes out in this turn.
        task = asyncio.create_task(self._welcome(sid), name="admin-ui-welcome")
        self._welcomes.add(task)
        task.add_done_callback(self._welcomes.discard)

    async def _disconnect(self, sid: str, _reason: str) -> None:
        self._known.pop(sid, None)

    async def _knows(self, auth: object) -> bool:
        """Whether that is the name and the password. Takes the same time for a wrong name."""
        given = cast("Mapping[str, object]", auth if isinstance(auth, dict) else {})
        name, password = given.get("username"), given.get("password")
        if not isinstance(name, str) or not isinstance(password, str):
            return False
        secret = password.encode("utf-8", "surrogatepass")[:LONGEST_PASSWORD_BYTES]
        async with self._hashing:
            fits = await asyncio.to_thread(bcrypt.checkpw, secret, self._access.password_hash.encode())
        named = hmac.compare_digest(
            name.encode("utf-8", "surrogatepass"), self._access.username.encode("utf-8", "surrogatepass")
        )
        return fits and named

    async def _welcome(self, sid: str) -> None:
        async with self._telling:
            seen = self._seen()
            await self._emit(sid, "config", {"supportedFeatures": ["ALL_EVENTS"]})
            await self._emit(sid, "server_stats", self._stats())
            await self._emit(sid, "all_sockets", list(seen.values()))
            if self._server.manager.is_connected(sid, NAMESPACE):
                self._known[sid] = seen

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                async with self._telling:
                    await self._tell_changes()
            except Exception as error:
                log.error("admin ui not told", **place(error))  # noqa: TRY400 -- its text may quote content

    async def _tell_changes(self) -> None:
        if not self._known:
            return
        seen, moment = self._seen(), datetime.now(UTC).isoformat()
        for sid, known in list(self._known.items()):
            for event, arguments in changes(known, seen):
                dated = arguments if event == "socket_updated" else (*arguments, moment)
                await self._emit(sid, event, dated)
            await self._emit(sid, "server_stats", self._stats())
            if sid in self._known:
                self._known[sid] = seen

    async def _emit(self, sid: str, event: str, said: object) -> None:
        # By name: the namespace as a whole has those in it whose password is still being looked at.
        await self._server.emit(event, said, to=sid, namespace=NAMESPACE)

    def _seen(self) -> dict[str, Shown]:
        return {each.caller.sid: self._shown(each) for each in self._sockets.carried()}

    def _shown(self, connection: Connection) -> Shown:
        caller, engine = connection.caller, connection.engine
        assert engine is not None  # noqa: S101 -- carried() gives no others
        room = self._presence.whereabouts.inside.get(caller.sid)
        return {
            "id": caller.sid,
            "clientId": engine.sid[:SHOWN_OF_CLIENT_ID],
            "transport": "websocket" if engine.upgraded else "polling",
            "nsp": "/",
            "data": {"userId": caller.user_id},
            "handshake": {
                "address": caller.address,
                "headers": {},  # not kept (docs/architecture.md, "Transport")
                "query": {},
                "issued": int(connection.since * 1000),
                "time": datetime.fromtimestamp(connection.since, UTC).isoformat(),
                "url": "/socket.io/",
            },
            "rooms": [caller.sid, *([room] if room else [])],
        }

    def _stats(self) -> dict[str, Any]:
        engines = self._sockets.eio.sockets.values()
        return {
            "serverId": self._name,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._begun,
            "clientsCount": len(engines),
            "pollingClientsCount": sum(not engine.upgraded for engine in engines),
            "aggregatedEvents": [],
            "namespaces": [{"name": "/", "socketsCount": self._sockets.connection_count}],
        }


def changes(before: Mapping[str, Shown], after: Mapping[str, Shown]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What the UI is to be told, but for the moment: sockets that went and came, changed, went into rooms or left."""
    for sid, shown in before.items():
        now = after.get(sid)
        for room in shown["rooms"]:
            if now is None or room not in now["rooms"]:
                yield "room_left", ("/", room, sid)
        if now is None:
            yield "socket_disconnected", ("/", sid, "transport close")
    for sid, shown in after.items():
        former = before.get(sid)
        if former is None:
            yield "socket_connected", (shown,)
        elif any(former[name] != shown[name] for name in ("transport", "data", "clientId")):
            yield "socket_updated", (_same(shown, "id", "nsp", "transport", "data", "clientId"),)
        for room in shown["rooms"]:
            if former is not None and room not in former["rooms"]:
                yield "room_joined", ("/", room, sid)


def _same(shown: Shown, *names: str) -> Shown:
    return {name: shown[name] for name in names}
