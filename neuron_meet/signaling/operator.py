"""What whoever runs the server may see of meetings, and do to them: no host, but stronger than one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from neuron_meet import errors
from neuron_meet.rooms.codes import room_code_in
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.controls import remove
from neuron_meet.signaling.effects import settled
from neuron_meet.signaling.expulsion import Expulsion
from neuron_meet.signaling.live import LiveMeetings
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.signaling.presence.waiter import Waiter
from neuron_meet.store.participants import Participants
from neuron_meet.store.rooms import Rooms
from neuron_meet.store.users import Users

HISTORY_ROWS = 50


@dataclass(frozen=True, slots=True)
class Operator:
    """Meetings as their operator sees them, as plain values for JSON. May raise StoreError, PresenceUnavailable.

    Of many nodes: rooms are those in use at this one, with everybody in them; what is done is done on all.
    """

    signaling: Signaling
    live: LiveMeetings
    rows: Participants
    stored: Rooms
    accounts: Users
    expulsion: Expulsion

    def rooms(self) -> list[dict[str, Any]]:
        """Rooms in use, the fullest first."""
        rooms = sorted(self.signaling.presence.rooms(), key=lambda room: (-len(room.members), room.code))
        return [_summary(room) for room in rooms]

    async def room(self, code: str) -> dict[str, Any] | None:
        """One room with everybody in it and at its door; None where nobody is."""
        code = room_code_in(code) or code
        live = self.signaling.presence.room(code)
        members = await settled(self.signaling.presence.members(code))
        if live is None and not members:
            return None
        waiting = list(live.waiting.values()) if live else list[Waiter]()
        return (_summary(live) if live else {"code": code}) | {
            "participants": _participants(members),
            "waitingParticipants": [
                {
                    "socketId": w.sid,
                    "userId": w.user_id,
                    "displayName": w.display_name,
                    "since": _moment(w.since),
                }
                for w in sorted(waiting, key=lambda waiter: waiter.since)
            ],
        }

    async def participant(self, sid: str) -> dict[str, Any] | None:
        """One participant's state, and when the same account was in rooms before; None for a socket in no room."""
        participant = self.signaling.presence.participant(sid)
        if participant is None:
            return None
        rows = await self.rows.history(participant.record_id, participant.user_id, HISTORY_ROWS)
        history = [
            {
                "room": row.code,
                "joinedAt": row.joined_at.isoformat(),
                "leftAt": row.left_at.isoformat() if row.left_at else None,
                "isHost": row.is_host,
            }
            for row in rows
        ]
        return _state(participant) | {"room": participant.room_code, "history": history}

    async def kick(self, sid: str) -> Participant | None:
        """Take one out of their room and keep them out of it. Returns who it was; None for a socket in no room."""
        participant = self.signaling.presence.participant(sid)
        if participant is None:
            return None

        await remove(
            self.signaling,
            participant.room_code,
            lambda room: room.members.get(sid),
            errors.REMOVED_BY_OPERATOR,
        )
        return participant

    async def end(self, code: str) -> bool:
        """End a room for everybody. False where there is no such room."""
        code = room_code_in(code) or code
        room = await self.stored.find_by_code(code)
        if room is None:
            return False
        async with self.live.changing(code):
            ended = await self.stored.end(room.id, datetime.now(UTC))
            if ended is not None:
                await self.live.ended(ended, errors.ENDED_BY_OPERATOR)
        return True

    async def disable(self, user_id: str) -> bool:
        """Have nobody be that account from now on, and throw its sockets out. False where there is no such account."""
        if not await self.accounts.set_disabled(user_id, disabled=True):
            return False
        await self.expulsion.expel(user_id)
        return True

    async def enable(self, user_id: str) -> bool:
        """Have a disabled account as it was before, with its password. False where there is no such account."""
        return await self.accounts.set_disabled(user_id, disabled=False)


def _summary(room: LiveRoom) -> dict[str, Any]:
    host = room.host()
    return {
        "code": room.code,
        "participants": len(room.members),
        "waiting": len(room.waiting),
        "locked": room.rules.is_locked if room.rules else None,
        "host": host.display_name if host else None,
        "since": min(
            (member.joined_at for member in room.members.values()), default=datetime.now(UTC)
        ).isoformat(),
    }


def _participants(members: Iterable[Participant]) -> list[dict[str, Any]]:
    return [_state(member) for member in sorted(members, key=lambda member: member.joined_at)]


def _state(member: Participant) -> dict[str, Any]:
    return {
        "socketId": member.sid,
        "userId": member.user_id,
        "displayName": member.display_name,
        "recordId": member.record_id,
        "isHost": member.is_host,
        "joinedAt": member.joined_at.isoformat(),
        "address": member.address,
        "node": member.node or None,
        "isMuted": member.is_muted,
        "isVideoOff": member.is_video_off,
        "isScreenSharing": member.is_screen_sharing,
        "isHandRaised": member.is_hand_raised,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
