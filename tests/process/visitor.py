"""A visitor of a running server: REST, and Engine.IO spoken by hand over a plain websocket."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

DEADLINE = 60.0


class Socket:
    """A Socket.IO connection: `0` opens, `40` connects, `42<id>[…]` sends, `43<id>[…]` acknowledges."""

    def __init__(self, websocket: ClientWebSocketResponse) -> None:
        self._websocket = websocket
        self._events: list[tuple[str, Any]] = []
        self._acks: dict[int, Any] = {}
        self._changed = asyncio.Condition()
        self._asked = 0
        self.sid = ""
        self.closed = False
        self._reader: asyncio.Task[None] | None = None

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Everything that came and was not read yet, in order."""
        return self._events

    async def open(self, auth: dict[str, Any]) -> None:
        """The handshake; from then on pings are answered and events collected."""
        assert (await self._websocket.receive_str()).startswith("0{")
        await self._websocket.send_str("40" + json.dumps(auth))
        connected = await self._websocket.receive_str()
        assert connected.startswith("40{"), connected
        self.sid = json.loads(connected[2:])["sid"]
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._websocket:
            if message.type is not WSMsgType.TEXT:
                break
            await self._take(message.data)
        async with self._changed:
            self.closed = True
            self._changed.notify_all()

    async def _take(self, packet: str) -> None:
        if packet == "2":
            await self._websocket.send_str("3")
            return
        async with self._changed:
            if packet.startswith("42"):
                event, *arguments = json.loads(packet[2:])
                self._events.append((event, arguments[0]))
            elif packet.startswith("43"):
                number, _, body = packet[2:].partition("[")
                self._acks[int(number)] = json.loads("[" + body)[0]
            self._changed.notify_all()

    async def emit(self, event: str, payload: Any) -> None:
        """Send an event that wants no answer."""
        await self._websocket.send_str("42" + json.dumps([event, payload]))

    async def send(self, packet: str) -> None:
        """Send anything at all."""
        await self._websocket.send_str(packet)

    async def ask(self, event: str, payload: Any) -> Any:
        """Send an event and return its acknowledgement."""
        self._asked += 1
        number = self._asked
        await self._websocket.send_str(f"42{number}" + json.dumps([event, payload]))
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: number in self._acks or self.closed)
        assert number in self._acks, "the connection ended before the acknowledgement"
        return self._acks.pop(number)

    async def next(self, event: str) -> Any:
        """The payload of the next unread event of that name."""
        async with asyncio.timeout(DEADLINE), self._changed:
            while True:
                for index, (name, payload) in enumerate(self._events):
                    if name == event:
                        del self._events[index]
                        return payload
                assert not self.closed, f"the connection ended before {event}"
                await self._changed.wait()

    async def next_of(self, *events: str) -> str:
        """Which of these events comes first among the unread ones."""
        async with asyncio.timeout(DEADLINE), self._changed:
            while True:
                for index, (name, _) in enumerate(self._events):
                    if name in events:
                        del self._events[index]
                        return name
                assert not self.closed, f"the connection ended before {events}"
                await self._changed.wait()

    async def end(self) -> None:
        """Wait until the server closes the connection."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: self.closed)

    def cut(self) -> None:
        """The connection is gone: reset, without a close frame."""
        response: Any = self._websocket._response
        response.connection.transport.abort()

    async def close(self) -> None:
        await self._websocket.close()
        if self._reader is not None:
            await asyncio.wait([self._reader])


class Visitor:
    """Somebody with an account."""

    def __init__(self, session: ClientSession, password: str) -> None:
        self.session = session
        self.password = password
        self.email = f"{uuid.uuid4().hex}@example.com"
        self.token = ""
        self.id = ""
        self._sockets: list[Socket] = []

    async def register(self, name: str = "Ada") -> None:
        account = {"email": self.email, "password": self.password, "displayName": name}
        status, body = await self.call("POST", "/api/auth/register", account)
        assert status == 201, body
        self.token, self.id = body["accessToken"], body["user"]["id"]

    async def log_in(self) -> None:
        credentials = {"email": self.email, "password": self.password}
        status, body = await self.call("POST", "/api/auth/login", credentials)
        assert status == 201, body
        self.token, self.id = body["accessToken"], body["user"]["id"]

    async def call(
        self, method: str, path: str, body: object = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of a request, with `token` or this visitor's own."""
        bearer = token or self.token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        async with self.session.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def room(self) -> dict[str, Any]:
        status, room = await self.call("POST", "/api/rooms", {})
        assert status == 201, room
        return room

    async def socket(self, *, guest: bool = False) -> Socket:
        """A connection of this account, or of a guest."""
        websocket = await self.session.ws_connect("/socket.io/?EIO=4&transport=websocket")
        socket = Socket(websocket)
        await socket.open({} if guest else {"token": self.token})
        self._sockets.append(socket)
        return socket

    async def close(self) -> None:
        for socket in self._sockets:
            await socket.close()


@asynccontextmanager
async def visiting(url: str, password: str = "correct horse battery") -> AsyncIterator[Visitor]:
    """A visitor of the server at `url`."""
    async with ClientSession(url) as session:
        visitor = Visitor(session, password)
        try:
            yield visitor
        finally:
            await visitor.close()
