"""Joining a room, 16 at a time, and going from it."""

from __future__ import annotations

from bench.company import Company, connect, enter, newcomers
from bench.contenders import NODE, OURS, Contender
from bench.row import Row, Sample, cpu_lines, measuring

ROOMS = 100
SIZE = 4


class Joining(Row):
    """Joins to rooms of four. Who leaves is announced to the others; ours also closes the row, Node's does not."""

    contenders = (OURS, NODE)
    warm_up = 2

    def __init__(self, history: int) -> None:
        """`history` is how many messages a room has when somebody joins."""
        self._history = history
        self.name = "join" if history == 0 else f"join-{history}"
        what = "no message yet" if history == 0 else f"{history} messages"
        self.lines = cpu_lines(self.name, f"Join, 16 at a time, {what} in the room", goal=0.5)
        if history == 0:
            self.lines += cpu_lines("leave", "Disconnect from a room of 4", goal=1.0)

    async def round(self, contender: Contender) -> Sample:
        """400 joins; then all leave at once."""
        peers = newcomers(contender, ROOMS * SIZE)
        company = Company([peers[room * SIZE : (room + 1) * SIZE] for room in range(ROOMS)])
        await connect(contender, peers)
        codes = await contender.rooms.rooms(ROOMS, history=self._history)
        async with measuring(contender) as joining:
            await enter(company, codes)
        async with measuring(contender) as leaving:
            await company.leave()
        sample = joining.each(self.name, len(peers))
        return sample | leaving.each("leave", len(peers)) if self._history == 0 else sample
