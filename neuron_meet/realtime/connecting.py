"""Sockets that ask for the namespace: new ones, those that come back, those that come back from another node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from neuron_meet.realtime.connection import Connection
from neuron_meet.realtime.frames import connect_error_frame, connect_frame
from neuron_meet.realtime.packets import decode_auth
from neuron_meet.realtime.socket import EngineSocket
from neuron_meet.signaling.handshake import Greeting, Handshake

if TYPE_CHECKING:
    from neuron_meet.realtime.handover import Handover
    from neuron_meet.realtime.server import MeetingServer

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_SECONDS = 45.0
"""A connection that asks for no namespace is closed after so long (Socket.IO's `connectTimeout`)."""


class Connecting:
    """Answers CONNECT packets, and ends connections that send none."""

    def __init__(
        self, server: MeetingServer, handshake: Handshake, allow_connection_from: Callable[[str], bool]
    ) -> None:
        self._server, self._handshake = server, handshake
        self._allow_connection_from = allow_connection_from
        self._expected: dict[str, asyncio.TimerHandle] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}

    def expect(self, socket: EngineSocket) -> None:
        """A connection must ask for the namespace soon."""
        self._expected[socket.sid] = asyncio.get_running_loop().call_later(
            CONNECT_TIMEOUT_SECONDS, socket.end, "connect timeout"
        )

    def expect_no_more(self, socket: EngineSocket) -> None:
        """It has asked, or is over."""
        if timer := self._expected.pop(socket.sid, None):
            timer.cancel()

    def connect(self, socket: EngineSocket, data: bytes) -> None:
        """A CONNECT packet for the default namespace; `data` is its auth, or nothing."""
        server = self._server
        if socket.sid in server.by_engine or socket.sid in self._fetching or socket.closed:
            socket.charge(len(data))
            return
        if socket.has_been_connected and not self._allow_connection_from(socket.address):
            socket.end("too many connections", clean=True)
            return
        socket.has_been_connected = True
        self.expect_no_more(socket)
        auth = decode_auth(data)
        greeting = self._handshake.greet(server.eio.generate_id(), auth, socket.address)
        claimed = server.recovery.claim(auth.get("pid"), auth.get("offset"), greeting.caller.user_id)
        if claimed is not None:
            self._take_over(claimed[0], socket)
            for frame in claimed[1]:
                socket.write(frame)
            return
        pid = auth.get("pid")
        if server.handover is not None and isinstance(pid, str) and server.recovery.grace > 0:
            self._fetch(server.handover, socket, pid, auth.get("offset"), greeting)
            return
        self.start_anew(socket, greeting)

    def refuse_namespace(self, socket: EngineSocket, data: bytes) -> None:
        """A CONNECT packet for another namespace, `/name,{…}`: there is none."""
        namespace = data[:200].split(b",", 1)[0].decode(errors="replace")
        socket.write(connect_error_frame(namespace, "Invalid namespace"))
        socket.charge(len(data))

    def _fetch(
        self, handover: Handover, socket: EngineSocket, pid: str, offset: object, greeting: Greeting
    ) -> None:
        """The pid is not of this node: perhaps it is of another."""
        work = handover.fetch(socket, pid[:100], offset if isinstance(offset, str) else "", greeting)
        task = self._fetching[socket.sid] = asyncio.get_running_loop().create_task(work, name="handover")
        task.add_done_callback(lambda _: self._fetching.pop(socket.sid, None))

    def start_anew(self, socket: EngineSocket, greeting: Greeting) -> None:
        """A socket that nobody has seen before."""
        if socket.closed:
            return
        server = self._server
        connection = Connection(greeting.caller, socket, server.recovery.new_pid(), server.recovery.keeping)
        server.by_engine[socket.sid] = server.connections[greeting.caller.sid] = connection
        server.recovery.register(connection)
        caller = greeting.caller
        log.debug("socket connected", sid=caller.sid, user=caller.user_id, address=caller.address)
        socket.write(connect_frame(caller.sid, connection.pid))
        for payload in greeting.events:
            connection.write(server.frames.event(payload))

    def _take_over(self, connection: Connection, socket: EngineSocket) -> None:
        """Carry a socket on with another Engine.IO connection; its former one is closed, if it still is there."""
        log.info("socket recovered", sid=connection.caller.sid)
        former, connection.engine = connection.engine, socket
        if former is not None:
            del self._server.by_engine[former.sid]
            former.end("recovered on another connection", abort=True)
        self._server.by_engine[socket.sid] = connection
        self._server.dispatcher.moved(connection.caller, socket.address)
        socket.write(connect_frame(connection.caller.sid, connection.pid))
