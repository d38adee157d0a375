"""Operations that a latency row begins, each timed from its beginning to its end."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from bench.company import Company, connect, gather, newcomers
from bench.contenders import Contender
from bench.failure import BenchFailed
from bench.messages import age, candidate, event, stamped
from bench.peer import Peer

Complete = Callable[[float], None]
"""Called once at an operation's end, with the seconds that it took."""

SIZE = 20
JOINERS = 400
JOIN_ROOMS = 80


class Load(ABC):
    """Operations of one kind on one server."""

    def __init__(self, complete: Complete) -> None:
        self.complete = complete
        self.company = Company([])

    @abstractmethod
    async def prepare(self, contender: Contender) -> None:
        """Make the company."""

    @abstractmethod
    def start(self, number: int) -> None:
        """Begin operation `number`."""


class CandidateLoad(Load):
    """A candidate, until its target has it."""

    async def prepare(self, contender: Contender) -> None:
        """32 rooms of two."""
        self.company = await gather(contender, 32, 2)
        self._packets = [candidate(target.sid) for _, target in self.company.rooms]
        for _, target in self.company.rooms:
            target.on_event = self._received

    def start(self, number: int) -> None:
        """One pair after the other."""
        pair = number % len(self._packets)
        self.company.rooms[pair][0].send(stamped(self._packets[pair]))

    def _received(self, _peer: Peer, data: bytes) -> None:
        if data.startswith(b'42["ice-candidate"'):
            self.complete(age(data))


class ToggleLoad(Load):
    """A toggle, until the last of 19 others has it."""

    async def prepare(self, contender: Contender) -> None:
        """16 rooms of 20."""
        self.company = await gather(contender, 16, SIZE)
        self._sent: list[deque[float]] = [deque() for _ in self.company.rooms]
        self._missing = [0] * len(self.company.rooms)
        for room, peers in enumerate(self.company.rooms):
            for peer in peers:
                peer.on_event = self._receiver(room)

    def start(self, number: int) -> None:
        """One room after the other, in each by turns."""
        room = number % len(self.company.rooms)
        peers = self.company.rooms[room]
        sender = peers[number // len(self.company.rooms) % SIZE]
        self._sent[room].append(time.perf_counter())
        sender.send(event("toggle-audio", {"roomId": sender.room_id, "enabled": True}))

    def _receiver(self, room: int) -> Callable[[Peer, bytes], None]:
        # Rooms are in order: of any two toggles all deliveries of the first come before the second's at each peer,
        # so that 19 deliveries end the oldest one, give or take what overlaps within a millisecond.
        def received(_peer: Peer, data: bytes) -> None:
            if data.startswith(b'42["user-toggle'):
                self._missing[room] += 1
                if self._missing[room] == SIZE - 1:
                    self._missing[room] = 0
                    self.complete(time.perf_counter() - self._sent[room].popleft())

        return received


class ChatLoad(Load):
    """A chat message, until its sender has the acknowledgement; everybody has it then."""

    async def prepare(self, contender: Contender) -> None:
        """16 rooms of 20."""
        self.company = await gather(contender, 16, SIZE)

    def start(self, number: int) -> None:
        """One room after the other, in each by turns."""
        peers = self.company.rooms[number % len(self.company.rooms)]
        sender = peers[number // len(self.company.rooms) % SIZE]
        began = time.perf_counter()

        def acknowledged(packet: bytes) -> None:
            if b'"success":true' not in packet:
                raise BenchFailed("A chat message was refused.")
            self.complete(time.perf_counter() - began)

        sender.emit("chat-message", {"roomId": sender.room_id, "content": f"Message {number}"}, acknowledged)


class JoinLoad(Load):
    """A join, until it is acknowledged; the joiner leaves again before its next turn."""

    async def prepare(self, contender: Contender) -> None:
        """Connected peers and empty rooms."""
        peers = newcomers(contender, JOINERS)
        await connect(contender, peers)
        self.company = Company([peers])
        self._codes = await contender.rooms.rooms(JOIN_ROOMS)
        self._idle = deque(peers)

    def start(self, number: int) -> None:
        """The peer that has been idle for longest joins one room after the other."""
        peer = self._idle.popleft()
        began = time.perf_counter()

        def joined(packet: bytes) -> None:
            if b'"success":true' not in packet:
                raise BenchFailed("A join was refused.")
            self.complete(time.perf_counter() - began)
            peer.emit("leave-room", {"roomId": "any"}, lambda _packet: self._idle.append(peer))

        payload = {
            "roomCode": self._codes[number % JOIN_ROOMS],
            "userId": peer.account_id,
            "displayName": peer.name,
        }
        peer.emit("join-room", payload, joined)
