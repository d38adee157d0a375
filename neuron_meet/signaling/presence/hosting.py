"""Replicas of the rooms that a node has people in: loaded, told what happens, let go.

What happens in a room happens in one order at every node that hosts it: state, then those who are here are told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog

from neuron_meet.cluster.channels import Channels
from neuron_meet.cluster.link import Link, WrongKind
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Drop, Effect, Enter, Leave, RoomEffect, ToSocket
from neuron_meet.signaling.presence.background import Background
from neuron_meet.signaling.presence.entries import Entry, apply, decode, effect_of, parts, room_of
from neuron_meet.signaling.presence.kept_out import SharedKeptOut
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.replica import Replica
from neuron_meet.signaling.presence.room import LiveRoom, Whereabouts
from neuron_meet.tracing import elsewhere

log = structlog.get_logger(__name__)

CATCH_UP_SECONDS = 1.0
"""An entry that has not come by its channel after so long is fetched."""

DROPPED = b"M"
"""Said on a room's channel: its state was unreadable, and is gone."""


class RoomUnreadable(PresenceUnavailable):
    """Redis is there, and what it has of a room is no room: that is being mended."""


CarryOut = Callable[[Sequence[RoomEffect]], None]
"""Does what a step wants done, for the sockets of this node."""


class Hosting:
    """The rooms in use at this node.

    `connected` says whether this node has a socket; `carry_out` does what entries want done here. `lost` is called
    when the connection of the channels is lost, `resubscribed` when they are listened to again.
    """

    def __init__(
        self,
        link: Link,
        node: str,
        *,
        carry_out: CarryOut,
        connected: Callable[[str], bool],
        lost: Callable[[], None],
        resubscribed: Callable[[], None],
    ) -> None:
        self.link, self.keys = link, link.keys
        self.node = node
        self.carry_out = carry_out
        self.connected = connected
        self.up = False
        """Whether the other nodes can be reached."""
        self.whereabouts = Whereabouts()
        self.channels = Channels(link, lost=lost, resubscribed=resubscribed)
        self.replicas: dict[str, Replica] = {}
        self.begin: Callable[[Replica], Awaitable[None]] = _unknown
        """Gives a replica whose channel is listened to its state. Raises PresenceUnavailable."""
        self.fetch: Callable[[Replica], Awaitable[None]] = _unknown
        """Lets what the channel has not brought happen. Raises PresenceUnavailable."""
        self.put_back: Callable[[Replica], Awaitable[None]] = _unknown
        """Puts a room back into Redis, which has lost it. Raises PresenceUnavailable."""
        self.walk_out: Callable[[str], None] = lambda _sid: None
        """Sees to it that a socket leaves its room, or the queue before one: called for those who were gone by then."""
        self.left: Callable[[str], object] = lambda _sid: None
        """Called with each socket that another node took out of its room."""
        self.advanced: Callable[[str], None] = lambda _code: None
        """Called when a room has changed, or is let go."""
        self.overheard: Callable[[str, bytes], None] = lambda _code, _data: None
        """Called with what is said on a room's channel and is no entry."""
        self._background = Background()
        self.spawn = self._background.spawn

    # -- looking
    def room(self, code: str) -> LiveRoom | None:
        """The room, where it is in use at this node."""
        replica = self.replicas.get(code)
        return replica.room if replica else None

    def rooms(self) -> Iterator[LiveRoom]:
        """Every room in use at this node."""
        return iter([replica.room for replica in self.replicas.values()])

    def located(self, sid: str) -> tuple[Participant, LiveRoom] | None:
        """The participant behind a socket together with its room."""
        code = self.whereabouts.inside.get(sid)
        replica = self.replicas.get(code) if code is not None else None
        if replica is None:
            return None
        return replica.room.members[sid], replica.room

    async def load(self, code: str) -> LiveRoom:
        """The room as Redis has it, apart from its replica. Raises PresenceUnavailable; what cannot be read is dropped
        then, and the nodes that have people in the room put it back (:attr:`put_back`).
        """
        found: dict[str, bytes] = {}
        try:
            state, kept_out = await self.link.load(
                [self.keys.room_state(code), self.keys.room_kept_out(code)], []
            )
            found = _fields(state)
            return room_of(code, found, _fields(kept_out), Whereabouts())
        except (WrongKind, msgspec.MsgspecError, ValueError) as error:
            await self.drop(code, found.get("v", b""))
            raise RoomUnreadable from error

    async def drop(self, code: str, version: bytes = b"") -> None:
        """What Redis has of a room is nothing that a node has written: away with it, unless it is another meanwhile."""
        keys = self.keys
        names = [
            keys.room_state(code),
            keys.room_log(code),
            keys.room_kept_out(code),
            keys.room_channel(code),
        ]
        if await self.link.drop_room(names, [version, self.link.publish_command, DROPPED]):
            log.error("the state of a room in redis was unreadable, it is put together again", code=code)

    def lost(self) -> None:
        """Redis does not answer: what is done from now on is done here."""
        if self.up:
            self.up = False
            log.warning("redis away, meetings go on among those at this node")

    def _insist(self) -> None:
        if not self.up:
            raise PresenceUnavailable

    # -- replicas
    @asynccontextmanager
    async def hold(self, code: str) -> AsyncGenerator[Replica]:
        """Keep a room's replica while something is under way. Raises PresenceUnavailable."""
        replica = self._replica(code)
        replica.room.holds += 1
        try:
            assert replica.loaded is not None  # noqa: S101 -- _replica sets it
            await asyncio.shield(replica.loaded)
            yield replica
        finally:
            replica.room.holds -= 1
            self.forget_if_idle(replica)

    def hosts(self, replica: Replica) -> bool:
        """Whether a replica still is the room here: it may have been let go while Redis was asked about it."""
        return self.replicas.get(replica.room.code) is replica

    def _replica(self, code: str) -> Replica:
        replica = self.replicas.get(code)
        if replica is None:
            room = LiveRoom(code, self.whereabouts, SharedKeptOut())
            replica = self.replicas[code] = Replica(room)
            replica.loaded = asyncio.ensure_future(self._start(replica))
            replica.loaded.add_done_callback(_looked_at)
        return replica

    async def _start(self, replica: Replica) -> None:
        """Listen, then load: nothing is missed in between."""
        code = replica.room.code
        try:
            self._insist()
            await self.link.do("SADD", self.keys.node_rooms(self.node), code)
            await self.channels.subscribe(self.keys.room_channel(code), lambda data: self.heard(code, data))
            await self.begin(replica)
        except BaseException:
            if self.replicas.get(code) is replica:
                del self.replicas[code]
            self.channels.forget(self.keys.room_channel(code))
            self.advanced(code)
            raise

    def forget_if_idle(self, replica: Replica) -> None:
        """Let go of a room that nobody at this node is in, waits for, or is busy with."""
        room = replica.room
        if room.holds or replica.owes or not self.hosts(replica):
            return
        mine = self.node
        if any(member.node == mine for member in room.members.values()) or any(
            waiter.node == mine for waiter in room.waiting.values()
        ):
            return
        del self.replicas[room.code]
        for sid in list(room.members):
            room.put_member(sid, None)
        for sid in list(room.waiting):
            room.put_waiter(sid, None)
        self.channels.forget(self.keys.room_channel(room.code))
        self.advanced(room.code)
        self.spawn(self._leave_registry(room.code))

    async def _leave_registry(self, code: str) -> None:
        if code not in self.replicas:
            with contextlib.suppress(PresenceUnavailable):
                await self.link.do("SREM", self.keys.node_rooms(self.node), code)
            if code in self.replicas:  # back in use meanwhile
                with contextlib.suppress(PresenceUnavailable):
                    await self.link.do("SADD", self.keys.node_rooms(self.node), code)

    # -- what happens in the rooms
    async def catch_up(self, code: str, version: int) -> None:
        """Return when this node's replica is as new as `version`. Raises PresenceUnavailable."""
        replica = self.replicas.get(code)
        if replica is not None and replica.room.version < version:
            await self.reach(replica, version)

    async def reach(self, replica: Replica, version: int) -> None:
        """Return when a replica is as new as `version`. Raises PresenceUnavailable."""
        reached = replica.reached(version)
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await reached
        except TimeoutError:
            await self.fetch(replica)
            if replica.room.version < version:
                raise PresenceUnavailable from None

    def heard(self, code: str, data: bytes) -> None:
        """A message of a room's channel."""
        replica = self.replicas.get(code)
        if replica is None:
            return
        if data == DROPPED:
            self.spawn(self.put_back(replica))
        elif not data[:1].isdigit():
            self.overheard(code, data)
        elif replica.early is not None:
            replica.early.append(data)
        else:
            self.take(replica, data)

    def take(self, replica: Replica, data: bytes) -> None:
        """Let an entry happen at this node, if it is the next one.

        After steps that were done without the others it waits in the log until those are told.
        """
        if replica.base is not None or not self.hosts(replica):
            return
        found, version, body = parts(data)
        room = replica.room
        if version <= room.version:
            return
        if found != room.version:
            self.spawn(self.fetch(replica))
            return
        self.happen(replica, decode(body), version)

    def happen(self, replica: Replica, entry: Entry, version: int) -> None:
        """Let an entry happen at this node: state, then everybody here is told, in one turn of the loop."""
        room, code = replica.room, replica.room.code
        moved = self.moved(room, entry.members)
        before = {sid: room.members.get(sid) for sid in entry.members}
        apply(entry, room)
        self.carry_out(moved)
        room.version = version

        def for_others(effect: RoomEffect) -> bool:
            # A socket that is moving is at two nodes for a while: the one that the room names tells it.
            if not isinstance(effect, ToSocket | Enter):
                return False
            member = room.members.get(effect.sid) or before.get(effect.sid)
            return member is not None and member.node != self.node

        if entry.origin == self.node and entry.ticket in replica.pending:
            effects: Iterable[RoomEffect] = replica.pending.pop(entry.ticket)
            with elsewhere(entry.ticket):
                self.carry_out([effect for effect in effects if not for_others(effect)])
        elif entry.ticket in replica.told_here:
            replica.came_through.add(entry.ticket)
        else:
            effects = [effect_of(effect, code) for effect in entry.told]
            self.carry_out([effect for effect in effects if not for_others(effect)])
        for sid, member in entry.members.items():
            if member is None:
                self.left(sid)
            elif member.node == self.node and not self.connected(sid):
                self.walk_out(sid)  # it went while its coming was under way
        for sid, waiter in entry.waiting.items():
            if waiter is not None and waiter.node == self.node and not self.connected(sid):
                self.walk_out(sid)  # while its knock was under way
        replica.advanced()
        self.advanced(code)
        self.forget_if_idle(replica)

    def moved(self, room: LiveRoom, members: Mapping[str, Participant | None]) -> list[Effect]:
        """Members who have another node now: this one delivers to them from now on, or no longer."""
        effects: list[Effect] = []
        for sid, member in members.items():
            former = room.members.get(sid)
            if member is not None and former is not None and member.node != former.node:
                if former.node == self.node:
                    effects.append(Leave(sid, room.code))
                elif member.node == self.node:
                    effects.append(Enter(sid, room.code))
        return effects

    def disconnect(self, sids: Iterable[str]) -> None:
        """These sockets are out of their rooms by what was decided elsewhere: they connect anew."""
        dropped: list[Effect] = [Drop(sid, "out of the room") for sid in sids]
        self.carry_out(dropped)

    async def stop(self) -> None:
        """End it: nothing is listened to any more."""
        await self._background.stop()
        await self.channels.stop()


def _fields(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(errors="replace"): flat[i + 1] for i in range(0, len(flat), 2)}


async def _unknown(_replica: Replica) -> None:
    raise PresenceUnavailable


def _looked_at(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
