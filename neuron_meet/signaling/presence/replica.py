"""What one node knows of one room of the cluster, and what it still has to tell about it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from neuron_meet.signaling.effects import RoomEffect
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.room import LiveRoom

MAX_UNTOLD = 1_000
"""Steps done while Redis is away that are kept for the others, of one room; the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Untold:
    """A step that was done here while Redis was away. `ticket`: of the commit that may have come through."""

    step: Step
    ticket: str


class Replica:
    """A room at this node: its state as of `room.version`, and the steps of this node on it, one at a time."""

    __slots__ = (
        "_waiting",
        "base",
        "came_through",
        "early",
        "loaded",
        "lock",
        "pending",
        "room",
        "told_here",
        "untold",
    )

    def __init__(self, room: LiveRoom) -> None:
        self.room = room
        self.lock = asyncio.Lock()
        """Held during a step of this node, so that they do not get into each other's way."""
        self.loaded: asyncio.Future[None] | None = None
        self.early: list[bytes] | None = []
        """Messages of the room's channel that came before its state; None from then on."""
        self.pending: dict[str, Sequence[RoomEffect]] = {}
        """What this node's steps want told, by ticket, until their entries come back in the room's order."""
        self.told_here: set[str] = set()
        """Tickets of steps that were done here already."""
        self.came_through: set[str] = set()
        """Those of `told_here` that had come through all the same."""
        self.untold: list[Untold] = []
        self.base: LiveRoom | None = None
        """The state before the first of `untold`."""
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def owes(self) -> bool:
        """Whether something was done here that the others have not been told."""
        return self.base is not None or bool(self.untold)

    def remember(self, step: Step, ticket: str) -> None:
        """A step is done here and not told to the others."""
        self.told_here.add(ticket)
        self.untold.append(Untold(step, ticket))
        del self.untold[:-MAX_UNTOLD]

    def reached(self, version: int) -> asyncio.Future[None]:
        """Done when this replica is as new as `version`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.room.version >= version:
            future.set_result(None)
        else:
            self._waiting.append((version, future))
        return future

    def advanced(self) -> None:
        """The version has changed: whoever waited for it goes on."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for version, future in waiting:
                if future.done():
                    continue
                if self.room.version >= version:
                    future.set_result(None)
                else:
                    self._waiting.append((version, future))
