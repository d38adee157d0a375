"""One event to everybody else in a room."""

from __future__ import annotations

import asyncio

from bench.company import Company, gather
from bench.contenders import Contender
from bench.messages import event
from bench.peer import Peer
from bench.row import Line, Row, Sample, cpu_lines, measuring

DELIVERIES = 40_000


class Turns:
    """A room in which one after another sends two events, each when everybody has the one before."""

    def __init__(
        self, peers: list[Peer], packets: tuple[bytes, bytes], events: int, arrived: tuple[bytes, ...]
    ) -> None:
        self.done = asyncio.Event()
        self._peers, self._packets, self._events, self._arrived = peers, packets, events, arrived
        self._sent = self._missing = 0
        for peer in peers:
            peer.on_event = self._received

    def send(self) -> None:
        """The next event, by whose turn it is."""
        self._missing = len(self._peers) - 1
        sender = self._peers[self._sent // 2 % len(self._peers)]
        self._sent += 1
        sender.send(self._packets[self._sent % 2])

    def _received(self, _peer: Peer, data: bytes) -> None:
        if not data.startswith(self._arrived):
            return
        self._missing -= 1
        if self._missing == 0:
            if self._sent < self._events:
                self.send()
            else:
                self.done.set()


class FanOut(Row):
    """Figures are for each delivery: an event in a room of 20 is 19 of them."""

    def __init__(
        self, name: str, title: str, *, rooms: int, size: int, typing: bool = False, compression: bool = False,
        goal: float | None = None, floor_goal: float | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.lines: tuple[Line, ...] = cpu_lines(name, title, goal=goal, floor_goal=floor_goal)
        self._rooms, self._size, self._typing, self._compression = rooms, size, typing, compression
        self._companies: dict[str, Company] = {}

    async def prepare(self, contender: Contender) -> None:
        """Everybody in their rooms."""
        self._companies[contender.name] = await gather(
            contender, self._rooms, self._size, compression=self._compression
        )

    async def round(self, contender: Contender) -> Sample:
        """In all rooms at the same time, one event of a room on its way."""
        rooms = self._companies[contender.name].rooms
        events = max(2, DELIVERIES // (self._rooms * (self._size - 1)) // 2 * 2)
        turns = [Turns(peers, self._packets(peers[0].room_id), events, self._arrived) for peers in rooms]
        async with measuring(contender) as spreading:
            for room in turns:
                room.send()
            for room in turns:
                await room.done.wait()
        return spreading.each(self.name, events * self._rooms * (self._size - 1))

    async def clear(self, contender: Contender) -> None:
        """Everybody leaves."""
        await self._companies.pop(contender.name).leave()

    @property
    def _arrived(self) -> tuple[bytes, ...]:
        return (b'42["user-typing"', b'42["typing') if self._typing else (b'42["user-toggle', b'42["toggle')

    def _packets(self, room_id: str) -> tuple[bytes, bytes]:
        room = {"roomId": room_id}
        if self._typing:
            return event("typing-stop", room), event("typing-start", room)
        return event("toggle-audio", room | {"enabled": False}), event(
            "toggle-audio", room | {"enabled": True}
        )


def rows() -> list[FanOut]:
    """Toggles in rooms of 2, 20 and 100, with an offer of compression, and typing."""
    return [
        FanOut("fanout-2", "Fan-out of a toggle, a delivery, rooms of 2", rooms=32, size=2, goal=1.0),
        FanOut("fanout-20", "Fan-out of a toggle, a delivery, rooms of 20", rooms=5, size=20, goal=0.9, floor_goal=2.0),
        FanOut(
            "fanout-100", "Fan-out of a toggle, a delivery, rooms of 100", rooms=2, size=100, goal=0.9, floor_goal=2.0
        ),
        FanOut(
            "fanout-20-deflate", "Fan-out of a toggle, a delivery, rooms of 20, clients offer compression",
            rooms=5, size=20, compression=True, goal=0.9,
        ),
        FanOut("typing-20", "Typing, a delivery, rooms of 20", rooms=5, size=20, typing=True),
    ]  # fmt: skip
