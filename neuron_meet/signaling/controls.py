"""Host controls. The server acts; it does not ask the target's browser to be so kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from msgspec import structs

from neuron_meet import errors
from neuron_meet.errors import Refused
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart
from neuron_meet.signaling.effects import Decision, Outcome, ToRoom, ToSocket, settled
from neuron_meet.signaling.events import (
    ForceDisconnect,
    ForceMute,
    LockRoom,
    MuteParticipant,
    RemoveParticipant,
    RoomLocked,
    TargetPayload,
    UserToggleAudio,
)
from neuron_meet.signaling.membership import code_of, companion, member
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom


def mute_participant(signaling: Signaling, caller: Caller, request: MuteParticipant) -> Decision:
    """Mute one participant; everybody sees it, the target too."""

    def step(room: LiveRoom) -> Outcome:
        target = _target_of_host(room, caller, request)
        room.update(structs.replace(target, is_muted=True))
        return Outcome(
            [
                ToSocket(target.sid, ForceMute()),
                ToRoom(room.code, UserToggleAudio(socket_id=target.sid, enabled=False)),
            ]
        )

    return signaling.act(hosted_room(signaling, caller, request.room_id), step)


async def remove_participant(signaling: Signaling, caller: Caller, request: RemoveParticipant) -> Outcome:
    """Take one participant out of the meeting and keep them out of it."""
    outcome, _ = await remove(
        signaling,
        hosted_room(signaling, caller, request.room_id),
        lambda room: _target_of_host(room, caller, request),
        errors.REMOVED_BY_HOST,
    )
    return outcome


async def remove(
    signaling: Signaling, code: str, target_in: Callable[[LiveRoom], Participant | None], reason: str
) -> tuple[Outcome, Participant | None]:
    """Take `target_in` a room out of it and keep them out: at once, and of an account in the database too when this
    returns (or as soon as that is there). Returns what is left of the outcome, and who it was, if anybody.

    Raises what `target_in` raises, and PresenceUnavailable.
    """
    removed: list[tuple[Participant, datetime]] = []

    def step(room: LiveRoom) -> Outcome:
        removed.clear()  # a step may be tried more than once
        if (target := target_in(room)) is None:
            return Outcome()
        removed.append((target, signaling.now()))
        room.remove(target)
        told = ToSocket(target.sid, ForceDisconnect(reason=reason))
        return Outcome([told, *depart(signaling, room, target.sid)])

    outcome = await settled(signaling.act(code, step))
    for target, moment in removed:
        if target.user_id is not None:
            await signaling.bans.record(target.room_id, target.user_id, moment)
    return outcome, removed[0][0] if removed else None


async def lock_room(signaling: Signaling, caller: Caller, request: LockRoom) -> Outcome:
    """Lock or unlock the room: stored first, in force for every join that is under way, then told."""
    code = hosted_room(signaling, caller, request.room_id)
    async with signaling.presence.hold(code) as live, signaling.presence.changing(live):
        host = as_host(live, caller, request.room_id)
        await signaling.rooms.change_settings(host.room_id, {}, is_locked=request.locked)

        def step(room: LiveRoom) -> Outcome:
            room.change(replace(room.known_rules, is_locked=request.locked))
            return Outcome([ToRoom(code, RoomLocked(locked=request.locked), skip=caller.sid)])

        return await settled(signaling.act(code, step))


def may_rule(signaling: Signaling, caller: Caller) -> bool:
    """Whether the caller is in a room that they host."""
    located = signaling.presence.located(caller.sid)
    return located is not None and located[1].known_rules.hosted_by(located[0].user_id)


def hosted_room(signaling: Signaling, caller: Caller, room_id: str) -> str:
    """The code of the room that the caller is in and hosts. Raises Refused for anybody else (`Not authorized`, whatever
    room they name), and where the host names another room.
    """
    if not may_rule(signaling, caller):
        raise Refused(errors.NOT_AUTHORIZED)
    return code_of(signaling, caller, room_id)


def as_host(room: LiveRoom, caller: Caller, room_id: str) -> Participant:
    """The caller as the room's host, at the moment of a step. Raises Refused for anybody else."""
    sender = room.members.get(caller.sid)
    if sender is None or not room.known_rules.hosted_by(sender.user_id):
        raise Refused(errors.NOT_AUTHORIZED)
    return member(room, caller, room_id)


def _target_of_host(room: LiveRoom, caller: Caller, request: TargetPayload) -> Participant:
    host = as_host(room, caller, request.room_id)
    if request.target is None:
        raise Refused(errors.INVALID_REQUEST)
    return companion(room, host, request.target)
