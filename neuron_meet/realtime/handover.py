"""Recovery across nodes: this server's sockets as they go to another one, and others' as they come here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.realtime.connection import Connection
from neuron_meet.realtime.frames import connect_frame
from neuron_meet.repeats import seldom
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.presence.moves import Luggage, Moves

if TYPE_CHECKING:
    from neuron_meet.realtime.server import MeetingServer
    from neuron_meet.realtime.socket import EngineSocket
    from neuron_meet.signaling.handshake import Greeting

log = structlog.get_logger(__name__)

QUIET_SECONDS = 0.8
"""How long a move waits for what the socket has asked for; answers that take longer are sent after it."""


class Handover:
    """Implements :class:`neuron_meet.signaling.presence.moves.MovingSockets`; brings back who comes from elsewhere."""

    def __init__(self, server: MeetingServer, moves: Moves, node: str, whereabouts: dict[str, str]) -> None:
        self._server, self._moves, self._whereabouts = server, moves, whereabouts
        moves.sockets = self
        server.recovery.suffix = f".{node}"

    # -- they go
    def seek(self, pid: str, user_id: str | None) -> Luggage | None:
        """Who is behind a pid here, without frames. Only who is in a room has something to come back to."""
        connection = self._server.recovery.find(pid, user_id)
        return None if connection is None else self._luggage(connection)

    async def quiet(self, sid: str) -> None:
        """Return when what a socket has asked for is done, or takes too long."""
        await self._server.dispatcher.quiet(sid, QUIET_SECONDS)

    def hand_over(self, pid: str, offset: str, onward: Callable[[bytes], None]) -> list[bytes] | None:
        """Let a socket go without leaving its room."""
        server = self._server
        connection = server.recovery.by_pid(pid)
        if connection is None:
            return None
        missed = connection.missed_since(server.frames.number_of(offset))
        if missed is None:
            return None
        server.let_go(connection)
        connection.onward = onward
        return [frame.body for frame in missed]

    def give_up(self, pid: str) -> None:
        """There is no way back for a socket."""
        connection = self._server.recovery.by_pid(pid)
        if connection is not None:
            self._server.expire(connection)

    def follow(self, sid: str, frame: bytes) -> bool:
        """A frame comes after a socket that is here. False where it is not."""
        return self._server.follow(sid, frame)

    async def park_all(self) -> None:
        """Leave those who are held to the other nodes: this one is stopped."""
        for connection in self._server.recovery.connections():
            await self.quiet(connection.caller.sid)
            if connection.pid is None:
                continue
            try:
                await self._moves.park(
                    connection.pid, self._server.recovery.grace, partial(self._packed, connection)
                )
            except PresenceUnavailable:
                log.warning(
                    "a dropped socket could not be left to the other nodes", sid=connection.caller.sid
                )

    def _packed(self, connection: Connection) -> Luggage | None:
        """A dropped socket of this node with all that is kept for it."""
        server, missed = self._server, connection.missed_since(0)
        here = connection.engine is None and server.recovery.by_pid(connection.pid or "") is connection
        luggage = self._luggage(connection) if here else None
        if luggage is None or missed is None:
            return None
        luggage.frames, luggage.run = [frame.body for frame in missed], server.frames.run
        luggage.numbers = [frame.number for frame in missed]
        return luggage

    def put_down(self, pid: str) -> None:
        """Let a socket go that is parked."""
        if (connection := self._server.recovery.by_pid(pid)) is not None:
            self._server.let_go(connection)

    def _luggage(self, connection: Connection) -> Luggage | None:
        caller = connection.caller
        code = self._whereabouts.get(caller.sid)
        if code is None:
            return None
        return Luggage(caller.sid, code, caller.user_id, caller.auth_name, sorted(caller.capabilities), [], 0)

    # -- they come
    async def fetch(self, socket: EngineSocket, pid: str, offset: str, greeting: Greeting) -> None:
        """Bring a socket here that comes back with the pid of another node; else it starts anew."""
        expected: list[Connection] = []

        def expect(luggage: Luggage) -> None:
            caller = Caller(
                luggage.sid,
                greeting.caller.user_id,
                luggage.auth_name,
                socket.address,
                frozenset(luggage.capabilities),
            )
            connection = Connection(caller, None, pid, self._server.recovery.keeping)
            expected.append(self._server.expect(connection))

        luggage: Luggage | None = None
        try:
            luggage = await self._moves.fetch(pid, offset, greeting.caller.user_id, expect)
        except PresenceUnavailable:
            seldom(log.warning, "a socket could not be brought here", by={"address": socket.address})
        finally:
            if luggage is None:
                for connection in expected:
                    self._server.let_go(connection)
        if luggage is None:
            self._server.connecting.start_anew(socket, greeting)
            return
        connection = expected[0]
        frames = connection.keep_again(self._server.frames, luggage.frames)
        self._server.arrived(connection, socket)
        if not socket.closed:
            socket.write(connect_frame(connection.caller.sid, connection.pid))
            for frame in frames:
                socket.write(frame)
