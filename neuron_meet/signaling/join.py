"""How a join goes: room → rules → seat → row → presence → what everybody is told."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from neuron_meet import errors, tracing
from neuron_meet.errors import PresenceUnavailable, Refused, refuse
from neuron_meet.names import GUEST_NAME, clean_name, shown_name, shown_picture
from neuron_meet.rooms.codes import room_code_in
from neuron_meet.rooms.policy import RoomRules, rules_of
from neuron_meet.signaling import lobby
from neuron_meet.signaling.applicant import Applicant
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.departure import depart
from neuron_meet.signaling.effects import Outcome, settled
from neuron_meet.signaling.events import HistoryMessage, JoinRoom
from neuron_meet.signaling.history import replayed
from neuron_meet.signaling.identity import demote
from neuron_meet.signaling.presence.participant import PICTURE_LEFT_OUT, Participant
from neuron_meet.signaling.presence.room import REPLAYED_MESSAGES, LiveRoom, newest_that_fit
from neuron_meet.signaling.welcome import welcome
from neuron_meet.store.errors import AccountDisabled, ForeignKeyViolationError
from neuron_meet.store.participants import Person


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says of a room, and the version of the live room's rules when it was asked."""

    rules: RoomRules
    messages: list[HistoryMessage]
    known_version: int


async def join_room(signaling: Signaling, caller: Caller, request: JoinRoom) -> Outcome:
    """Let the caller into a room or its waiting room, or raise Refused with the contract's reason."""
    code = room_code_in(request.room_code)
    if code is None:
        raise Refused(errors.INVALID_ROOM_CODE)
    await _leave_another_room(signaling, caller, code)
    name = clean_name(request.display_name) or caller.auth_name
    applicant = Applicant.asking(caller, name, signaling.presence.node)
    async with signaling.presence.hold(code) as live:
        stored = await _look_up(signaling, live)

        def knock(room: LiveRoom) -> Outcome:
            room.learn(stored.rules, known_version=stored.known_version)
            if room.refuse_entry(applicant.seat, applicant.entrant(room)) is not errors.WAITING_FOR_HOST:
                raise _DoorChanged
            return lobby.knock(signaling, caller, room, name or GUEST_NAME)

        while True:
            try:
                joined = await _sit_down(signaling, code, stored, applicant)
                caller.has_joined = True
                return joined
            except Refused as refused:
                if refused.refusal is not errors.WAITING_FOR_HOST or caller.gone:
                    raise
            with suppress(_DoorChanged):
                knocked = await settled(signaling.act(code, knock))
                caller.has_joined = True
                return knocked


class _DoorChanged(Exception):
    """Nobody has to wait there any more, or not this one: other nodes have their say between two steps."""


async def enter(signaling: Signaling, live: LiveRoom, applicant: Applicant) -> Outcome:
    """Look the room up and go in. `live` is held."""
    return await _sit_down(signaling, live.code, await _look_up(signaling, live), applicant)


async def _look_up(signaling: Signaling, live: LiveRoom) -> Stored:
    """The room with its settings and newest messages: the first of two round trips to the database.

    `live` is held from before it, so that nothing which happens in the room meanwhile is missed.
    """
    version = live.rules_version
    with tracing.span("look up room"):
        found = await signaling.entrance.room(live.code, newest_messages=REPLAYED_MESSAGES)
    if found is None:
        raise Refused(errors.ROOM_NOT_FOUND)
    tracing.note(tracing.ROOM, found.room.id)
    messages = newest_that_fit(replayed(found.messages, live.replayed))
    live.replayed = {message.id: message for message in messages}
    return Stored(rules_of(found.room), messages, version)


async def _sit_down(signaling: Signaling, code: str, stored: Stored, applicant: Applicant) -> Outcome:
    """Go in; a token whose account is gone or disabled makes a guest, who may still be welcome."""
    try:
        return await _take_seat(signaling, code, stored, applicant)
    except (ForeignKeyViolationError, AccountDisabled) as error:
        if applicant.user_id is None:
            raise Refused(errors.ROOM_NOT_FOUND) from error
        demote(signaling, applicant)
        return await _take_seat(signaling, code, stored, applicant)


async def _take_seat(signaling: Signaling, code: str, stored: Stored, applicant: Applicant) -> Outcome:
    """Seat, row (the second round trip), presence. Where this ends early the seat is given back, the row closed."""
    record_id, joined_at = signaling.attendance.new_record_id(), signaling.now()
    is_host = stored.rules.hosted_by(applicant.user_id)

    def reserve(room: LiveRoom) -> Outcome:
        room.learn(stored.rules, known_version=stored.known_version)
        refuse(room.refuse_entry(applicant.seat, applicant.entrant(room)))
        room.reserve(record_id, applicant.seat, signaling.presence.node)
        return Outcome()

    try:
        with tracing.span("reserve seat"):
            await settled(signaling.act(code, reserve))
    except PresenceUnavailable:  # the seat may be taken all the same
        signaling.act_soon(code, lambda room: _stand_up(signaling, room, applicant.sid, record_id))
        raise
    try:
        with tracing.span("open row"):
            account = await signaling.attendance.open(
                record_id=record_id,
                room_id=stored.rules.room_id,
                user_id=applicant.user_id,
                guest_name=applicant.name or GUEST_NAME,
                is_host=is_host,
                joined_at=joined_at,
            )

        def admit(room: LiveRoom) -> Outcome:
            refuse(errors.NOT_IN_ROOM if applicant.gone(room) else None)
            refuse(room.refuse_entry(applicant.seat, applicant.entrant(room)))
            rules = room.known_rules
            participant = Participant(
                sid=applicant.sid,
                room_code=code,
                room_id=rules.room_id,
                record_id=record_id,
                user_id=applicant.user_id,
                display_name=applicant.name or _account_name(account) or GUEST_NAME,
                account_name=shown_name(account.name) if account else None,
                account_display_name=shown_name(account.display_name) if account else None,
                avatar_url=_picture(account),
                is_host=is_host,
                joined_at=joined_at,
                address=applicant.address,
                node=applicant.node,
                is_muted=rules.mute_participants_on_join and not is_host,
            )
            kept = _kept(room, applicant, participant)
            muted_by_rule = participant.is_muted and kept is None
            return welcome(signaling, room, kept or participant, stored.messages, force_mute=muted_by_rule)

        with tracing.span("admit"):
            joined = await settled(signaling.act(code, admit))
        if applicant.node != signaling.presence.node:
            signaling.attendance.went_elsewhere(record_id)
        return joined
    except BaseException:
        signaling.act_soon(code, lambda room: _stand_up(signaling, room, applicant.sid, record_id))
        signaling.attendance.close(record_id)
        raise


def _kept(room: LiveRoom, applicant: Applicant, participant: Participant) -> Participant | None:
    """With the hand and the media of the former self, where a recovered socket joins under the same identity.

    Front ends that do not know recovery join at every connection, and go on showing these to their own user. None
    where there is no such former self.
    """
    former = room.members.get(applicant.sid)
    if former is None or applicant.caller is None or applicant.caller.has_joined:
        return None
    if (former.user_id, former.display_name) != (participant.user_id, participant.display_name):
        return None
    return replace(
        participant,
        is_muted=former.is_muted,
        is_video_off=former.is_video_off,
        is_screen_sharing=former.is_screen_sharing,
        is_hand_raised=former.is_hand_raised,
    )


def _stand_up(signaling: Signaling, room: LiveRoom, sid: str, record_id: str) -> Outcome:
    """Undo a join that failed: its seat, and its presence where only the answer was lost that it had succeeded."""
    room.release(record_id)
    member = room.members.get(sid)
    return Outcome(depart(signaling, room, sid) if member and member.record_id == record_id else [])


async def _leave_another_room(signaling: Signaling, caller: Caller, code: str) -> None:
    """Joining again leaves the former room first. A re-join of the same room swaps in one step, in `welcome`."""
    await settled(lobby.withdraw(signaling, caller, except_code=code))
    former = signaling.presence.whereabouts.inside.get(caller.sid)
    if former is not None and former != code:
        leave = signaling.act(former, lambda room: Outcome(depart(signaling, room, caller.sid)), urgent=True)
        await settled(leave)


def _picture(account: Person | None) -> str | None:
    """As `Participant.avatar_url` has it."""
    stored = account.avatar_url if account else None
    return (shown_picture(stored) or PICTURE_LEFT_OUT) if stored else None


def _account_name(account: Person | None) -> str:
    return clean_name(account.display_name or account.name) if account else ""
