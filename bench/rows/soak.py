"""2,000 people in rooms of 20, each with an event a second, for as long as asked."""

from __future__ import annotations

import asyncio
import time

from bench.company import Company, gather
from bench.contenders import NODE, OURS, Contender
from bench.messages import event
from bench.pace import on_schedule
from bench.peer import Peer
from bench.row import Line, Row, Sample

ROOMS = 100
SIZE = 20
BUCKETS_A_MILLISECOND = 10
LONGEST_MILLISECONDS = 10_000
SETTLING_SHARE = 0.25
"""Memory is compared from here on: before, buffers fill that are then recycled."""
STALL = "event loop stalled"
"""What ours logs when its loop did not answer for 0.1 s (neuron_meet.ops.stalls)."""


class Latencies:
    """A histogram of delivery times, as 4.5 million of them would fill a list."""

    def __init__(self) -> None:
        self._buckets = [0] * (LONGEST_MILLISECONDS * BUCKETS_A_MILLISECOND + 1)
        self._sent: dict[bytes, float] = {}
        self.count = 0

    def sent(self, peer: Peer) -> None:
        """The peer's next event goes out now."""
        self._sent[peer.sid.encode()] = time.perf_counter()

    def received(self, _peer: Peer, data: bytes) -> None:
        """An event came; it names its sender."""
        start = data.find(b'"socketId":"', 0, 48) + 12
        if start > len(b'"socketId":"') and data.startswith(b'42["user-toggle'):
            began = self._sent[data[start : data.index(b'"', start)]]
            bucket = int((time.perf_counter() - began) * 1000 * BUCKETS_A_MILLISECOND)
            self._buckets[min(bucket, len(self._buckets) - 1)] += 1
            self.count += 1

    def milliseconds(self, share: float) -> float:
        """The latency that `share` of the deliveries did not exceed."""
        left = self.count * share
        for bucket, number in enumerate(self._buckets):
            left -= number
            if left <= 0:
                return (bucket + 1) / BUCKETS_A_MILLISECOND
        return float(LONGEST_MILLISECONDS)


class Soak(Row):
    """One round, of a fresh process: latency, stalls, and whether memory stays flat."""

    name = "soak"
    contenders = (OURS, NODE)
    warm_up = 0
    most_rounds = 1

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        title = f"2,000 people, an event a second each, {seconds:.0f} s"
        self.lines = (
            Line("soak.p50", f"{title}: delivery, median", "ms"),
            Line("soak.p99", f"{title}: delivery, 99th percentile", "ms", limit=50),
            Line("soak.stalls", f"{title}: stalls over 100 ms", "", limit=0),
            Line("soak.late", f"{title}: the load generator's own longest delay", "ms"),
            Line("soak.growth", f"{title}: growth of memory after the first quarter", "MB"),
            Line("soak.memory", f"{title}: memory at the end", "MB"),
            Line("soak.cpu", f"{title}: CPU", "% of a core"),
        )

    async def round(self, contender: Contender) -> Sample:
        """Everybody toggles once a second, evenly spread."""
        await contender.restart()
        server = contender.server
        company = await gather(contender, ROOMS, SIZE)
        latencies = Latencies()
        for peer in company.peers:
            peer.on_event = latencies.received
        stalls = len(list(server.logged(STALL)))
        settled: list[asyncio.Task[int]] = []
        # Neighbours in the order of sending are of different rooms.
        senders = [room[seat] for seat in range(SIZE) for room in company.rooms]
        moments = [number / len(senders) for number in range(int(self._seconds * len(senders)))]
        settled_at = int(len(moments) * SETTLING_SHARE)

        def act(number: int) -> None:
            sender = senders[number % len(senders)]
            latencies.sent(sender)
            sender.send(event("toggle-audio", {"roomId": sender.room_id, "enabled": number % 2 == 0}))
            if number == settled_at:
                # In a thread: looking through /proc takes longer than a delivery.
                settled.append(asyncio.create_task(asyncio.to_thread(server.memory)))

        before, began = server.cpu(), time.perf_counter()
        lateness = await on_schedule(moments, act)
        await asyncio.sleep(0.5)  # what is still on its way
        cpu, seconds = server.cpu() - before, time.perf_counter() - began
        memory = server.memory()
        stalls = len(list(server.logged(STALL))) - stalls
        await Company(company.rooms).leave()
        return {
            "soak.p50": latencies.milliseconds(0.5),
            "soak.p99": latencies.milliseconds(0.99),
            "soak.late": lateness * 1000,
            "soak.growth": (memory - await settled[0]) / 1e6,
            "soak.memory": memory / 1e6,
            "soak.cpu": cpu.total / seconds * 100,
        } | ({"soak.stalls": stalls} if contender.name == OURS else {})
