"""One node of four: what it spends on its own rooms while the others are as busy as it.

Compared with what it spends while as many servers that have nothing to do with it (another Redis) are as busy: on a
machine with few cores others cost it something whatever they do, in caches and in packets that come one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from bench.company import Company, connect, enter, gather, newcomers
from bench.contenders import OURS, Contender
from bench.members import STOCK, Cluster, cluster
from bench.messages import candidate, event
from bench.peer import Peer
from bench.process import cpu_seconds
from bench.row import MICROSECONDS, Line, Row, Sample, measuring
from bench.rows.fanout import Turns

ROOMS, SIZE = 3, 20
TOGGLES = 300
"""In each room and round, on each node: 5,700 deliveries."""
CANDIDATES = 300
"""From each of the ten pairs of a room."""
JOINERS = 200
TOGGLE = ((b'42["user-toggle',), "toggle-audio")
WHOSE = {OURS: "", STOCK: "python-socketio's Redis manager: "}
BOUND = 1.1


def _lines(name: str) -> list[Line]:
    whose, key = WHOSE[name], f"cluster.{name}"
    bound = BOUND if name == OURS else None
    lines: list[Line] = []
    for what, title in (("fanout", "a delivery of a toggle, rooms of 20"), ("relay", "an ICE candidate")):
        lines += [
            Line(f"{key}.{what}.alone", f"Cluster, {whose}{title}, the other three idle", "µs"),
            Line(f"{key}.{what}.beside", f"Cluster, {whose}{title}, three strangers as busy", "µs"),
            Line(f"{key}.{what}.four", f"Cluster, {whose}{title}, the other three as busy", "µs"),
            Line(f"{key}.{what}.ratio", f"Cluster, {whose}the same, others/strangers", "×", limit=bound),
            Line(f"{key}.{what}.redis", f"Cluster, {whose}{title}: in Redis", "µs", detail=True),
        ]
    if name == OURS:
        lines += [
            Line(f"{key}.join", "Cluster, a join, 16 at a time", "µs"),
            Line(f"{key}.join.redis", "Cluster, a join: in Redis", "µs", detail=True),
        ]
    remote = f"Cluster, {whose}a toggle of a room of 20, half of it elsewhere, from there"
    return [
        *lines,
        Line(f"{key}.remote", remote, "µs"),
        Line(f"{key}.send", f"Cluster, {whose}an ICE candidate to another node", "µs"),
        Line(f"{key}.receive", f"Cluster, {whose}an ICE candidate from another node", "µs"),
    ]


class ClusterRow(Row):
    """Four nodes, each with rooms of its own; figures are the first one's. Idle ones only have heartbeats."""

    name = "cluster"
    lines = (*_lines(OURS), *_lines(STOCK))
    contenders = (OURS,)

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._clusters: dict[str, Cluster] = {}
        self._companies: dict[str, list[Company]] = {}
        self._divided: dict[str, tuple[list[Peer], list[Peer]]] = {}

    async def prepare(self, contender: Contender) -> None:
        """Start both clusters; everybody in their rooms."""
        for name in (OURS, STOCK):
            group = self._clusters[name] = await self._stack.enter_async_context(cluster(contender, name))
            self._companies[name] = [
                await gather(member, ROOMS, SIZE) for member in (*group.members, *group.strangers)
            ]
            self._divided[name] = await _divided(group)

    async def round(self, contender: Contender) -> Sample:
        """Both clusters, the first node at work alone, beside strangers, with the others."""
        sample: Sample = {}
        for name, group in self._clusters.items():
            companies = self._companies[name]
            for what, work in (("fanout", _toggles), ("relay", _candidates)):
                key = f"cluster.{name}.{what}"
                alone, in_redis = await _spent(group, companies[:1], work)
                beside, _ = await _spent(group, [companies[0], *companies[len(group.members) :]], work)
                four, _ = await _spent(group, companies[: len(group.members)], work)
                sample |= {f"{key}.alone": alone, f"{key}.beside": beside, f"{key}.four": four}
                sample[f"{key}.ratio"] = four / beside
                sample[f"{key}.redis"] = in_redis
            here, there = self._divided[name]
            sample[f"cluster.{name}.remote"] = await self._remote(group, name)
            sample[f"cluster.{name}.send"] = await _across(group, here, there)
            sample[f"cluster.{name}.receive"] = await _across(group, there, here)
        return sample | await self._joins(self._clusters[OURS])

    async def clear(self, contender: Contender) -> None:
        """Everybody leaves, and the servers end."""
        for name, companies in self._companies.items():
            here, there = self._divided[name]
            for company in (*companies, Company([here, there])):
                await company.leave()
        await self._stack.aclose()

    async def _remote(self, group: Cluster, name: str) -> float:
        """What the first node spends on a toggle at the second, of a room that is on both."""
        here, there = self._divided[name]
        done = asyncio.Event()
        missing, left = 0, TOGGLES
        packet = [event("toggle-audio", {"roomId": there[0].room_id, "enabled": on}) for on in (False, True)]

        def send() -> None:
            nonlocal missing
            missing = len(here) + len(there) - 1
            there[0].send(packet[left % 2])

        def received(_peer: Peer, data: bytes) -> None:
            nonlocal missing, left
            if data.startswith(TOGGLE[0]):
                missing -= 1
                if not missing:
                    left -= 1
                    if left:
                        send()
                    else:
                        done.set()

        for peer in (*here, *there):
            peer.on_event = received
        async with measuring(group.members[0]) as work:
            send()
            await done.wait()
        return work.cpu.total * MICROSECONDS / TOGGLES

    async def _joins(self, group: Cluster) -> Sample:
        """Joins to rooms of four at the first node."""
        first = group.members[0]
        peers = newcomers(first, JOINERS)
        company = Company([peers[n : n + 4] for n in range(0, JOINERS, 4)])
        await connect(first, peers)
        codes = await first.rooms.rooms(len(company.rooms))
        before = cpu_seconds(group.redis.pid)
        async with measuring(first) as joining:
            await enter(company, codes)
        in_redis = cpu_seconds(group.redis.pid) - before
        await company.leave()
        return {
            f"cluster.{OURS}.join": joining.cpu.total * MICROSECONDS / JOINERS,
            f"cluster.{OURS}.join.redis": in_redis * MICROSECONDS / JOINERS,
        }


async def _divided(group: Cluster) -> tuple[list[Peer], list[Peer]]:
    """A room with ten people at the first node and ten at the second."""
    halves = [
        newcomers(member, SIZE)[n * SIZE // 2 : (n + 1) * SIZE // 2]
        for n, member in enumerate(group.members[:2])
    ]
    (code,) = await group.members[0].rooms.rooms(1)
    for half, member in zip(halves, group.members, strict=False):
        await connect(member, half)
        await enter(Company([half]), [code])
    return halves[0], halves[1]


async def _across(group: Cluster, senders: Sequence[Peer], targets: Sequence[Peer]) -> float:
    """CPU in µs at the first node for a candidate from each of `senders` to each of `targets`."""
    streams = [_stream(sender, target) for sender, target in zip(senders, targets, strict=True)]
    async with measuring(group.members[0]) as relaying:
        for start, _ in streams:
            start()
        for _, done in streams:
            await done.wait()
    return relaying.cpu.total * MICROSECONDS / (CANDIDATES * len(streams))


Work = Callable[[Company], tuple[Sequence[Callable[[], None]], Sequence[asyncio.Event], int]]
"""How to start a piece of work in a company, what tells that it is done, and how many operations it is."""


async def _spent(group: Cluster, companies: Sequence[Company], work: Work) -> tuple[float, float]:
    """CPU in µs for an operation at the first node, and in Redis where it works alone, while all `companies` work."""
    works = [work(company) for company in companies]
    before = cpu_seconds(group.redis.pid)
    async with measuring(group.members[0]) as measured:
        for starts, _, _ in works:
            for start in starts:
                start()
        for _, ends, _ in works:
            for done in ends:
                await done.wait()
    in_redis = cpu_seconds(group.redis.pid) - before
    operations = works[0][2]
    return measured.cpu.total * MICROSECONDS / operations, in_redis * MICROSECONDS / operations


def _toggles(company: Company) -> tuple[Sequence[Callable[[], None]], Sequence[asyncio.Event], int]:
    turns: list[Turns] = []
    for peers in company.rooms:
        packets = tuple(
            event("toggle-audio", {"roomId": peers[0].room_id, "enabled": on}) for on in (False, True)
        )
        turns.append(Turns(peers, (packets[0], packets[1]), TOGGLES, TOGGLE[0]))
    return [t.send for t in turns], [t.done for t in turns], TOGGLES * len(turns) * (SIZE - 1)


def _candidates(company: Company) -> tuple[Sequence[Callable[[], None]], Sequence[asyncio.Event], int]:
    starts: list[Callable[[], None]] = []
    ends: list[asyncio.Event] = []
    for peers in company.rooms:
        for sender, target in zip(peers[::2], peers[1::2], strict=True):
            start, done = _stream(sender, target)
            starts.append(start)
            ends.append(done)
    return starts, ends, CANDIDATES * len(starts)


def _stream(sender: Peer, target: Peer) -> tuple[Callable[[], None], asyncio.Event]:
    packet, left, done = candidate(target.sid), CANDIDATES, asyncio.Event()

    def received(_peer: Peer, data: bytes) -> None:
        nonlocal left
        if data.startswith(b'42["ice-candidate"'):
            left -= 1
            if left:
                sender.send(packet)
            else:
                done.set()

    target.on_event = received
    return lambda: sender.send(packet), done
