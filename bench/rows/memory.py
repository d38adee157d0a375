"""Memory for each connection, of fresh processes."""

from __future__ import annotations

import asyncio

from bench.company import Company, connect, enter, gather, leave, newcomers
from bench.contenders import Contender
from bench.messages import candidate, event
from bench.row import Line, Row, Sample

SOCKETS = 1_000
SIZE = 20
WARM_UP_SOCKETS = 40
ROUNDS_OF_TRAFFIC = 3
CALM_SECONDS = 1.0
"""Time for collectors to run before memory is read."""


class Memory(Row):
    """Growth of resident memory by connections that are idle, in a room of 20, and in it after traffic."""

    warm_up = 0

    def __init__(self, *, compression: bool) -> None:
        self._compression = compression
        self.name = "memory-deflate" if compression else "memory"
        offered = ", clients offer compression" if compression else ""
        self.lines = (
            Line(f"{self.name}.idle", f"Memory of an idle connection{offered}", "kB"),
            Line(f"{self.name}.room", f"Memory of a connection in a room{offered}", "kB"),
            Line(
                f"{self.name}.traffic",
                f"Memory of a connection in a room after traffic{offered}",
                "kB",
                goal=0.8,
            ),
        )

    async def round(self, contender: Contender) -> Sample:
        """A fresh process that has seen a few connections; then a thousand more."""
        await contender.restart()
        first = await gather(contender, 2, WARM_UP_SOCKETS // 2, compression=self._compression)
        await _traffic(first)
        await first.leave()
        base = await _memory(contender)
        company, idle = await self._connected(contender, base)
        sample = {f"{self.name}.idle": idle}
        if not contender.bare:
            await enter(company, await contender.rooms.rooms(len(company.rooms)))
            sample[f"{self.name}.room"] = (await _memory(contender) - base) / SOCKETS / 1000
        await _traffic(company)
        sample[f"{self.name}.traffic"] = (await _memory(contender) - base) / SOCKETS / 1000
        await leave(company.peers)
        return sample

    async def _connected(self, contender: Contender, base: int) -> tuple[Company, float]:
        if contender.bare:
            company = await gather(contender, SOCKETS // SIZE, SIZE, compression=self._compression)
        else:
            peers = newcomers(contender, SOCKETS)
            await connect(contender, peers, compression=self._compression)
            company = Company([peers[start : start + SIZE] for start in range(0, SOCKETS, SIZE)])
        return company, (await _memory(contender) - base) / SOCKETS / 1000


async def _traffic(company: Company) -> None:
    """Each peer sends a candidate to its neighbour and a toggle to its room, a few times over."""
    for _ in range(ROUNDS_OF_TRAFFIC):
        for room in company.rooms:
            for number, peer in enumerate(room):
                peer.send(candidate(room[number - 1].sid))
                peer.send(event("toggle-audio", {"roomId": peer.room_id, "enabled": True}))
            await asyncio.sleep(0.01)


async def _memory(contender: Contender) -> int:
    await contender.server.quiet()
    await asyncio.sleep(CALM_SECONDS)
    return contender.server.memory()
