"""Relaying offers and candidates between two members of a room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bench.company import Company, gather
from bench.contenders import Contender
from bench.messages import candidate, description
from bench.peer import Peer
from bench.row import Row, Sample, cpu_lines, measuring

PAIRS = 32


class Relay(Row):
    """One message of each pair is on its way at any time."""

    def __init__(self, event: str, title: str, operations: int, message: Callable[[str], bytes]) -> None:
        self.name = self._event = event
        self.lines = cpu_lines(event, title, goal=0.9)
        self._each = operations // PAIRS
        self._message = message
        self._companies: dict[str, Company] = {}

    async def prepare(self, contender: Contender) -> None:
        """32 rooms of two."""
        self._companies[contender.name] = await gather(contender, PAIRS, 2)

    async def round(self, contender: Contender) -> Sample:
        """Each pair sends its share, one after the other has arrived."""
        company = self._companies[contender.name]
        arrived = b'42["' + self._event.encode()
        done = asyncio.Event()
        open_pairs = PAIRS

        def stream(sender: Peer, target: Peer) -> Callable[[], None]:
            packet, left = self._message(target.sid), self._each

            def received(_peer: Peer, data: bytes) -> None:
                nonlocal left, open_pairs
                if not data.startswith(arrived):
                    return
                left -= 1
                if left:
                    sender.send(packet)
                else:
                    open_pairs -= 1
                    if not open_pairs:
                        done.set()

            target.on_event = received
            return lambda: sender.send(packet)

        starts = [stream(sender, target) for sender, target in company.rooms]
        async with measuring(contender) as relaying:
            for start in starts:
                start()
            await done.wait()
        return relaying.each(self.name, self._each * PAIRS)

    async def clear(self, contender: Contender) -> None:
        """Everybody leaves."""
        await self._companies.pop(contender.name).leave()


def offers() -> Relay:
    """Offers of 2.4 kB."""
    return Relay("offer", "Relay of an offer (2.4 kB)", 12_800, lambda target: description("offer", target))


def candidates() -> Relay:
    """ICE candidates."""
    return Relay("ice-candidate", "Relay of an ICE candidate", 32_000, candidate)
