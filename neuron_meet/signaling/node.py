"""This server as one node of many: its link to Redis, its life among the others, its presence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from neuron_meet.cluster.counts import Counts
from neuron_meet.cluster.link import Link
from neuron_meet.cluster.nodes import BEAT_SECONDS, Nodes
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling import lobby
from neuron_meet.signaling.bereavement import bury
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart, walk_out
from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.events import UserTyping
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.entries import Told
from neuron_meet.signaling.presence.known_bans import KnownBans
from neuron_meet.signaling.presence.luggage import ANSWER, ASK, FRAME
from neuron_meet.signaling.presence.moves import Moves
from neuron_meet.signaling.presence.reach import BEAT, DIRECT, Reach
from neuron_meet.store.removals import ActiveRemoval

log = structlog.get_logger(__name__)

DEAF_BEATS = 3
"""A node that has not heard so many of its own heartbeats is deaf: it listens anew."""
LAST_STEPS_SECONDS = 5.0
"""How long a stop waits for those who are leaving to be gone for the others too."""
SETTLE_SECONDS = 3 * BEAT_SECONDS
"""After Redis has lost everything nobody is let in for so long: each node puts back whom it has."""


class ClusterNode:
    """Joins the cluster at `start` and leaves it at `stop`.

    `serve` must have been called before `start`: it names what happens in the rooms at this node.
    """

    def __init__(
        self, redis_url: str, name: str, removals: Callable[[], Awaitable[Sequence[ActiveRemoval]]]
    ) -> None:
        """`removals`: those that the database knows; it raises DatabaseUnreachable."""
        self.link = Link(redis_url)
        self._bans = KnownBans(self.link, removals)
        self.counts = Counts(self.link)
        self.name, self._lives = name, 0
        self.presence = ClusterPresence(self.link, name, carry_out=_nothing)
        self.nodes = Nodes(
            self.link,
            name,
            beaten=self._beaten,
            lost=self.presence.hosting.lost,
            died=self._start_over,
            bury=self._bury,
        )
        self.presence.cut_off = lambda: self.nodes.cut_off
        self.presence.resync.expect_nodes = self.nodes.expect
        self.presence.same_redis = self._same_redis
        self._signaling: Signaling | None = None
        self._reach: Reach | None = None
        self.moves: Moves | None = None
        self._epoch: bytes | None = None
        self._unheard = 0
        self._sent = 0.0
        self.lag = 0.0
        """How long the newest heartbeat was on its way through Redis, in seconds."""
        self.on_death: Callable[[], Awaitable[None]] | None = None
        """Awaited after a node was buried: its rows are closed."""
        self.inbox: dict[bytes, Callable[[bytes], None]] = {}
        """Who takes messages to this node, by their first byte."""

    def serve(self, signaling: Signaling) -> Reach:
        """Have the meetings of this node take part. Returns what delivers to all nodes."""
        hosting = self.presence.hosting
        reach = self._reach = Reach(hosting, signaling.deliver_here)
        self._signaling = signaling
        hosting.carry_out = signaling.carry_out_here
        hosting.walk_out = lambda sid: _walk_out(signaling, sid)
        hosting.advanced = reach.advanced
        hosting.overheard = reach.overheard
        hosting.left = signaling.typing.stop
        self.presence.commits.flushed = reach.flushed
        reach.noted = lambda said: _note_typing(signaling, said)
        self.moves = Moves(
            self.presence,
            reach,
            depart=lambda sid: lambda room: Outcome(depart(signaling, room, sid)),
            row_moved=signaling.attendance.went_elsewhere,
        )
        self.moves.lives = self.nodes.lives
        self.inbox |= {
            BEAT: self._hear_beat,
            DIRECT: reach.direct,
            ASK: self.moves.asked,
            ANSWER: self.moves.answered,
            FRAME: self.moves.followed,
        }
        return reach

    @property
    def up(self) -> bool:
        """Whether the other nodes can be reached."""
        return self.presence.up

    @property
    def conflicts(self) -> int:
        """Steps tried again, because another node's came first."""
        return self.presence.commits.conflicts

    async def flushed(self) -> None:
        """Return when what this node has to say to the others has been said."""
        if self._reach is not None:
            await self._reach.flushed()

    async def tell_all(self, message: bytes) -> None:
        """Send a message to every node's inbox, this one's too. Raises PresenceUnavailable."""
        names = await self.link.do("ZRANGE", self.link.keys.nodes, 0, -1)
        await self.link.publish(
            [(self.link.keys.node_channel(name.decode(errors="replace")), message) for name in names]
        )

    async def start(self) -> None:
        """Be one of the nodes. Raises RedisUnreachable, OtherFormat, PresenceUnavailable; it is none then."""
        try:
            await self.link.check()
            await self.presence.hosting.channels.start(
                self.link.keys.node_channel(self.presence.node), self._receive
            )
            self._epoch = await self.link.life()
            self.presence.hosting.up = True
            await self.nodes.start()
            await self._bans.see_to(self._epoch, former=True)
        except BaseException:
            await self.nodes.stop()
            await self.presence.stop()
            await self.link.close()
            raise

    async def stop(self) -> None:
        """Be none any more; nobody is left at this node."""
        if self._signaling is not None and self._signaling.tasks:
            await asyncio.wait(set(self._signaling.tasks), timeout=LAST_STEPS_SECONDS)
        await self.nodes.stop()
        if self._reach is not None:
            await self._reach.stop()
        await self.nodes.resign()
        await self.presence.stop()
        await self.link.close()

    async def check(self) -> None:
        """For readiness. Raises PresenceUnavailable where the others are out of reach, or this node is deaf."""
        if not self.presence.up or self.nodes.cut_off or self._unheard >= DEAF_BEATS:
            raise PresenceUnavailable

    def _receive(self, data: bytes) -> None:
        if taker := self.inbox.get(data[:1]):
            taker(data)

    def _hear_beat(self, _data: bytes) -> None:
        self._unheard = 0
        self.lag = time.monotonic() - self._sent

    async def _beaten(self) -> None:
        """A heartbeat came through."""
        if self._unheard >= DEAF_BEATS:
            log.warning("node is deaf, listening anew")
            self._unheard = 0
            await self.presence.hosting.channels.reset()
        self._unheard += 1
        self._sent = time.monotonic()
        await self.link.publish([(self.link.keys.node_channel(self.presence.node), BEAT)])
        epoch = await self.link.life()
        if epoch != self._epoch:
            log.warning("redis has lost what it knew, putting back who is here")
            self._epoch = epoch
            self.presence.settle(SETTLE_SECONDS)
            self.presence.hosting.lost()
        await self._bans.see_to(epoch)
        if not self.presence.up:
            await self.presence.come_back()
        if self.moves is not None:
            await self.moves.expire()

    async def _same_redis(self) -> bool:
        return await self.link.life() == self._epoch

    async def _start_over(self) -> None:
        """The others took this node for dead and its people for gone: so they are. It goes on as another."""
        former = self.presence.node
        log.warning("this node was taken for dead, its people connect anew", node=former)
        out = [member.sid for member in self.presence.participants()]
        out += [sid for room in self.presence.rooms() for sid, w in room.waiting.items() if w.node == former]
        self._lives += 1
        name = f"{self.name}.{self._lives}"
        # The former name is listened to as well: sockets that come back to other nodes name it.
        await self.presence.hosting.channels.subscribe(self.link.keys.node_channel(name), self._receive)
        self.presence.hosting.node = self.nodes.node = name
        self.presence.forget_untold()
        self.presence.hosting.disconnect(out)

    async def _bury(self, node: str) -> None:
        signaling = self._signaling
        assert signaling is not None  # noqa: S101 -- serve() comes before start()
        codes = await self.link.do("SMEMBERS", self.link.keys.node_rooms(node))
        for code in codes:
            await self.presence.act(code.decode(), bury(signaling, node))
        if self.on_death is not None:
            await self.on_death()


def _walk_out(signaling: Signaling, sid: str) -> None:
    walk_out(signaling, sid)
    code = signaling.presence.whereabouts.waiting.get(sid)
    if code is not None:
        signaling.act_soon(code, lambda room: Outcome(lobby.take_back(room, sid)))


def _note_typing(signaling: Signaling, said: Told) -> None:
    if said.event == UserTyping.event:
        typing = msgspec.json.decode(said.body, type=UserTyping)
        signaling.typing.heard(typing.socket_id, is_typing=typing.is_typing)


def _nothing(_effects: object) -> None:
    raise RuntimeError("no meetings yet")
