"""A room of 100 in which everybody joins within two seconds, with all that a mesh sends."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

from bench.company import Company, connect, newcomers
from bench.contenders import NODE, OURS, Contender
from bench.failure import BenchFailed
from bench.messages import age, candidate, description, stamped
from bench.pace import on_schedule
from bench.peer import Peer
from bench.row import Line, Row, Sample

SIZE = 100
JOINING_SECONDS = 2.0
CANDIDATES = 6
"""Candidates that each side of a pair trickles."""
PAIRS = SIZE * (SIZE - 1) // 2
RELAYED = PAIRS * (2 + 2 * CANDIDATES)
LATE_SECONDS = 60.0


class Mesh:
    """Peers that do what a front end does: offer to everybody in the snapshot, answer, trickle candidates."""

    def __init__(self, peers: list[Peer]) -> None:
        self.joins: list[float] = []
        self.relays: list[float] = []
        self.done = asyncio.Event()
        self._missing = RELAYED
        for peer in peers:
            peer.on_event = self._received

    def join(self, peer: Peer, code: str) -> None:
        """Enter the room; the acknowledgement begins the offers."""
        began = time.perf_counter()

        def joined(packet: bytes) -> None:
            self.joins.append(time.perf_counter() - began)
            answer: dict[str, Any] = json.loads(packet[packet.index(b"[") :])[0]
            if not answer["success"]:
                raise BenchFailed(f"A join was refused: {answer['error']}")
            for other in answer["participants"]:
                peer.send(description("offer", other["socketId"]))
                self._trickle(peer, other["socketId"])

        peer.emit(
            "join-room", {"roomCode": code, "userId": peer.account_id, "displayName": peer.name}, joined
        )

    def _received(self, peer: Peer, data: bytes) -> None:
        if data.startswith(b'42["ice-candidate"'):
            self.relays.append(age(data))
        elif data.startswith(b'42["offer"'):
            sender = json.loads(data[2:])[1]["senderId"]
            peer.send(description("answer", sender))
            self._trickle(peer, sender)
        elif not data.startswith(b'42["answer"'):
            return
        self._missing -= 1
        if not self._missing:
            self.done.set()

    @staticmethod
    def _trickle(peer: Peer, target: str) -> None:
        packet = stamped(candidate(target))
        for _ in itertools.repeat(None, CANDIDATES):
            peer.send(packet)


class Crowd(Row):
    """100 joins, 4,950 pairs, 69,300 relayed messages."""

    name = "crowd"
    contenders = (OURS, NODE)
    lines = (
        Line("crowd.cpu", "100 people join within 2 s: CPU of it all", "s"),
        Line("crowd.join", "100 people join within 2 s: join, 99th percentile", "ms"),
        Line("crowd.relay", "100 people join within 2 s: candidate, 99th percentile", "ms"),
        Line("crowd.end", "100 people join within 2 s: until everything has arrived", "s"),
    )

    async def round(self, contender: Contender) -> Sample:
        """A fresh room."""
        peers = newcomers(contender, SIZE)
        await connect(contender, peers)
        code = (await contender.rooms.rooms(1))[0]
        mesh = Mesh(peers)
        await contender.server.quiet()
        before, began = contender.server.cpu(), time.perf_counter()
        moments = [JOINING_SECONDS * number / SIZE for number in range(SIZE)]
        await on_schedule(moments, lambda number: mesh.join(peers[number], code))
        try:
            async with asyncio.timeout(LATE_SECONDS):
                await mesh.done.wait()
        except TimeoutError:
            raise BenchFailed(
                f"{contender.name} did not relay everything within {LATE_SECONDS:.0f} s."
            ) from None
        seconds = time.perf_counter() - began
        await contender.server.quiet()
        cpu = contender.server.cpu() - before
        await Company([peers]).leave()
        return {
            "crowd.cpu": cpu.total,
            "crowd.join": _p99(mesh.joins) * 1000,
            "crowd.relay": _p99(mesh.relays) * 1000,
            "crowd.end": seconds,
        }


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
