"""How what is sent to sockets reaches those at other nodes: by the room's channel, or by their node's."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Delivery, Effect, ToRoom, ToSocket
from neuron_meet.signaling.presence.entries import Told, effect_of, told
from neuron_meet.signaling.presence.hosting import Hosting
from neuron_meet.signaling.presence.participant import PARKED_NODE, PARKED_SECONDS

LONGEST_OUTBOX = 20_000
LARGEST_BATCH = 200


class Overheard(Struct, array_like=True):
    """Said in a room without a change of it, by a node."""

    origin: str
    told: Told


class Direct(Struct, array_like=True):
    """To one socket of a node, by a member of its room who had seen the room's version `after`."""

    code: str
    after: int
    told: Told


_encode = msgspec.msgpack.Encoder().encode
_decode_overheard = msgspec.msgpack.Decoder(Overheard).decode
decode_direct = msgspec.msgpack.Decoder(Direct).decode

BEAT = b"B"
DIRECT = b"D"
OVERHEARD = b"O"


class Reach:
    """Delivers what this node's sockets send, wherever it has to go; order from one to another is kept.

    A message to one socket does not overtake the room's changes that its sender had seen: a newcomer's offer comes
    after `user-joined`. `forward` is asked for a socket that is no longer at this node.
    """

    def __init__(self, hosting: Hosting, here: Delivery) -> None:
        self._hosting = hosting
        self._here = here
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._queued = self._gone_out = 0
        self._flushing: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._early: dict[str, list[Direct]] = {}
        self.forward: Callable[[str], str | None] = lambda _sid: None
        self.noted: Callable[[Told], None] = lambda _told: None
        """Called with what another node says in a room."""
        self.lost_messages = 0

    def deliver(self, effects: Iterable[Effect]) -> None:
        """Deliver to whom it concerns, at any node (:class:`neuron_meet.signaling.effects.Delivery`)."""
        here: list[Effect] = []
        for effect in effects:
            if isinstance(effect, ToSocket) and not self._hosting.connected(effect.sid):
                self._to_another_node(effect)
                continue
            here.append(effect)
            if isinstance(effect, ToRoom):
                self._to_other_nodes(effect)
        if here:
            self._here(here)

    def overheard(self, code: str, data: bytes) -> None:
        """Something was said in a room."""
        said = _decode_overheard(memoryview(data)[1:])
        if said.origin != self._hosting.node:
            self.noted(said.told)
            self._here([effect_of(said.told, code)])

    def direct(self, data: bytes) -> None:
        """Something came for a socket of this node."""
        message = decode_direct(memoryview(data)[1:])
        room = self._hosting.room(message.code)
        if room is not None and room.version < message.after:
            self._early.setdefault(message.code, []).append(message)
        else:
            self._arrived(message)

    @property
    def early(self) -> int:
        """Messages that wait for their room to become as their senders had seen it."""
        return sum(len(messages) for messages in self._early.values())

    def advanced(self, code: str) -> None:
        """The room has changed at this node, or is let go: what had to wait for that is delivered."""
        early = self._early.pop(code, None)
        if early:
            room = self._hosting.room(code)
            for message in early:
                if room is not None and room.version < message.after:
                    self._early.setdefault(code, []).append(message)
                else:
                    self._arrived(message)

    def publish(self, channel: str, data: bytes) -> None:
        """Publish in order, soon. What is published while Redis is away is lost to other nodes."""
        if not self._hosting.up or len(self._outbox) >= LONGEST_OUTBOX:
            self._lose([(channel, data)])
            return
        self._outbox.append((channel, data))
        self._queued += 1
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write(), name="cluster-outbox")

    async def flushed(self) -> None:
        """Return when what was published before has gone out, or is lost."""
        if self._gone_out < self._queued:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flushing.append((self._queued, done))
            await done

    async def stop(self) -> None:
        """Publish what waits, then no more."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=1)

    def _arrived(self, message: Direct) -> None:
        sid = message.told.sid or ""
        if self._hosting.connected(sid):
            if self._hosting.whereabouts.inside.get(sid) == message.code:
                self._here([effect_of(message.told, message.code)])
        elif (node := self.forward(sid)) is not None:
            self._send_to(node, sid, _encode(message))

    def _to_another_node(self, effect: ToSocket) -> None:
        located = self._hosting.located(effect.sid)
        if located is not None and located[0].node != self._hosting.node:
            member, room = located
            message = Direct(room.code, room.version, told([effect])[0])
            self._send_to(member.node, effect.sid, _encode(message))

    def _send_to(self, node: str, sid: str, message: bytes) -> None:
        """Send a message after a socket: to the node that has it, or to where it is parked."""
        if node == PARKED_NODE:
            self._hosting.spawn(self._keep(sid, message))
        else:
            self.publish(self._hosting.keys.node_channel(node), DIRECT + message)

    async def _keep(self, sid: str, message: bytes) -> None:
        """Keep a message for one who is parked."""
        key = self._hosting.keys.parked_messages(sid)
        await self._hosting.link.do("RPUSH", key, message)
        await self._hosting.link.do("EXPIRE", key, PARKED_SECONDS)

    def _to_other_nodes(self, effect: ToRoom) -> None:
        room = self._hosting.room(effect.room)
        if room is not None and any(member.node != self._hosting.node for member in room.members.values()):
            said = Overheard(self._hosting.node, told([effect])[0])
            self.publish(self._hosting.keys.room_channel(effect.room), OVERHEARD + _encode(said))

    async def _write(self) -> None:
        link = self._hosting.link
        try:
            while self._outbox:
                batch = [self._outbox.popleft() for _ in range(min(len(self._outbox), LARGEST_BATCH))]
                try:
                    await link.publish(batch)
                except PresenceUnavailable:
                    self.lost_messages += len(batch)  # they may have gone out, and must not be told twice
                    unsent = list(self._outbox)
                    self._outbox.clear()
                    self._hosting.lost()
                    self._lose(unsent)
                self._went_out()
        finally:
            self._writer = None

    def _lose(self, unsent: Iterable[tuple[str, bytes]]) -> None:
        """No other node gets these. What is for a socket that has come to this one meanwhile needs none."""
        for _, data in unsent:
            message = decode_direct(memoryview(data)[1:]) if data.startswith(DIRECT) else None
            if message is not None and self._hosting.connected(message.told.sid or ""):
                self._arrived(message)
            else:
                self.lost_messages += 1

    def _went_out(self) -> None:
        self._gone_out = self._queued - len(self._outbox)
        while self._flushing and self._flushing[0][0] <= self._gone_out:
            _, done = self._flushing.popleft()
            if not done.done():
                done.set_result(None)
