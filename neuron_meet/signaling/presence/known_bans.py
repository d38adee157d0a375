"""Redis is told whom the database, and the nodes of the former format, know to be kept out of which room.

That is once in the life of Redis' data: at the start of the first node, and after Redis has lost what it knew. From
then on each removal is put there by the step that it is part of, and a join asks nobody.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

import structlog

from neuron_meet.cluster.link import Link
from neuron_meet.rooms.removals import REMOVED_ACCOUNT_SECONDS, account_key
from neuron_meet.signaling.presence.kept_out import REMOVED, name_of
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.removals import ActiveRemoval

log = structlog.get_logger(__name__)

AT_ONCE = 50
"""Rooms that are written at the same time."""


class KnownBans:
    """`stored` gives the removals that the database knows. Raises PresenceUnavailable wherever Redis is away."""

    def __init__(self, link: Link, stored: Callable[[], Awaitable[Sequence[ActiveRemoval]]]) -> None:
        self._link, self._keys = link, link.keys
        self._stored = stored
        self._of: bytes | None = None
        self._lock = asyncio.Lock()

    async def see_to(self, life: bytes, *, former: bool = False) -> None:
        """Return when Redis, in this life of its data, knows what is known; where the database is away it is for the
        next call. `former`: what nodes of the former format have left is taken over too, and cleared away.
        """
        if self._of == life:
            return
        async with self._lock:
            # The mark is set last: a node that finds it finds them all. Two that begin at once write the same.
            if await self._link.do("GET", self._keys.bans_of) != life:
                try:
                    stored = await self._stored()
                except DatabaseUnreachable:
                    log.warning("redis is not told of former removals yet, the database is away")
                    return
                await self._put(stored)
                if former:
                    await self._take_over()
                await self._link.do("SET", self._keys.bans_of, life)
            self._of = life

    async def _put(self, removals: Sequence[ActiveRemoval]) -> None:
        rooms: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for removal in removals:
            name = name_of(REMOVED, account_key(removal.user_id))
            rooms[removal.code][name] = removal.until.timestamp()
        codes = list(rooms)
        for first in range(0, len(codes), AT_ONCE):
            some = codes[first : first + AT_ONCE]
            await asyncio.gather(*(self._keep_out(code, rooms[code]) for code in some))

    async def _keep_out(self, code: str, until: dict[str, float]) -> None:
        entries = [part for name, end in until.items() for part in (name, str(end))]
        await self._link.keep_out([self._keys.room_kept_out(code)], [int(REMOVED_ACCOUNT_SECONDS), *entries])

    async def _take_over(self) -> None:
        """Take over who is kept out, by names that the former format left readable. Its other keys mean nothing to
        anybody, and those of rooms with people in them would stay for ever: they go, once all is taken over.
        """
        former = self._keys.former
        before, after = f"{former}{{", "}:out"
        rooms = 0

        async def take(key: bytes) -> None:
            nonlocal rooms
            name = key.decode(errors="replace")
            entries = await self._link.do("HGETALL", key)
            until: dict[str, float] = {}
            for field, value in entries.items():
                what, _, who = field.decode(errors="replace").partition(" ")
                until[name_of(what, who)] = float(value)
            if until:
                rooms += 1
                await self._keep_out(name[len(before) : -len(after)], until)

        async def clear(key: bytes) -> None:
            if key.decode(errors="replace") != self._keys.formats:
                await self._link.do("UNLINK", key)

        await self._link.names(f"{before}*{after}", take)
        await self._link.names(f"{former}*", clear)
        if rooms:
            log.info("took over who is kept out from the former release", rooms=rooms)
