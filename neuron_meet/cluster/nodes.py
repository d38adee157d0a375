"""Who the nodes are and which of them live: a lease each, renewed by heartbeats; the dead are buried by the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog

from neuron_meet.cluster.keys import FORMAT, FORMER_FORMAT
from neuron_meet.cluster.link import Link
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.failure import ForeseenFailure, place

log = structlog.get_logger(__name__)

LEASE_SECONDS = 8.0
"""A node that has not been heard of for so long is dead to the others."""
BEAT_SECONDS = 1.0
DEAD_SECONDS = 24 * 3600
"""How long it is remembered that a node was found dead: longer than it can be away and come back."""
NAMED = 5
"""Nodes of another format that are named; there may be a hundred."""
PATIENCE_SECONDS = 5.0
"""A node that could not reach Redis itself takes nobody for dead for so long: they may have had the same trouble."""


class OtherFormat(ForeseenFailure):
    """Nodes of a release that does not understand this one's live on the same Redis. The text says what to do."""


class Nodes:
    """This node's life among the others.

    `beaten` is awaited after heartbeats that came through (one call at a time, beside the next ones), `lost` called
    when one did not; `died` when the others have taken this node for dead: it gives itself another name. `bury` is
    awaited with a node that was found dead, as often as it takes: it must not matter who else does it.
    """

    def __init__(
        self,
        link: Link,
        node: str,
        *,
        beaten: Callable[[], Awaitable[None]],
        lost: Callable[[], None],
        died: Callable[[], Awaitable[None]],
        bury: Callable[[str], Awaitable[None]],
    ) -> None:
        self._link = link
        self.node = node
        self._beaten, self._lost, self._died, self._bury = beaten, lost, died, bury
        self._suspects: set[str] = set()
        self._burials: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._last_beat = time.monotonic()
        self._patient_until = 0.0
        self._beside_former = False

    @property
    def cut_off(self) -> bool:
        """Whether the others may have taken this node for dead: it decides nothing until it has asked."""
        return time.monotonic() - self._last_beat > LEASE_SECONDS - BEAT_SECONDS

    async def start(self) -> None:
        """Be a node from now on. Raises OtherFormat, PresenceUnavailable."""
        keys, begun = self._link.keys, time.monotonic()
        others = await self._link.enroll(
            [keys.nodes, keys.formats, keys.former_nodes], [*self._lease, FORMER_FORMAT]
        )
        if others:
            names = ", ".join(sorted(name.decode(errors="replace") for name in others)[:NAMED])
            raise OtherFormat(
                f"On this Redis {len(others)} node(s) of another release are running (format and name: {names}). They "
                f"would know nothing of the people at this one, whose format is {FORMAT}. Stop them first (one that "
                f"was killed counts for {LEASE_SECONDS:.0f} s), or give this one another Redis, or another database "
                "number in REDIS_URL. docs/scaling.md, Upgrades, has the steps."
            )
        self._last_beat = begun
        self._task = asyncio.create_task(self._live(), name="cluster-heartbeat")

    async def stop(self) -> None:
        """Be none any more."""
        tasks = [task for task in (self._task, self._following, *self._burials.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def resign(self) -> None:
        """Tell the others that this node has gone, with nobody left at it."""
        try:
            await self._link.do("ZREM", self._link.keys.nodes, self.node)
            await self._link.do("ZREM", self._link.keys.formats, f"{FORMAT} {self.node}")
            await self._link.do("DEL", self._link.keys.node_rooms(self.node))
        except PresenceUnavailable:
            return  # they will find out

    async def expect(self, names: Iterable[str]) -> None:
        """These are nodes too: they are dead if they do not say otherwise. Raises PresenceUnavailable."""
        if others := [name for name in names if name != self.node]:
            await self._link.expect([self._link.keys.nodes], [int(LEASE_SECONDS * 1000), *others])

    async def lives(self, name: str) -> bool:
        """Whether a node has not been dead for as long as its lease. Raises PresenceUnavailable."""
        return bool(await self._link.lives([self._link.keys.nodes], [name]))

    @property
    def _lease(self) -> list[str | bytes | int]:
        return [self.node, int(LEASE_SECONDS * 1000), FORMAT]

    async def _beat(self) -> None:
        begun, keys = time.monotonic(), self._link.keys
        names = [keys.nodes, keys.dead, keys.formats, keys.former_nodes]
        is_dead, expired, former = await self._link.beat(names, self._lease)
        if is_dead:
            self._lost()
            await self._died()
            await self._link.beat(names, self._lease)
        self._last_beat = begun
        if bool(former) is not self._beside_former:  # such a node looks for nobody before it starts
            self._beside_former = bool(former)
            if former:
                log.error("nodes of the former release run on this Redis: meetings are split", nodes=former)
        if begun < self._patient_until:
            return
        dead = {name.decode() for name in expired} - {self.node}
        # Twice in a row: after a pause of Redis itself those who live have had time to say so.
        for name in dead & self._suspects:
            if name not in self._burials:
                task = self._burials[name] = asyncio.create_task(self._see_to(name), name="cluster-burial")
                task.add_done_callback(lambda _, name=name: self._burials.pop(name, None))
        self._suspects = dead

    async def _see_to(self, name: str) -> None:
        try:
            keys = [self._link.keys.nodes, self._link.keys.dead]
            if not await self._link.find_dead(keys, [name, DEAD_SECONDS * 1000]):
                return
            log.warning("node found dead", node=name)
            await self._bury(name)
            await self._link.do("DEL", self._link.keys.node_rooms(name))
            await self._link.do("ZREM", self._link.keys.nodes, name)
        except PresenceUnavailable:
            return  # found dead again as soon as Redis is back
        except Exception as error:
            log.error("node not buried", node=name, **place(error))  # noqa: TRY400 -- may quote content

    async def _live(self) -> None:
        while True:
            try:
                if self.cut_off:
                    self._missed()
                await self._beat()
                self._follow()
            except PresenceUnavailable:
                self._missed()
                await asyncio.sleep(BEAT_SECONDS / 4)
            except Exception as error:
                log.error("heartbeat failed", **place(error))  # noqa: TRY400 -- may quote content
                await asyncio.sleep(BEAT_SECONDS)
            else:
                await asyncio.sleep(BEAT_SECONDS)

    def _missed(self) -> None:
        """A heartbeat did not come through, or not in time."""
        self._patient_until = time.monotonic() + PATIENCE_SECONDS
        self._suspects.clear()
        self._lost()

    def _follow(self) -> None:
        """What follows on a heartbeat may take longer than the lease: the next beats do not wait for it."""
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._see_to_rooms(), name="cluster-beaten")

    async def _see_to_rooms(self) -> None:
        try:
            await self._beaten()
        except PresenceUnavailable:
            self._lost()
        except Exception as error:
            log.error("heartbeat failed", **place(error))  # noqa: TRY400 -- may quote content
