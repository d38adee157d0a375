"""The waiting room: knocking, and being let in or not. The decision whether one must wait is `rooms/policy.py`'s."""

from __future__ import annotations

from collections import Counter

from neuron_meet import errors
from neuron_meet.errors import Refused
from neuron_meet.rates import address_key
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import Decision, Outcome, RoomEffect, ToSocket
from neuron_meet.signaling.events import (
    JoinError,
    ServerPayload,
    Waiting,
    WaitingParticipant,
    WaitingParticipantLeft,
    WaitingRoom,
)
from neuron_meet.signaling.presence.participant import seat_of
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.signaling.presence.waiter import Waiter

MAX_WAITING = 200
"""Who may wait for one room at a time: what a host can still overlook, twice the largest meeting. Nobody has a share
of it until it is full; then an address that has more places than another's gives one up."""
SHOWS_KNOCK = "waiting-room"
"""The capability of a front end that can show a knock (contract, New events)."""


def knock(signaling: Signaling, caller: Caller, room: LiveRoom, name: str) -> Outcome:
    """Put the caller into the waiting room and ask the host, once however often they knock."""
    effects = replace_knocks(room, caller.sid, seat_of(caller.sid, caller.user_id))
    if caller.sid not in room.waiting:
        if len(room.waiting) >= MAX_WAITING:
            effects += _give_up_place(room, caller.address)
        since = signaling.now().timestamp()
        room.knock(Waiter(caller.sid, caller.user_id, caller.address, name, signaling.presence.node, since))
        asked = WaitingParticipant(socket_id=caller.sid, display_name=name, user_id=caller.user_id)
        effects += _to_host(room, asked)
    effects.append(ToSocket(caller.sid, _told(room, caller)))
    return Outcome(effects, Waiting(errors.WAITING_FOR_HOST.message))


def _give_up_place(room: LiveRoom, address: str) -> list[RoomEffect]:
    """The newest knock of the address that has most places makes place for one from `address`.

    Raises Refused where that address would then have no fewer than the other.
    """
    places = Counter(address_key(waiter.address) for waiter in room.waiting.values())
    fullest, most = places.most_common(1)[0]
    if places[address_key(address)] + 1 >= most:
        raise Refused(errors.ROOM_FULL)
    newest = next(w for w in reversed(room.waiting.values()) if address_key(w.address) == fullest)
    left = _to_host(room, WaitingParticipantLeft(socket_id=newest.sid))
    return [turn_away(room, newest, errors.ROOM_FULL), *left]


def withdraw(signaling: Signaling, caller: Caller, *, except_code: str | None = None) -> Decision:
    """Take the caller's knock back, wherever it was (but not at `except_code`)."""
    code = signaling.presence.whereabouts.waiting.get(caller.sid)
    if code is None or code == except_code:
        return Outcome()

    return signaling.act(code, lambda room: Outcome(take_back(room, caller.sid)), urgent=True)


def take_back(room: LiveRoom, sid: str) -> list[RoomEffect]:
    """A socket no longer waits at this room; the host is told where it did."""
    if room.forget_knock(sid) is None:
        return []
    return _to_host(room, WaitingParticipantLeft(socket_id=sid))


def replace_knocks(room: LiveRoom, sid: str, seat: str) -> list[RoomEffect]:
    """The same account knocks or is let in with socket `sid`: what it knocked with elsewhere waits no longer."""
    effects: list[RoomEffect] = []
    for former in [other for other, waiter in room.waiting.items() if other != sid and waiter.seat == seat]:
        room.forget_knock(former)
        effects.append(ToSocket(former, JoinError(code=errors.JOIN_FAILED_CODE, message=errors.TAKEN_OVER)))
        effects += _to_host(room, WaitingParticipantLeft(socket_id=former))
    return effects


def waiter_of(room: LiveRoom, target_id: str | None) -> Waiter:
    """The knock of a socket. Raises Refused where it does not wait at this room."""
    if target_id is None:
        raise Refused(errors.INVALID_REQUEST)
    waiter = room.waiting.get(target_id)
    if waiter is None:
        raise Refused(errors.TARGET_NOT_IN_ROOM)
    return waiter


def turn_away(room: LiveRoom, waiter: Waiter, refusal: errors.Refusal) -> RoomEffect:
    """End a knock with a reason."""
    room.forget_knock(waiter.sid)
    return ToSocket(waiter.sid, JoinError(code=errors.JOIN_FAILED_CODE, message=refusal.message))


def _told(room: LiveRoom, caller: Caller) -> ServerPayload:
    """What tells the caller to wait. One who cannot show a knock would otherwise run into a time-out."""
    if SHOWS_KNOCK in caller.capabilities:
        position = list(room.waiting).index(caller.sid) + 1
        return WaitingRoom(room_id=room.known_rules.room_id, room_code=room.code, position=position)
    return JoinError(code=errors.JOIN_FAILED_CODE, message=errors.WAITING_FOR_HOST.message)


def _to_host(room: LiveRoom, payload: ServerPayload) -> list[RoomEffect]:
    host = room.host()
    return [ToSocket(host.sid, payload)] if host else []
