"""People in meetings of a cluster, each of whom keeps a book of who is in the room, by what the server says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import Any

from tests.chaos.meeting import enter
from tests.process.visitor import Socket, Visitor

_numbers = itertools.count()


def book_of(sid: str, events: list[tuple[str, Any]]) -> tuple[set[str], list[str]]:
    """Who is in the room after these events, for the socket `sid`; and what does not follow from what was before."""
    book: set[str] = set()
    wrong: list[str] = []
    for name, payload in events:
        if name == "room-joined":
            book = {sid} | {person["socketId"] for person in payload["participants"]}
        elif name == "user-joined":
            who = payload["participant"]["socketId"]
            if who in book:
                wrong.append(f"{who} joined twice")
            book.add(who)
        elif name == "user-left":
            who = payload["socketId"]
            if who not in book:
                wrong.append(f"{who} left who was not there")
            book.discard(who)
    return book, wrong


class Person:
    """Somebody at one node. Their name is theirs alone."""

    def __init__(self, socket: Socket, node: int) -> None:
        self.socket, self.node = socket, node
        self.name = f"Person {next(_numbers)}"
        self.left: dict[str, float] = {}

    @property
    def sid(self) -> str:
        return self.socket.sid

    async def enter(self, code: str) -> dict[str, Any]:
        """Join; the acknowledgement, which may be a refusal."""
        return await enter(self.socket, code, self.name)

    async def say(self, room: dict[str, Any], content: str) -> dict[str, Any]:
        return await self.socket.ask("chat-message", {"roomId": room["id"], "content": content})

    def book(self) -> tuple[set[str], list[str]]:
        """Who is in the room, by what was heard; what was heard and cannot be."""
        return book_of(self.sid, self.socket.events)

    def heard(self, event: str) -> list[Any]:
        """Payloads of all events of this name, in order."""
        return [payload for name, payload in self.socket.events if name == event]


async def arrived(who: Visitor, node: int, code: str, seconds: float = 0) -> Person:
    """A guest in a room, who tries for so long."""
    deadline = time.monotonic() + seconds
    person = Person(await who.socket(guest=True), node)
    while True:
        joined = await person.enter(code)
        if joined["success"] is True:
            return person
        assert time.monotonic() < deadline, joined
        await asyncio.sleep(0.05)


class Talk:
    """Everybody talks without end; what became of every word. No two with the same `name` in one room."""

    def __init__(self, room: dict[str, Any], name: str) -> None:
        self.room, self.name = room, name
        self.acknowledged: list[str] = []
        self.unanswered: list[str] = []
        self.refused: list[str] = []
        self._words = itertools.count()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, person: Person, pause: float = 0.01) -> None:
        self._tasks.append(asyncio.create_task(self._talk(person, pause)))

    async def end(self) -> None:
        """Everybody stops."""
        self._stop.set()
        for task in self._tasks:
            await task

    async def _talk(self, person: Person, pause: float) -> None:
        while not self._stop.is_set():
            content = f"{self.name} {next(self._words)}"
            try:
                answer = await person.say(self.room, content)
            except (AssertionError, ConnectionError, TimeoutError):
                self.unanswered.append(content)
                return
            (self.acknowledged if answer["success"] else self.refused).append(content)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
