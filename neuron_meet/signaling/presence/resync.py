"""How a replica finds out what it has missed, and how what was done without the others gets to them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

import msgspec

from neuron_meet.errors import PresenceUnavailable, Refused
from neuron_meet.signaling.effects import Leave, RoomEffect
from neuron_meet.signaling.presence.commits import Commits
from neuron_meet.signaling.presence.entries import Entry, decode, parts
from neuron_meet.signaling.presence.healing import become, difference
from neuron_meet.signaling.presence.hosting import Hosting
from neuron_meet.signaling.presence.kept_out import SharedKeptOut
from neuron_meet.signaling.presence.participant import PARKED_NODE, PARKED_SECONDS
from neuron_meet.signaling.presence.replica import Replica, Untold
from neuron_meet.signaling.presence.room import LiveRoom

MISSED_AT_A_TIME = 2_000


class Resync:
    """Brings replicas up to date."""

    def __init__(self, hosting: Hosting, commits: Commits) -> None:
        self._hosting, self._commits = hosting, commits
        hosting.begin, hosting.fetch, hosting.put_back = self.begin, self.fetch, self.put_back
        self.expect_nodes: Callable[[Iterable[str]], Awaitable[None]] = _expect_nobody
        """Called with nodes that have people in a room which Redis had lost."""

    async def begin(self, replica: Replica) -> None:
        """The state of a room whose channel is listened to, and what has come by the channel since."""
        become(replica.room, await self._hosting.load(replica.room.code))
        early, replica.early = replica.early or [], None
        for data in early:
            self._hosting.take(replica, data)

    async def fetch(self, replica: Replica) -> None:
        """Let the entries happen that the channel did not bring. Raises PresenceUnavailable."""
        room = replica.room
        loaded = await self._hosting.load(room.code)
        # What was done here is seen to by `everything`.
        while room.version < loaded.version and replica.base is None and self._hosting.hosts(replica):
            version = room.version
            for body in await self._entries_since(room):
                self._hosting.take(replica, body)
            if room.version == version:  # the channel has not brought it either
                self._heal(replica, loaded)

    async def missed(self) -> None:
        """Let happen what no channel brought while none was listened to: steps wait for it.

        Raises PresenceUnavailable.
        """
        for replica in list(self._hosting.replicas.values()):
            if replica.early is None:
                await self.fetch(replica)

    async def everything(self, *, only_owing: bool = False) -> None:
        """Bring all replicas up to date, and tell what was done here. Raises PresenceUnavailable."""
        for replica in list(self._hosting.replicas.values()):
            if replica.early is not None or (only_owing and not replica.owes):
                continue  # it is only beginning
            await self.put_back(replica)

    async def put_back(self, replica: Replica) -> None:
        """Bring one replica up to date; where Redis has lost the room, it becomes what this node knows.

        Raises PresenceUnavailable.
        """
        if replica.early is not None:
            return
        async with replica.lock:
            if self._hosting.hosts(replica):
                await self._bring_up(replica)
        self._hosting.forget_if_idle(replica)

    async def settle(self, replica: Replica) -> None:
        """Tell what was done here before anything else is. Its lock is held. Raises PresenceUnavailable."""
        if replica.owes:
            await self._bring_up(replica)

    async def _bring_up(self, replica: Replica) -> None:
        hosting = self._hosting
        # The list of this node's rooms may have been lost, or was that of a node which was found dead.
        await hosting.link.do("SADD", hosting.keys.node_rooms(hosting.node), replica.room.code)
        try:
            await self._renew(replica)
            await self._tell(replica)
        except PresenceUnavailable:
            self._do_again(replica)
            raise

    async def _renew(self, replica: Replica) -> None:
        """The room as the others know it, what was done here left aside.

        Where nothing was done here, entries go on coming by the channel meanwhile, and have happened.
        """
        hosting, room = self._hosting, replica.room
        while True:
            base = replica.base or room.fork()
            loaded = await hosting.load(room.code)
            if loaded.version < base.version and not await self._restore(base, loaded.version):
                continue
            if loaded.version < base.version:
                loaded = await hosting.load(room.code)
                bodies = list[bytes]()
            else:
                bodies = await self._entries_since(base)
            # From here on in one turn: what was done here is out of the room until it has been told.
            if replica.base is not None:
                become(room, replica.base)
                replica.base = None
            for body in bodies:
                hosting.take(replica, body)
            if room.version < loaded.version:
                self._heal(replica, loaded)
            break
        replica.advanced()

    async def _restore(self, base: LiveRoom, expected: int) -> bool:
        """Redis has lost this room, or its newest part: it becomes what this node knows. Nobody is told anything.

        Whether it is still as it was found. The other nodes that have people in it may have died meanwhile, with
        nothing left that tells of it: they are expected to show that they live, as those who were parked are.
        """
        hosting = self._hosting
        nodes = {member.node for member in base.members.values()} | {w.node for w in base.waiting.values()}
        for node in nodes - {hosting.node, PARKED_NODE}:
            await hosting.link.do("SADD", hosting.keys.node_rooms(node), base.code)
        await self.expect_nodes(nodes - {PARKED_NODE})
        for sid, member in base.members.items():
            if member.node == PARKED_NODE:
                until = int((time.time() + PARKED_SECONDS) * 1000)
                await hosting.link.do("ZADD", hosting.keys.parked, "NX", until, f"{base.code} {sid}")
        entry = Entry(
            origin=hosting.node,
            ticket="",
            members=dict(base.members),
            reserved={key: seat for key, seat in base.reserved.items() if seat.node == hosting.node},
            waiting=dict(base.waiting),
            rules=base.rules,
            rules_version=base.rules_version,
            kept_out=dict(cast("SharedKeptOut", base.kept_out).until),
        )
        return await self._commits.write(base.code, expected, entry) is not None

    def _heal(self, replica: Replica, loaded: LiveRoom) -> None:
        """The log does not reach back far enough: tell those here the difference, and take over what is."""
        hosting, room = self._hosting, replica.room
        if not hosting.hosts(replica):
            return
        before = room.fork()
        mine = {sid for sid, member in before.members.items() if member.node == hosting.node}
        mine |= {sid for sid, waiter in before.waiting.items() if waiter.node == hosting.node}
        mine -= loaded.members.keys() | loaded.waiting.keys()
        # Nobody has told them that they were let in.
        mine |= {
            sid for sid, member in loaded.members.items() if member.node == hosting.node
        } - before.members.keys()
        out = {sid for sid in mine if hosting.connected(sid)}
        effects: list[RoomEffect] = [Leave(sid, room.code) for sid in out]
        effects += difference(before, loaded)
        effects += hosting.moved(room, loaded.members)
        become(room, loaded)
        hosting.carry_out(effects)
        hosting.disconnect(out)
        replica.advanced()
        hosting.advanced(room.code)

    async def _tell(self, replica: Replica) -> None:
        """What was done here while Redis was away, as if it were done now; those here have been told."""
        while replica.untold:
            untold = replica.untold[0]
            if untold.ticket not in replica.came_through:
                try:
                    await self._commits.commit(replica, untold.step, told_here=True)
                except PresenceUnavailable as error:
                    if error.ticket:  # it may have come through: not twice
                        replica.pending.pop(error.ticket, None)
                        replica.told_here.add(error.ticket)
                        replica.untold[0] = Untold(untold.step, error.ticket)
                    raise
                except Refused:
                    pass  # what was decided meanwhile leaves no room for it
            replica.untold.pop(0)
        replica.told_here.clear()
        replica.came_through.clear()
        replica.pending.clear()

    def _do_again(self, replica: Replica) -> None:
        """Redis is away once more: what has not been told yet is done here again, where it was taken back."""
        if replica.base is not None or not replica.untold:
            return
        replica.base = replica.room.fork()
        for untold in replica.untold:
            with contextlib.suppress(Refused):
                self._commits.redo(replica, untold.step)

    async def _entries_since(self, room: LiveRoom) -> list[bytes]:
        """The entries that follow on this version, if the log has them."""
        found = await self._hosting.link.do(
            "XRANGE",
            self._hosting.keys.room_log(room.code),
            f"({room.version}-0",
            "+",
            "COUNT",
            MISSED_AT_A_TIME,
        )
        bodies: list[bytes] = [fields.get(b"e", b"") for _, fields in found]
        try:
            entries = [parts(body) for body in bodies]
            for _, _, entry in entries:
                decode(entry)
        except (msgspec.MsgspecError, ValueError):
            return []  # as good as none: the room's state is taken over
        return bodies if entries and entries[0][0] == room.version else []


async def _expect_nobody(_nodes: Iterable[str]) -> None:
    return
