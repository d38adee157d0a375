"""Honest people in a meeting: some with the official client, most with a bare websocket. They must notice nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,  # pyright: ignore[reportUnknownVariableType] - its **kwargs have no type
)

from tests.wire.clients import Client, Driver

ANSWER_SECONDS = 60.0
PACE_SECONDS = 0.2
TOGGLE_EVERY, CHAT_EVERY, CANDIDATE_EVERY = 10, 20, 3
"""Of the times that somebody does something: media, chat, a candidate; an offer each time."""


class Person(WSListener):
    """A guest's socket. `unhappy` is what an honest person must never see; `heard` counts events by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sid = ""
        self.unhappy: list[str] = []
        self.heard: Counter[str] = Counter()
        self.answers: list[tuple[float, float]] = []
        """When each acknowledgement came, and how long it took."""
        self._expected: dict[str, int] = {}
        self._acks: dict[int, tuple[float, asyncio.Future[Any]]] = {}
        self._numbers = itertools.count()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: WSTransport | None = None
        self._leaving = False

    async def connect(self, url: str, **options: Any) -> None:
        """Connect to the namespace."""
        address = url.replace("http:", "ws:") + "/socket.io/?EIO=4&transport=websocket"
        async with asyncio.timeout(ANSWER_SECONDS):
            await ws_connect(lambda: self, address, websocket_handshake_timeout=ANSWER_SECONDS, **options)
            await self._ready

    async def join(self, code: str) -> dict[str, Any]:
        """Enter a room, which must succeed; the acknowledgement."""
        return await self.ask("join-room", {"roomCode": code, "displayName": self.name})

    def emit(self, name: str, payload: Any) -> None:
        """Send an event that wants no answer."""
        self._send(f"42{json.dumps([name, payload])}")

    def request(self, name: str, payload: Any) -> asyncio.Future[Any]:
        """Send an event; the acknowledgement to come."""
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_disconnected:
            answer.set_exception(ConnectionError(f"{self.name} is not connected"))
            answer.exception()  # seen, also where nobody waits for it
            return answer
        self._acks[number] = time.monotonic(), answer
        self._send(f"42{number}{json.dumps([name, payload])}")
        return answer

    async def ask(self, name: str, payload: Any) -> Any:
        """Send an event and wait for its acknowledgement; one that says no is noted as well."""
        answer = self.request(name, payload)
        async with asyncio.timeout(ANSWER_SECONDS):
            said = await answer
        if not said["success"]:
            self.unhappy.append(f"{name} was refused: {said['error']}")
        return said

    def leave(self) -> None:
        """Go, as a browser does whose tab is closed."""
        self._leaving = True
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.GOING_AWAY)
            self._transport.disconnect()

    def _send(self, packet: str) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, packet.encode())

    # -- picows
    def on_ws_connected(self, transport: WSTransport) -> None:
        """The websocket is open."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        if frame.msg_type is WSMsgType.TEXT:
            self._take(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is over."""
        if not self._leaving:
            self.unhappy.append("was disconnected")
        for _, answer in self._acks.values():
            if not answer.done():
                answer.set_exception(ConnectionError(f"{self.name} was disconnected"))
                answer.exception()  # seen, also where nobody waits for it
        if not self._ready.done():
            self._ready.set_exception(ConnectionError("no connection"))

    def _take(self, packet: bytes) -> None:
        if packet == b"2":
            self._send("3")
        elif packet.startswith(b"42"):
            name, *args = json.loads(packet[2:])
            self._event(name, args[0] if args else None)
        elif packet.startswith(b"43"):
            number, _, body = packet[2:].partition(b"[")
            begun, answer = self._acks.pop(int(number))
            now = time.monotonic()
            self.answers.append((now, now - begun))
            if not answer.done():
                answer.set_result(json.loads(b"[" + body)[0])
        elif packet.startswith(b"0"):
            self._send("40{}")
        elif packet.startswith(b"40"):
            self.sid = json.loads(packet[2:])["sid"]
            self._ready.set_result(None)
        elif not packet.startswith((b"1", b"6")):
            self.unhappy.append(f"was told {packet[:200]!r}")

    def _event(self, name: str, payload: Any) -> None:
        self.heard[name] += 1
        if name == "offer" and isinstance(payload["sdp"], dict) and "n" in payload["sdp"]:
            sender, number = payload["senderId"], payload["sdp"]["n"]
            if number != self._expected.get(sender, 0):
                self.unhappy.append(
                    f"missed an offer: {number} came instead of {self._expected.get(sender, 0)}"
                )
            self._expected[sender] = number + 1
        elif name.startswith(("error", "force", "room-ended", "join-error")):
            self.unhappy.append(f"was told {name}: {payload}")


class Meeting:
    """People who make offers to each other in a ring, hand candidates on, chat and toggle, at an even pace."""

    def __init__(self, url: str, room: dict[str, Any], js: Driver) -> None:
        self._url, self.room, self._driver = url, room, js
        self.people: list[Person] = []
        self.clients: list[Client] = []
        self.client_answers: list[tuple[float, float]] = []
        self.client_unhappy: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._numbers = itertools.count()

    async def open(self, people: int, clients: int) -> None:
        """So many of both come in, and begin."""
        for number in range(people):
            await self._enter(number)
        for number in range(clients):
            options: dict[str, Any] = {"transports": ["polling"]} if number == 0 else {}
            client = await self._driver.connect(self._url, **options)
            joined = await client.ask(
                "join-room", {"roomCode": self.room["code"], "displayName": f"Client {number}"}
            )
            assert joined["success"] is True, joined
            self.clients.append(client)
        self._tasks = [asyncio.create_task(self._live(place)) for place in range(people)]
        self._tasks += [asyncio.create_task(self._live_with(client)) for client in self.clients]

    async def _enter(self, place: int) -> None:
        person = Person(f"Person {next(self._numbers)}")
        await person.connect(self._url)
        assert (await person.join(self.room["code"]))["success"] is True
        self.people[place : place + 1] = [person]

    async def _live(self, place: int) -> None:
        """What whoever has this place does; the places are a ring. Ends when they are lost."""
        person, sent, target = self.people[place], itertools.count(), ""
        await asyncio.sleep(PACE_SECONDS * place / len(self.people))
        for turn in itertools.count(place):
            if self._stopped or person.unhappy:
                return
            began = time.monotonic()
            neighbour = self.people[(place + 1) % len(self.people)].sid
            if neighbour != target:
                target, sent = neighbour, itertools.count()
            here = {"roomId": self.room["id"]}
            try:
                await person.ask("offer", {"targetId": target, "sdp": {"n": next(sent)}})
                if turn % CANDIDATE_EVERY == 0:
                    person.emit("ice-candidate", {"targetId": target, "candidate": None})
                if turn % TOGGLE_EVERY == 0:
                    await person.ask("toggle-audio", {**here, "enabled": turn % 2 == 0})
                if turn % CHAT_EVERY == 0:
                    await person.ask("chat-message", {**here, "content": f"{person.name}, turn {turn}"})
            except (ConnectionError, TimeoutError) as error:
                person.unhappy.append(f"no answer came: {type(error).__name__}")
                return
            await asyncio.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - began)))

    async def _live_with(self, client: Client) -> None:
        target = self.clients[self.clients.index(client) - 1]
        while not self._stopped and client in self.clients:
            began = time.monotonic()
            try:
                said = await client.ask("offer", {"targetId": target.sid, "sdp": {}})
            except AssertionError as error:
                self.client_unhappy.append(str(error))
                return
            if not said["success"]:
                self.client_unhappy.append(f"an offer was refused: {said['error']}")
            now = time.monotonic()
            self.client_answers.append((now, now - began))
            await asyncio.sleep(max(0.0, 2 * PACE_SECONDS - (now - began)))

    async def heard_from_all(self) -> None:
        """Return when everybody who is still happy has had an answer to something asked from now on."""
        answers = [person.request("no-such-event", {}) for person in self.people if not person.unhappy]
        if answers:
            await asyncio.wait(answers, timeout=ANSWER_SECONDS)

    async def lost(self) -> list[str]:
        """What honest people have seen that they should not have."""
        for client in list(self.clients):
            try:
                told = [name for name, _ in await client.unread()]
            except AssertionError:
                told = ["$disconnected, or no answer"]
                self.clients.remove(client)
            bad = [name for name in told if name.startswith(("$dis", "$ref", "force", "error"))]
            self.client_unhappy += [f"the official client was told {name}" for name in bad]
        found = [f"{person.name} {what}" for person in self.people for what in person.unhappy]
        found += self.client_unhappy
        self.client_unhappy = []
        return found

    async def mend(self) -> None:
        """Others come for those who were lost."""
        for place, person in enumerate(self.people):
            if person.unhappy:
                person.leave()
                await self._enter(place)
        for place, task in enumerate(self._tasks[: len(self.people)]):
            if task.done():
                self._tasks[place] = asyncio.create_task(self._live(place))

    def answered(self, since: float) -> list[float]:
        """How long the acknowledgements took that came since then."""
        found: Sequence[list[tuple[float, float]]] = [person.answers for person in self.people]
        return [took for answers in (*found, self.client_answers) for at, took in answers if at >= since]

    async def close(self) -> None:
        """Everybody goes."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for person in self.people:
            person.leave()
        for client in self.clients:
            client.disconnect()
