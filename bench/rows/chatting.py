"""Chat: durable before anybody sees it, to a room of 20."""

from __future__ import annotations

import asyncio

from bench.company import Company, gather
from bench.contenders import NODE, OURS, Contender
from bench.failure import BenchFailed
from bench.messages import event
from bench.peer import Peer
from bench.row import Row, Sample, cpu_lines, measuring

SIZE = 20


class Conversation:
    """A room in which one after another sends a message, when everybody has the one before and it is acknowledged."""

    def __init__(self, peers: list[Peer], messages: int) -> None:
        self.done = asyncio.Event()
        self._peers, self._messages = peers, messages
        self._sent = self._missing = 0
        for peer in peers:
            peer.on_event = self._received

    def send(self) -> None:
        """The next message, by whose turn it is."""
        self._missing = len(self._peers) + 1
        sender = self._peers[self._sent % len(self._peers)]
        self._sent += 1
        content = f"Message {self._sent}: could everybody look at the second page before we go on?"
        payload = {"roomId": sender.room_id, "content": content}
        sender.send(event("chat-message", payload, sender.expect_ack(self._acknowledged)))

    def _received(self, _peer: Peer, data: bytes) -> None:
        if data.startswith(b'42["chat-message"'):
            self._one_less()

    def _acknowledged(self, packet: bytes) -> None:
        if b'"success":true' not in packet:
            raise BenchFailed("A chat message was refused.")
        self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            if self._sent < self._messages:
                self.send()
            else:
                self.done.set()


class Chatting(Row):
    """A message on its way in each of so many rooms."""

    contenders = (OURS, NODE)

    def __init__(
        self, name: str, title: str, *, rooms: int, messages: int, goal: float | None = None
    ) -> None:
        self.name = name
        self.lines = cpu_lines(name, title, goal=goal)
        self._rooms, self._each = rooms, messages // rooms
        self._companies: dict[str, Company] = {}

    async def prepare(self, contender: Contender) -> None:
        """Everybody in their rooms."""
        self._companies[contender.name] = await gather(contender, self._rooms, SIZE)

    async def round(self, contender: Contender) -> Sample:
        """All rooms talk; what was acknowledged must be in the database. Raises BenchFailed where it is not."""
        talks = [Conversation(peers, self._each) for peers in self._companies[contender.name].rooms]
        stored = await contender.rooms.stored_messages()
        async with measuring(contender) as talking:
            for talk in talks:
                talk.send()
            for talk in talks:
                await talk.done.wait()
        messages = self._each * self._rooms
        if await contender.rooms.stored_messages() != stored + messages:
            raise BenchFailed(f"{contender.name} acknowledged chat messages that are not in the database.")
        return talking.each(self.name, messages)

    async def clear(self, contender: Contender) -> None:
        """Everybody leaves."""
        await self._companies.pop(contender.name).leave()


def rows() -> list[Chatting]:
    """Alone, and 16 at a time."""
    return [
        Chatting("chat", "Chat message to a room of 20, one at a time", rooms=1, messages=200),
        Chatting("chat-16", "Chat message to a room of 20, 16 at a time", rooms=16, messages=640, goal=0.5),
    ]
