"""One who wanders between rooms on a bare websocket, drops, comes back, and believes only what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.wire.clients import DEADLINE
from tests.wire.meeting import Person, Place

Ack = dict[str, Any]


class Wanderer:
    """A client that follows events as a front end does. What does not fit is an AssertionError of `checked`."""

    def __init__(self, url: Callable[[], str], session: ClientSession, name: str, who: Person | None) -> None:
        """`url` says where to connect next."""
        self._url, self._session, self.name, self.who = url, session, name, who
        self._ws: ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._acks: dict[int, asyncio.Future[Ack | None]] = {}
        self._number = 0
        self._opened: asyncio.Future[dict[str, Any]] | None = None
        self._pid, self._offset = "", ""
        self.sid = ""
        self.room: str | None = None
        """Id of the room that it believes to be in."""
        self.others: set[str] = set()
        self.waiting: dict[str, None] = {}
        """As host: who waits, in order."""
        self._told = asyncio.Event()
        self.heard: list[str] = []
        self.recoveries = 0
        self.doubtful = False
        """Whether the answer to a join was lost with a connection: it may have left the room for nothing."""

    # -- the connection
    async def connect(self) -> None:
        """Connect, or come back: with the former pid, as socket.io-client does."""
        auth: dict[str, Any] = {"token": self.who.token} if self.who else {}
        auth |= {"capabilities": ["waiting-room"]}
        if self._pid:
            auth |= {"pid": self._pid, "offset": self._offset}
        self._ws = await self._session.ws_connect(f"{self._url()}/socket.io/?EIO=4&transport=websocket")
        self._opened = asyncio.get_running_loop().create_future()
        former, self._reader = self._reader, asyncio.create_task(self._read(self._ws))
        if former is not None:
            await former
        await self._ws.send_str(f"40{json.dumps(auth)}")
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([self._opened, self._reader], return_when=asyncio.FIRST_COMPLETED)
        assert self._opened.done(), "no answer to the CONNECT packet"

    async def drop(self) -> None:
        """Vanish: the TCP connection is cut."""
        if self._ws is not None:
            transport = self._ws.get_extra_info("socket") and self._ws._response.connection
            assert transport is not None
            assert transport.transport is not None
            transport.transport.abort()
            await self.stopped()

    async def quit(self) -> None:
        """Close cleanly: no place is held."""
        if self._ws is not None:
            await self._ws.close()
            await self.stopped()
        self._anew()
        self._pid = ""

    async def stopped(self) -> None:
        """Return when the connection has ended. Raises what did not fit."""
        if self._reader is not None:
            await self._reader
        self._ws = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as it knows."""
        return self._ws is not None and not self._ws.closed

    async def ask(self, event: str, **payload: Any) -> Ack | None:
        """The acknowledgement; None where the socket ended without one."""
        self._number += 1
        answer = self._acks[self._number] = asyncio.get_running_loop().create_future()
        if not self.connected:
            return None
        assert self._ws is not None
        try:
            await self._ws.send_str(f"42{self._number}{json.dumps([event, payload])}")
        except ConnectionError:
            return None
        reader = self._reader
        assert reader is not None
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait([answer, reader], return_when=asyncio.FIRST_COMPLETED)
        if reader.done():
            reader.result()  # raises what did not fit
        return answer.result() if answer.done() else None

    async def join(self, place: Place) -> Ack | None:
        """Ask to come in. Going to another room means that the former one is left, whatever the answer."""
        ack = await self.ask("join-room", roomCode=place.code, displayName=self.name)
        if ack is None:
            self.doubtful = True
        elif not ack["success"] and self.room != place.id:
            self._outside()
        return ack

    async def make_sure(self) -> None:
        """Ask whether it is in its room, where it has reason to doubt that."""
        if self.doubtful and self.room is not None:
            ack = await self.ask("toggle-audio", roomId=self.room, enabled=True)
            assert ack is not None
            if not ack["success"]:
                self._outside()
        self.doubtful = False

    async def leave(self) -> None:
        """Leave the room, or the queue before one."""
        ack = await self.ask("leave-room", roomId=self.room or "none")
        if ack is not None and ack["success"]:
            self._outside()

    async def patiently(self, seconds: float) -> None:
        """Do nothing until told something, for so long at most."""
        self._told.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), seconds)

    # -- what it is told
    async def _read(self, ws: ClientWebSocketResponse) -> None:
        async for message in ws:
            assert message.type is WSMsgType.TEXT, message
            packet: str = message.data
            if packet == "2":
                await ws.send_str("3")
            elif packet.startswith("40"):
                self._connected(json.loads(packet[2:]))
            elif packet.startswith("43"):
                self._answered(packet[2:])
            elif packet.startswith("42"):
                name, payload, *offset = json.loads(packet[2:])
                self._see(name, payload)
                self._offset = offset[0] if offset else self._offset

    def _connected(self, opening: dict[str, Any]) -> None:
        if opening["sid"] == self.sid:
            self.recoveries += 1
        else:
            self._anew()
        self.sid, self._pid = opening["sid"], opening.get("pid", "")
        assert self._opened is not None
        self._opened.set_result(opening)

    def _answered(self, text: str) -> None:
        digits = text[: text.index("[")]
        answer = self._acks.pop(int(digits), None)
        if answer is not None and not answer.done():
            answer.set_result(json.loads(text[len(digits) :])[0])

    def _anew(self) -> None:
        self._outside()
        for answer in self._acks.values():
            if not answer.done():
                answer.set_result(None)
        self._acks.clear()

    def _outside(self) -> None:
        self.room = None
        self.others.clear()
        self.waiting.clear()

    def _see(self, name: str, payload: dict[str, Any]) -> None:
        self._told.set()
        if name == "room-joined":
            self.room = payload["roomId"]
            listed = [one["socketId"] for one in payload["participants"]]
            self.others = set(listed)
            assert len(listed) == len(self.others), "somebody is listed twice"
            assert self.sid not in self.others, "it is among the others"
            self.waiting = dict.fromkeys(one["socketId"] for one in payload.get("waiting", []))
        elif name in ("join-error", "waiting-room"):
            return
        else:
            assert self.room is not None, f"{self.name} was told {name} of a room that it is not in"
            self._see_in_room(name, payload)

    def _see_in_room(self, name: str, payload: dict[str, Any]) -> None:
        sid = payload.get("socketId", "")
        if name == "user-joined":
            sid = payload["participant"]["socketId"]
            assert sid not in self.others | {self.sid}, "a participant came twice"
            self.others.add(sid)
            self.waiting.pop(sid, None)
        elif name == "user-left":
            assert sid in self.others, "a participant left who was not there"
            self.others.discard(sid)
        elif name == "waiting-participant":
            assert sid not in self.waiting, "a knock was announced twice"
            self.waiting[sid] = None
        elif name == "waiting-participant-left":
            assert sid in self.waiting, "somebody left the queue who was not in it"
            del self.waiting[sid]
        elif name in ("force-disconnect", "room-ended"):
            self._outside()
        elif name == "chat-message":
            self.heard.append(payload["content"])
