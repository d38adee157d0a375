"""Host controls in the audit: by whom, on whom, in which room, and how they ended."""

from __future__ import annotations

from dataclasses import dataclass

from neuron_meet.audit import NOWHERE, Audit
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.events import ClientPayload, LockRoom, TargetPayload
from neuron_meet.signaling.presence.interface import Presence


@dataclass(frozen=True, slots=True)
class Control:
    """A host control that is under way. Who it is aimed at is looked up before it: afterwards they may be gone."""

    audit: Audit
    action: str
    caller: Caller | None = None
    room: str | None = None
    subject: str | None = None
    subject_socket: str | None = None
    detail: object = None

    def ended(self, outcome: str) -> None:
        """It is done, or refused with that code."""
        caller = self.caller
        if caller is None:
            return
        self.audit.record(
            self.action,
            outcome=outcome,
            actor=caller.user_id,
            socket=caller.sid,
            address=caller.address,
            room=self.room,
            subject=self.subject,
            subject_socket=self.subject_socket,
            detail=self.detail,
        )


NO_CONTROL = Control(NOWHERE, "")
"""What is no host control, or is not recorded."""


class HostControls:
    """Knows of a control what the audit wants to know."""

    def __init__(self, presence: Presence, audit: Audit) -> None:
        self._presence = presence
        self._audit = audit

    def begin(self, caller: Caller, action: str, payload: ClientPayload) -> Control:
        """A control of `caller` is about to be carried out, or refused."""
        if not self._audit.on:
            return NO_CONTROL
        target = payload.target if isinstance(payload, TargetPayload) else None
        return Control(
            self._audit,
            action,
            caller,
            room=self._presence.whereabouts.inside.get(caller.sid),
            subject=self._account_of(target),
            subject_socket=target,
            detail={"locked": payload.locked} if isinstance(payload, LockRoom) else None,
        )

    def _account_of(self, sid: str | None) -> str | None:
        if sid is None:
            return None
        if member := self._presence.participant(sid):
            return member.user_id
        code = self._presence.whereabouts.waiting.get(sid)
        room = self._presence.room(code) if code is not None else None
        waiter = room.waiting.get(sid) if room else None
        return waiter.user_id if waiter else None
