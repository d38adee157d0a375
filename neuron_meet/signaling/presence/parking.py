"""Sockets of nodes that are stopped, parked in Redis: any node may have them, and until then nothing is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Outcome, ToRoom, ToSocket
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.entries import Told, decode, effect_of, parts
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.luggage import Luggage, encode, luggage_of
from neuron_meet.signaling.presence.participant import PARKED_NODE
from neuron_meet.signaling.presence.reach import DIRECT, Reach
from neuron_meet.signaling.presence.room import LiveRoom

log = structlog.get_logger(__name__)

MOVED_SECONDS = 24 * 3600
"""How long it is known that a socket is at another node than its pid says."""


class Parking:
    """Puts sockets into Redis and gets them out."""

    def __init__(self, presence: ClusterPresence, reach: Reach, depart: Callable[[str], Step]) -> None:
        """`depart`: the step by which a socket leaves a room."""
        self._presence, self._reach, self._depart = presence, reach, depart
        self._link, self._keys = presence.hosting.link, presence.hosting.keys

    async def find(self, pid: str) -> Luggage | None:
        """A socket that is parked. Raises PresenceUnavailable."""
        parked = await self._link.do("GET", self._keys.parked_socket(pid))
        try:
            return None if parked is None else luggage_of(parked)
        except msgspec.MsgspecError:
            log.error("a parked socket was unreadable")  # noqa: TRY400 -- may quote content
            return None

    async def put(
        self, pid: str, sid: str, room: LiveRoom, seconds: float, take: Callable[[], Luggage | None]
    ) -> None:
        """Park a socket of a room that is held; see `Moves.park`.

        `take` lets it go, and has what was kept for it: None where it stays. Raises PresenceUnavailable.
        """
        link, before = self._link, room.version
        until = int((time.time() + seconds) * 1000)
        # Before it is so: whatever becomes of this node now, who does not come back will leave.
        await link.do("ZADD", self._keys.parked, until, f"{room.code} {sid}")
        await self._presence.act(room.code, to_node(sid, PARKED_NODE))
        if (luggage := take()) is None:
            return
        luggage = replace(luggage, version=before)
        await link.do("SET", self._keys.parked_socket(pid), encode(luggage), "PX", int(seconds * 1000))

    async def expire(self) -> None:
        """Those who were parked and did not come back in time leave. Raises PresenceUnavailable."""
        link = self._link
        late = await link.do(
            "ZRANGE", self._keys.parked, "-inf", int(time.time() * 1000), "BYSCORE", "LIMIT", 0, 100
        )
        for entry in late:
            code, _, sid = entry.decode(errors="replace").partition(" ")
            if sid:
                await self._presence.act(code, _if_parked(sid, self._depart(sid)))
            await link.do("ZREM", self._keys.parked, entry)

    async def get(
        self, pid: str, luggage: Luggage, offset: str, user_id: str | None, expect: Callable[[Luggage], None]
    ) -> Luggage | None:
        """Have a parked socket at this node, as `Moves.fetch`. Raises PresenceUnavailable."""
        presence, link = self._presence, self._link
        if luggage.user_id != user_id or not await link.do("DEL", self._keys.parked_socket(pid)):
            return None
        sid, code = luggage.sid, luggage.code
        async with presence.hold(code):
            expect(luggage)
            try:
                await presence.act(code, _if_parked(sid, to_node(sid, presence.node)))
            finally:
                with contextlib.suppress(PresenceUnavailable):
                    await link.do("ZREM", self._keys.parked, f"{code} {sid}")
            member = presence.participant(sid)
            if member is None or member.node != presence.node:
                return None
            await self.note_node(pid)
            since = await self._frames_since(code, luggage)
            direct = await link.do("LRANGE", self._keys.parked_messages(sid), 0, -1)
            for data in direct:
                self._reach.direct(DIRECT + data)
            await link.do("DEL", self._keys.parked_messages(sid))
            if since is None:
                await presence.act(code, self._depart(sid))
                return None
            return replace(luggage, frames=luggage.unseen(offset) + since)

    async def note_node(self, pid: str) -> None:
        """Let every node know that a socket is at this one. Raises PresenceUnavailable."""
        await self._link.do("SET", self._keys.moved_socket(pid), self._presence.node, "EX", MOVED_SECONDS)

    async def _frames_since(self, code: str, luggage: Luggage) -> list[bytes] | None:
        """What happened in the room while a socket was parked, as frames for it; None where the log has it no more."""
        found: list[Any] = await self._link.do(
            "XRANGE", self._keys.room_log(code), f"({luggage.version}-0", "+"
        )
        frames: list[bytes] = []
        version, parked = luggage.version, False
        for _, fields in found:
            try:
                before, after, body = parts(fields.get(b"e", b""))
                entry = decode(body)
            except (msgspec.MsgspecError, ValueError):
                return None  # no node has written that
            if before != version:
                return None
            version = after
            moved = entry.members.get(luggage.sid)
            if moved is not None and moved.node == self._presence.node:
                return frames  # from here on it was delivered at this node
            if not parked:  # up to then it was delivered at the former one
                parked = moved is not None and moved.node == PARKED_NODE
                continue
            frames += [frame for told in entry.told if (frame := _frame_for(told, code, luggage.sid))]
        return frames


def to_node(sid: str, node: str) -> Step:
    """The step by which a member's socket has another node."""

    def step(room: LiveRoom) -> Outcome:
        if member := room.members.get(sid):
            room.update(replace(member, node=node))
        return Outcome()

    return step


def _if_parked(sid: str, then: Step) -> Step:
    def step(room: LiveRoom) -> Outcome:
        member = room.members.get(sid)
        return then(room) if member is not None and member.node == PARKED_NODE else Outcome()

    return step


def _frame_for(told: Told, code: str, sid: str) -> bytes | None:
    """An effect as a frame for one socket; None where it is not for it."""
    effect = effect_of(told, code)
    for_it = (isinstance(effect, ToRoom) and effect.skip != sid) or (
        isinstance(effect, ToSocket) and effect.sid == sid
    )
    return b'42["%b",%b,""]' % (told.event.encode(), told.body) if for_it and not told.volatile else None
