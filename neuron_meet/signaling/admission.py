"""What the host decides about those who wait."""

from __future__ import annotations

import structlog

from neuron_meet import errors
from neuron_meet.errors import Refused
from neuron_meet.repeats import seldom
from neuron_meet.signaling import lobby
from neuron_meet.signaling.applicant import Applicant
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.controls import as_host, hosted_room
from neuron_meet.signaling.effects import Decision, Outcome
from neuron_meet.signaling.events import AdmitParticipant, DenyParticipant
from neuron_meet.signaling.join import enter
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.store.errors import StoreError

log = structlog.get_logger(__name__)


async def admit_participant(signaling: Signaling, caller: Caller, request: AdmitParticipant) -> Outcome:
    """Complete the join of one who waits. Active, lock and capacity are checked again; who is refused waits on."""
    code = hosted_room(signaling, caller, request.room_id)
    async with signaling.presence.hold(code) as live:
        as_host(live, caller, request.room_id)
        waiter = lobby.waiter_of(live, request.target)
        await enter(signaling, live, Applicant.waiting(waiter, approved=True))
    return Outcome()


def deny_participant(signaling: Signaling, caller: Caller, request: DenyParticipant) -> Decision:
    """Turn away one who waits, and for some minutes whoever comes back as the same."""

    def step(room: LiveRoom) -> Outcome:
        as_host(room, caller, request.room_id)
        waiter = lobby.waiter_of(room, request.target)
        room.deny(waiter)
        return Outcome([lobby.turn_away(room, waiter, errors.DENIED_BY_HOST)])

    return signaling.act(hosted_room(signaling, caller, request.room_id), step)


def open_doors(signaling: Signaling, live: LiveRoom) -> None:
    """The host switched the waiting room off: those who wait come in, in the order in which they knocked."""
    if live.waiting:
        signaling.spawn(_let_in_all(signaling, live.code), name="open-doors")


async def _let_in_all(signaling: Signaling, code: str) -> None:
    async with signaling.presence.hold(code) as live:
        for waiter in list(live.waiting.values()):
            if waiter.sid not in live.waiting or live.known_rules.waiting_room:
                continue
            try:
                await enter(signaling, live, Applicant.waiting(waiter, approved=False))
            except Refused:
                continue  # full or locked: they wait on, and the host may still admit them
            except StoreError as error:
                seldom(log.warning, "could not let in who waited", by={"error": type(error).__name__})
                return
