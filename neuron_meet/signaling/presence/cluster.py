"""Presence of one node among many: Redis has the rooms, each node a replica of those that it has people in.

`hosting.py` has the replicas, `commits.py` changes them, `resync.py` brings them up to date. Here is what they are for:
:class:`neuron_meet.signaling.presence.interface.Presence`, and what becomes of it when Redis goes and comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import structlog

from neuron_meet.cluster.link import Link
from neuron_meet.cluster.turns import Turns, TurnTaken
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.presence.commits import Commits, StepsInTheWay
from neuron_meet.signaling.presence.hosting import CarryOut, Hosting, RoomUnreadable
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.replica import MAX_UNTOLD
from neuron_meet.signaling.presence.resync import Resync
from neuron_meet.signaling.presence.room import LiveRoom, Whereabouts

log = structlog.get_logger(__name__)


class ClusterPresence:
    """:class:`neuron_meet.signaling.presence.interface.Presence` of one node among many.

    `connected` says whether this node has a socket; `carry_out` does what entries want done here.
    """

    def __init__(
        self,
        link: Link,
        node: str,
        *,
        carry_out: CarryOut,
        connected: Callable[[str], bool] = lambda _sid: False,
    ) -> None:
        self.hosting = Hosting(
            link, node, carry_out=carry_out, connected=connected, lost=self._doubt, resubscribed=self._missed
        )
        self.commits = Commits(self.hosting)
        self.resync = Resync(self.hosting, self.commits)
        self.same_redis: Callable[[], Awaitable[bool]] = _certainly
        """Whether Redis still knows what it knew. Asked after a connection was lost, before anything is decided."""
        self._doubts = self._cleared = 0
        """How often the channels were lost, and how many of these times Redis is known to have kept what it knew."""
        self.cut_off: Callable[[], bool] = lambda: False
        """Whether the others may have taken this node for dead: then nothing is decided for them."""
        self._later: list[tuple[str, Step]] = []
        self._turns = Turns(link)
        self._settled_at = 0.0

    # -- looking
    @property
    def node(self) -> str:
        """This node's name."""
        return self.hosting.node

    @property
    def up(self) -> bool:
        """Whether the other nodes can be reached."""
        return self.hosting.up

    @property
    def whereabouts(self) -> Whereabouts:
        """By socket: the room that it is in, the room that it waits for. Of rooms in use at this node."""
        return self.hosting.whereabouts

    def room(self, code: str) -> LiveRoom | None:
        """The room, where it is in use at this node."""
        return self.hosting.room(code)

    def participant(self, sid: str) -> Participant | None:
        """The participant behind a socket, None where it is in no room in use at this node."""
        located = self.hosting.located(sid)
        return located[0] if located else None

    def located(self, sid: str) -> tuple[Participant, LiveRoom] | None:
        """The participant behind a socket together with its room."""
        return self.hosting.located(sid)

    def participants(self) -> Iterator[Participant]:
        """Everybody in any room whose socket is at this node."""
        for room in self.rooms():
            for member in list(room.members.values()):
                if member.node == self.node:
                    yield member

    def rooms(self) -> Iterator[LiveRoom]:
        """Every room in use at this node."""
        return self.hosting.rooms()

    async def members(self, code: str) -> list[Participant]:
        """Everybody in a room, wherever their sockets are. Raises PresenceUnavailable."""
        replica = self.hosting.replicas.get(code)
        if replica is not None and replica.early is None:
            return list(replica.room.members.values())
        return list((await self.hosting.load(code)).members.values())

    async def look(self, code: str) -> LiveRoom:
        """The room as Redis has it: this node may not have heard the newest yet. To be looked at, never to be changed.

        Raises PresenceUnavailable where Redis is away, or has lost what it knew and is only being told again.
        """
        if not self.up or self.cut_off() or time.monotonic() < self._settled_at:
            raise PresenceUnavailable
        await self._make_certain()
        return await self.hosting.load(code)

    def reachable(self, participant: Participant) -> bool:
        """Whether what is sent to a participant gets to the node that has the socket."""
        return self.up or participant.node == self.node

    # -- changing
    def act(self, code: str, step: Step, *, urgent: bool = False) -> Awaitable[Outcome]:
        """Do `step`; its effects have been carried out everywhere when the answer is there."""
        return self._act(code, step, urgent=urgent)

    @asynccontextmanager
    async def hold(self, code: str) -> AsyncGenerator[LiveRoom]:
        """Keep the room's replica while something is under way. Raises PresenceUnavailable."""
        async with self.hosting.hold(code) as replica:
            yield replica.room

    @asynccontextmanager
    async def changing(self, live: LiveRoom) -> AsyncGenerator[None]:
        """One change of the room's stored rules at a time, on all nodes. Raises PresenceUnavailable."""
        async with live.changing, self._turns.alone(live.code, "change") as version:
            await self.hosting.catch_up(live.code, version)
            yield

    @asynccontextmanager
    async def speaking(self, live: LiveRoom) -> AsyncGenerator[None]:
        """Speak in a room while no other node does; with Redis away, those of this node speak among themselves."""
        if not self.up:
            yield
            return
        async with contextlib.AsyncExitStack() as stack:
            try:
                version = await stack.enter_async_context(self._turns.together(live.code, "speak"))
                await self.hosting.catch_up(live.code, version)
            except TurnTaken:
                log.warning("a message is said out of turn", code=live.code)
            except PresenceUnavailable:
                self.hosting.lost()
            yield

    async def _act(self, code: str, step: Step, *, urgent: bool) -> Outcome:
        if not urgent:
            await self.settled()
        async with contextlib.AsyncExitStack() as stack:
            try:
                replica = await stack.enter_async_context(self.hosting.hold(code))
            except PresenceUnavailable:
                if not urgent:
                    raise
                self._later.append((code, step))  # nobody of this room is here, and yet it has to be done
                del self._later[:-MAX_UNTOLD]
                return Outcome()
            await stack.enter_async_context(replica.lock)
            if self.up and self.cut_off():
                self.hosting.lost()
            if self.up:
                try:
                    await self._make_certain()
                    await self.resync.settle(replica)
                    return await self.commits.commit(replica, step, urgent=urgent)
                except StepsInTheWay:
                    raise
                except PresenceUnavailable as error:
                    if not isinstance(error, RoomUnreadable):
                        self.hosting.lost()
                    if not urgent:
                        raise
                    ticket = error.ticket
            elif urgent:
                ticket = ""
            else:
                raise PresenceUnavailable
            return self.commits.act_here(replica, step, ticket)

    # -- Redis away and back
    def _doubt(self) -> None:
        """The connection of the channels is lost, and perhaps more than that."""
        self._doubts += 1

    async def _make_certain(self) -> None:
        """Raises PresenceUnavailable where Redis has lost what it knew: each node has to put back whom it has."""
        doubts = self._doubts  # there may be more of them when the answer comes
        if doubts > self._cleared:
            if not await self.same_redis():
                raise PresenceUnavailable
            self._cleared = max(self._cleared, doubts)

    def _missed(self) -> None:
        self.hosting.spawn(self._listen_again())

    async def _listen_again(self) -> None:
        await self.hosting.channels.ready()
        await self.resync.missed()
        await self.resync.everything()

    def settle(self, seconds: float) -> None:
        """Redis has lost everything: let nobody in until each node has put back whom it has."""
        self._settled_at = time.monotonic() + seconds

    async def settled(self) -> None:
        """Return when every node has had time to put back whom it has."""
        left = self._settled_at - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)

    async def come_back(self) -> None:
        """Redis answers again: find out what was decided meanwhile, and tell what was done here.

        Raises PresenceUnavailable where it is away once more.
        """
        await self.hosting.channels.ready()
        await self.resync.everything()
        self.hosting.up, self._cleared = True, self._doubts
        log.info("redis is back")
        # What was done here while others of these rooms were brought up to date.
        await self.resync.everything(only_owing=True)
        while self._later and self.up:
            code, step = self._later.pop(0)
            await self._act(code, step, urgent=True)

    def forget_untold(self) -> None:
        """What was done here while Redis was away is nobody's any more: the others know that all of this node left."""
        for replica in self.hosting.replicas.values():
            replica.untold.clear()

    async def stop(self) -> None:
        """End it: nothing is listened to any more."""
        await self.hosting.stop()


async def _certainly() -> bool:
    return True
