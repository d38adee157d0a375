"""The Socket.IO server: connections on one side, the dispatcher on the other, rooms as groups of sockets between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import socketio
import structlog
from aiohttp import web

from neuron_meet.holdings import Holdings
from neuron_meet.realtime.bounds import Bounds
from neuron_meet.realtime.connecting import Connecting
from neuron_meet.realtime.connection import Connection
from neuron_meet.realtime.engine import EngineServer
from neuron_meet.realtime.frames import Frames
from neuron_meet.realtime.groups import Groups
from neuron_meet.realtime.packets import MalformedPacket, binary_ack_id, decode_event, in_default_namespace
from neuron_meet.realtime.recovery import Recovery
from neuron_meet.realtime.socket import EngineSocket
from neuron_meet.signaling.dispatch import Dispatcher, Reply
from neuron_meet.signaling.effects import Drop, Effect, Leave, ToRoom, ToSocket
from neuron_meet.signaling.events import ServerDraining
from neuron_meet.signaling.handshake import Handshake

if TYPE_CHECKING:
    from neuron_meet.realtime.handover import Handover

log = structlog.get_logger(__name__)

_SLASH = ord("/")
TYPING = (b'["typing-start"', b'["typing-stop"')
"""How the events begin that front ends send at every key, without an acknowledgement."""


class MeetingServer(socketio.AsyncServer):
    """`socketio.AsyncServer` with the hot path of this server.

    Kept from upstream: Engine.IO's HTTP side (polling, CORS, upgrade). Replaced, because each recipient and
    each packet costs a task there (design §4): the client manager, packet handling, emitting. One namespace, `/`.
    """

    def __init__(
        self,
        *,
        handshake: Handshake,
        allow_connection_from: Callable[[str], bool],
        allow_connection_anywhere: Callable[[str], Awaitable[bool]] | None,
        client_address: Callable[[web.Request], str],
        bounds: Bounds,
        max_packet_bytes: int,
        ping_interval: float,
        ping_timeout: float,
        recovery_grace: float,
        cors_allowed_origins: Any,
    ) -> None:
        self._allow_connection_from = allow_connection_from
        self._allow_connection_anywhere = allow_connection_anywhere
        self._client_address = client_address
        self.bounds = bounds
        super().__init__(
            async_mode="aiohttp",
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            max_http_buffer_size=max_packet_bytes,
            cors_allowed_origins=cors_allowed_origins,
        )
        self._dispatcher: Dispatcher | None = None
        self.connections: dict[str, Connection] = {}
        """By socket id: connected, or held for their return."""
        self.by_engine: dict[str, Connection] = {}
        """By the id of the Engine.IO connection that carries them."""
        self.frames = Frames(recoverable=recovery_grace > 0)
        self.groups = Groups(self.frames)
        self.recovery = Recovery(self.frames, recovery_grace, self._expire, bounds.kept)
        self.malformed: Counter[str] = Counter()
        self.fanned_out = 0
        """Frames that events to rooms came to, one for each recipient."""
        self.handover: Handover | None = None
        """Recovery from and to other nodes, where there are any."""
        self.connecting = Connecting(self, handshake, allow_connection_from)

    def serve(self, dispatcher: Dispatcher) -> None:
        """Hand events to `dispatcher` from now on. Must be called before the first connection."""
        self._dispatcher = dispatcher

    @property
    def dispatcher(self) -> Dispatcher:
        """Where events go."""
        assert self._dispatcher is not None  # noqa: S101 -- app calls serve() before it listens
        return self._dispatcher

    @property
    def connection_count(self) -> int:
        """Sockets connected now."""
        return len(self.connections)

    @property
    def refused_at_once(self) -> int:
        """Connections refused because as many were there as may be, of an address or in all."""
        return self.bounds.at_once.refused

    @property
    def slow_dropped(self) -> int:
        """Clients dropped because they did not take what was sent."""
        return self.eio.slow_dropped

    @property
    def flooding_dropped(self) -> int:
        """Clients dropped because they sent too much that means nothing."""
        return self.eio.flooding_dropped

    @property
    def held(self) -> dict[str, Holdings]:
        """Bytes that are held for clients, by what they are."""
        bounds = self.bounds
        return {
            "half messages": bounds.half_messages,
            "waiting to be taken": bounds.unfetched,
            "kept for returns": bounds.kept,
        }

    @property
    def queued_bytes(self) -> int:
        """What waits to be taken by all clients together, in bytes."""
        return sum(socket.queued_bytes for socket in self.eio.sockets.values())

    def connected(self, sid: str) -> bool:
        """Whether a socket is at this server, connected or held for its return."""
        return sid in self.connections

    def sockets_of(self, user_id: str) -> list[str]:
        """The sockets of an account at this server, those held for their return included."""
        return [sid for sid, each in self.connections.items() if each.caller.user_id == user_id]

    def carried(self) -> Iterator[Connection]:
        """The sockets that are connected: not those that are held for their return."""
        return (each for each in list(self.connections.values()) if each.engine is not None)

    # -- what use cases decided
    def deliver(self, effects: Iterable[Effect]) -> None:
        """Carry effects out, in order, without waiting (:class:`neuron_meet.signaling.effects.Delivery`)."""
        for effect in effects:
            if isinstance(effect, ToRoom):
                self.fanned_out += self.groups.send(effect)
                continue
            connection = self.connections.get(effect.sid)
            if isinstance(effect, Leave):
                self.groups.leave(effect.room, effect.sid)
            elif connection is None:
                continue
            elif isinstance(effect, ToSocket):
                connection.write(self.frames.event(effect.payload))
            elif isinstance(effect, Drop):
                # Not at once: whoever is dropped may be in the middle of being handled.
                asyncio.get_running_loop().call_soon(self._drop, connection, effect.reason)
            else:
                caller = connection.caller
                log.info(
                    "joined", sid=caller.sid, room=effect.room, user=caller.user_id, address=caller.address
                )
                self.groups.enter(effect.room, connection)

    # -- what connections bring (ConnectionSink)
    def opened(self, socket: EngineSocket) -> None:
        """A connection was made: it must ask for the namespace soon."""
        self.connecting.expect(socket)

    def message(self, socket: EngineSocket, data: bytes) -> None:
        """A Socket.IO packet (`data` begins with its type)."""
        connection = self.by_engine.get(socket.sid)
        kind, rest = data[:1], data[1:]
        if rest and rest[0] == _SLASH:
            rest = in_default_namespace(rest)
        if kind == b"2" and connection is not None and rest is not None:
            self._event(connection, socket, rest)
        elif kind == b"0" and rest is not None:
            self.connecting.connect(socket, rest)
        elif kind == b"0":
            self.connecting.refuse_namespace(socket, data[1:])
        elif kind == b"1" and connection is not None and rest is not None:
            self._over(connection, "namespace left")
            self.opened(socket)  # the client may come back on the same connection, or close it itself
        elif kind in (b"5", b"6") and connection is not None:
            self.malformed["binary"] += 1
            self.dispatcher.malformed(connection.caller, self._reply(connection, binary_ack_id(data)))
        else:
            self.malformed["packet"] += 1
            socket.charge(len(data))

    def ended(self, socket: EngineSocket, reason: str, *, clean: bool) -> None:
        """The connection is over."""
        self.connecting.expect_no_more(socket)
        connection = self.by_engine.pop(socket.sid, None)
        if connection is None:
            return
        if clean or not self.recovery.hold(connection):
            self._over(connection, reason)
        else:
            log.info("socket dropped, its place is held", sid=connection.caller.sid, reason=reason)

    def pinged(self, socket: EngineSocket) -> None:
        """A ping goes out now."""
        if connection := self.by_engine.get(socket.sid):
            connection.pinged(self.frames.number)

    def ponged(self, socket: EngineSocket) -> None:
        """A pong came."""
        if connection := self.by_engine.get(socket.sid):
            connection.ponged()

    def _over(self, connection: Connection, reason: str) -> None:
        """The socket is gone for good."""
        log.debug("socket disconnected", sid=connection.caller.sid, reason=reason)
        if connection.engine is not None:
            self.by_engine.pop(connection.engine.sid, None)
        self.recovery.forget(connection)
        del self.connections[connection.caller.sid]
        self.dispatcher.disconnected(connection.caller)

    def _expire(self, connection: Connection) -> None:
        """A held socket's time is up, or it cannot be recovered, and what still carries it is closed."""
        engine = connection.engine
        self._over(connection, "not recovered")
        if engine is not None:
            engine.end("not recovered", clean=True, abort=True)

    def _drop(self, connection: Connection, reason: str) -> None:
        if connection.engine is not None:
            connection.engine.end(reason, clean=True)
        elif self.connections.get(connection.caller.sid) is connection:
            self._over(connection, reason)  # it vanished in this moment, and must not be held for a return

    def _event(self, connection: Connection, socket: EngineSocket, data: bytes) -> None:
        dispatcher = self.dispatcher
        if (
            data[2:8] == b"typing"
            and data.startswith(TYPING)
            and dispatcher.types_too_fast(connection.caller, stops=data.startswith(TYPING[1]))
        ):
            socket.charge(len(data))
            return
        try:
            event = decode_event(data, dispatcher.most_bytes)
        except MalformedPacket as malformed:
            self.malformed["event"] += 1
            dispatcher.malformed(connection.caller, self._reply(connection, malformed.ack_id))
            return
        reply = self._reply(connection, event.ack_id)
        if not dispatcher.receive(connection.caller, event.name, event.payload, reply):
            socket.charge(len(data))

    def _reply(self, connection: Connection, ack_id: bytes | None) -> Reply | None:
        if ack_id is None:
            return None
        return lambda ack: connection.write(self.frames.ack(ack_id, ack))

    # -- between nodes
    def expect(self, connection: Connection) -> Connection:
        """A socket is on its way here: what is delivered to it is kept for it."""
        self.connections[connection.caller.sid] = connection
        return connection

    def arrived(self, connection: Connection, socket: EngineSocket) -> None:
        """A socket of another node is carried by this one from now on."""
        self.recovery.register(connection)
        self.dispatcher.moved(connection.caller, socket.address)
        if socket.closed:
            self.recovery.hold(connection)
        else:
            connection.engine = socket
            self.by_engine[socket.sid] = connection

    def let_go(self, connection: Connection) -> None:
        """A socket is another node's: it stays in its room, and is no longer here."""
        sid, engine = connection.caller.sid, connection.engine
        connection.engine = None
        self.recovery.forget(connection)
        if self.connections.get(sid) is connection:
            del self.connections[sid]
        self.groups.leave_all(sid)
        self.dispatcher.moved_away(connection.caller)
        if engine is not None:
            self.by_engine.pop(engine.sid, None)
            engine.end("recovered on another node", abort=True)

    def follow(self, sid: str, frame: bytes) -> bool:
        """A frame of another node comes after a socket that it had. False where the socket is not here."""
        connection = self.connections.get(sid)
        if connection is not None:
            connection.write(self.frames.again(frame))
        return connection is not None

    def expire(self, connection: Connection) -> None:
        """There is no way back for a socket."""
        self._expire(connection)

    # -- going
    def start_draining(self, reconnect_in_ms: int) -> None:
        """Take no new connection, let nobody join any more, and tell everybody."""
        self.eio.draining = True
        self.dispatcher.draining = True
        frame = self.frames.event(ServerDraining(reconnect_in_ms=reconnect_in_ms))
        for connection in self.connections.values():
            connection.write(frame)

    async def close_all(self, seconds: float = 0) -> None:
        """Close every socket, evenly spread over that time.

        Without a Socket.IO DISCONNECT packet: the JS client takes that for a wish not to be connected, and does
        not come back by itself.
        """
        if self.handover is None:
            self.recovery.close()
            await self.eio.close_all(seconds)
            return
        await self.eio.close_all(seconds, held=True)
        await self.handover.park_all()
        self.recovery.close()

    def _engineio_server_class(self) -> Callable[..., EngineServer]:
        def make(**options: Any) -> EngineServer:
            options.pop("async_mode", None)
            return EngineServer(
                sink=self,
                allow_connection_from=self._allow_connection_from,
                allow_connection_anywhere=self._allow_connection_anywhere,
                client_address=self._client_address,
                bounds=self.bounds,
                **options,
            )

        return make
