"""Changes made over REST, in the running room: what `rooms/live.py` asks for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog

from neuron_meet import errors
from neuron_meet.rooms.live import LiveParticipant, Standing
from neuron_meet.rooms.policy import rules_of
from neuron_meet.rooms.removals import Visitor
from neuron_meet.signaling import admission, lobby
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart
from neuron_meet.signaling.effects import Outcome, RoomEffect, ToRoom, ToSocket, settled
from neuron_meet.signaling.events import RoomEnded, RoomLocked
from neuron_meet.signaling.presence.healing import settings_event
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.store.models import Room

log = structlog.get_logger(__name__)


class LiveMeetings:
    """Implements :class:`neuron_meet.rooms.live.LiveRooms` on this node's presence."""

    def __init__(self, signaling: Signaling) -> None:
        self._signaling = signaling

    async def participants(self, code: str) -> list[LiveParticipant]:
        """Those in the room now, by the time of joining; nobody for an unknown code."""
        members = await settled(self._signaling.presence.members(code))
        return [
            LiveParticipant(
                id=member.record_id,
                display_name=member.display_name,
                avatar_url=member.shown_picture,
                is_host=member.is_host,
            )
            for member in sorted(members, key=lambda member: member.joined_at)
        ]

    async def standing(self, code: str, user_id: str) -> Standing:
        """How an account stands to a meeting now. Raises PresenceUnavailable."""
        room = await settled(self._signaling.presence.look(code))
        return Standing(room.holder(user_id) is not None, room.kept_out.removed(Visitor("", user_id, "", "")))

    @asynccontextmanager
    async def changing(self, code: str) -> AsyncGenerator[None]:
        """One change of a room's rules at a time, so that the stored order is the order in force."""
        presence = self._signaling.presence
        async with presence.hold(code) as live, presence.changing(live):
            yield

    async def settings_changed(self, room: Room) -> None:
        """New settings are in force for whoever is in the room and whoever is on the way in."""
        after = rules_of(room)

        def step(live: LiveRoom) -> Outcome:
            before = live.rules
            live.change(after)
            effects: list[RoomEffect] = [ToRoom(room.code, settings_event(after))]
            if before is not None and before.is_locked != after.is_locked:
                effects.append(ToRoom(room.code, RoomLocked(locked=after.is_locked)))
            return Outcome(effects)

        await settled(self._signaling.act(room.code, step))
        log.info("room changed", room=room.code)
        live = self._signaling.presence.room(room.code)
        if live is not None and not after.waiting_room:
            admission.open_doors(self._signaling, live)

    async def ended(self, room: Room, reason: str) -> None:
        """The meeting is over: everybody is told and leaves, without a `user-left` for each other."""
        told = RoomEnded(room_id=room.id, reason=reason)

        def step(live: LiveRoom) -> Outcome:
            live.kept_out.forget()
            live.change(rules_of(room))
            effects: list[RoomEffect] = []
            for sid in list(live.members):
                effects.append(ToSocket(sid, told))
                effects += depart(self._signaling, live, sid, announce=False)
            for waiter in list(live.waiting.values()):
                effects.append(lobby.turn_away(live, waiter, errors.ROOM_NOT_ACTIVE))
            return Outcome(effects)

        await settled(self._signaling.act(room.code, step))
        log.info("room ended", room=room.code)
