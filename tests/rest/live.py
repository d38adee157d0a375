"""The meetings that are going on, as these tests tell them: the other side of the `LiveRooms` port."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from neuron_meet.rooms.live import LiveParticipant, Standing
from neuron_meet.store.models import Room


@dataclass
class RecordedLiveRooms:
    """Remembers what it was told, by room code, and refuses to be told outside `changing`."""

    people: dict[str, list[LiveParticipant]] = field(default_factory=dict[str, list[LiveParticipant]])
    changed: dict[str, list[Room]] = field(default_factory=lambda: defaultdict(list[Room]))
    over: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list[str]))
    locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    inside: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    removed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    leaves_when_asked: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Who is inside when it is asked for the first time, and out from then on."""

    async def standing(self, code: str, user_id: str) -> Standing:
        if (code, user_id) in self.leaves_when_asked:
            self.leaves_when_asked.remove((code, user_id))
            return Standing(inside=True, removed=False)
        return Standing((code, user_id) in self.inside, (code, user_id) in self.removed)

    async def participants(self, code: str) -> list[LiveParticipant]:
        return self.people.get(code, [])

    @asynccontextmanager
    async def changing(self, code: str) -> AsyncIterator[None]:
        async with self.locks[code]:
            yield

    async def settings_changed(self, room: Room) -> None:
        assert self.locks[room.code].locked()
        self.changed[room.code].append(room)

    async def ended(self, room: Room, reason: str) -> None:
        assert self.locks[room.code].locked()
        self.over[room.code].append(reason)
