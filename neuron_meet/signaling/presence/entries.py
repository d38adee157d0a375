"""What a step has changed and wants told, as the nodes of a cluster tell each other."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum
from typing import cast

import msgspec
from msgspec import Struct

from neuron_meet.rooms.policy import RoomRules
from neuron_meet.signaling.effects import Drop, Effect, Enter, Leave, RoomEffect, ToRoom, ToSocket
from neuron_meet.signaling.events import EncodedPayload, HistoryMessage
from neuron_meet.signaling.presence.kept_out import SharedKeptOut
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom, Reservation, Whereabouts
from neuron_meet.signaling.presence.waiter import Waiter

_encode = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode


class Kind(IntEnum):
    """What a `Told` stands for."""

    ENTER = 0
    LEAVE = 1
    TO_SOCKET = 2
    TO_ROOM = 3
    DROP = 4


class Told(Struct, array_like=True):
    """An effect. `sid` is whom it concerns (for TO_ROOM: whom it skips), `body` a payload's JSON."""

    kind: Kind
    sid: str | None
    event: str = ""
    volatile: bool = False
    body: bytes = b""


class Entry(Struct, array_like=True):
    """One step on a room: whose it was, what is other now (None: gone), what is told."""

    origin: str
    ticket: str
    members: dict[str, Participant | None] = {}
    reserved: dict[str, Reservation | None] = {}
    waiting: dict[str, Waiter | None] = {}
    rules: RoomRules | None = None
    rules_version: int = 0
    said: list[HistoryMessage] = []
    kept_out: dict[str, float] = {}
    forgotten: bool = False
    told: list[Told] = []


class Rules(Struct, array_like=True):
    """The rules of a room, as its state has them."""

    rules: RoomRules | None
    version: int


_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_told = msgspec.msgpack.Decoder(Told).decode
_decode_member = msgspec.msgpack.Decoder(Participant).decode
_decode_reservation = msgspec.msgpack.Decoder(Reservation).decode
_decode_waiter = msgspec.msgpack.Decoder(Waiter).decode
_decode_rules = msgspec.msgpack.Decoder(Rules).decode


def entry_of(fork: LiveRoom, origin: str, ticket: str, told: list[Told]) -> Entry:
    """What a step did to a fork."""
    touched, kept_out = fork.touched, cast("SharedKeptOut", fork.kept_out)
    assert touched is not None  # noqa: S101 -- a fork has it
    return Entry(
        origin=origin,
        ticket=ticket,
        members={sid: fork.members.get(sid) for sid in touched.members},
        reserved={record: fork.reserved.get(record) for record in touched.reserved},
        waiting={sid: fork.waiting.get(sid) for sid in touched.waiting},
        rules=fork.rules if touched.rules else None,
        rules_version=fork.rules_version,
        said=touched.said,
        kept_out=kept_out.added,
        forgotten=kept_out.forgotten,
        told=told,
    )


def changes_nothing(entry: Entry) -> bool:
    """Whether an entry says nothing that anybody needs to know."""
    return not (
        entry.members or entry.reserved or entry.waiting or entry.rules or entry.said or entry.kept_out
        or entry.forgotten or entry.told
    )  # fmt: skip


def fields_of(entry: Entry) -> tuple[list[bytes | str], list[str]]:
    """An entry as it changes the room's state: fields with their values, and fields to delete."""
    put: list[bytes | str] = []
    gone: list[str] = []
    if entry.rules is not None:
        put += ["rules", _encode(Rules(entry.rules, entry.rules_version))]
    groups: tuple[tuple[str, dict[str, object]], ...] = (
        ("m:", cast("dict[str, object]", entry.members)),
        ("r:", cast("dict[str, object]", entry.reserved)),
        ("w:", cast("dict[str, object]", entry.waiting)),
    )
    for prefix, group in groups:
        for key, value in group.items():
            if value is None:
                gone.append(prefix + key)
            else:
                put += [prefix + key, _encode(value)]
    return put, gone


def apply(entry: Entry, room: LiveRoom) -> None:
    """Let a room be as the entry says."""
    for sid, member in entry.members.items():
        former = room.members.get(sid)
        if former is not None and member is not None and former.admitted_after != member.admitted_after:
            room.put_member(sid, None)  # joined anew: now the last of those in the room
        room.put_member(sid, member)
    for record_id, reservation in entry.reserved.items():
        room.put_reservation(record_id, reservation)
    for sid, waiter in entry.waiting.items():
        room.put_waiter(sid, waiter)
    if entry.rules is not None:
        room.rules, room.rules_version = entry.rules, entry.rules_version
    for message in entry.said:
        room.recent.append(message)
    cast("SharedKeptOut", room.kept_out).take_over(entry.kept_out, forgotten=entry.forgotten)


def room_of(
    code: str, state: dict[str, bytes], kept_out: dict[str, bytes], whereabouts: Whereabouts
) -> LiveRoom:
    """A room as Redis has it; version 0 where it has none. Raises msgspec.MsgspecError or ValueError for what no node
    has written.
    """
    room = LiveRoom(code, whereabouts, SharedKeptOut(_moments(kept_out)))
    room.version = int(state.get("v", 0))
    if "rules" in state:
        known = _decode_rules(state["rules"])
        room.rules, room.rules_version = known.rules, known.version
    members = [_decode_member(value) for field, value in state.items() if field.startswith("m:")]
    for member in sorted(members, key=lambda member: (member.admitted_after, member.joined_at)):
        room.put_member(member.sid, member)
    for field, value in state.items():
        if field.startswith("r:"):
            room.put_reservation(field[2:], _decode_reservation(value))
    waiting = [_decode_waiter(value) for field, value in state.items() if field.startswith("w:")]
    for waiter in sorted(waiting, key=lambda waiter: waiter.since):
        room.put_waiter(waiter.sid, waiter)
    return room


def _moments(kept_out: dict[str, bytes]) -> dict[str, float]:
    moments: dict[str, float] = {}
    for name, until in kept_out.items():
        with suppress(ValueError):  # no node has written that: the next step's script drops it
            moments[name] = float(until)
    return moments


def encode(entry: Entry) -> bytes:
    """An entry as it travels."""
    return _encode(entry)


def decode(data: bytes | memoryview) -> Entry:
    """An entry that came. Raises msgspec.MsgspecError."""
    return _decode_entry(data)


def parts(data: bytes) -> tuple[int, int, bytes]:
    """What stands in a room's log and comes by its channel: the versions before and after, and the entry encoded."""
    head, _, body = data.partition(b"\n")
    before, after = (int(part) for part in head.split())
    return before, after, body


def told(effects: Iterable[RoomEffect]) -> list[Told]:
    """Effects as they travel; what only the deciding node does is left out."""
    travelling: list[Told] = []
    for effect in effects:
        if isinstance(effect, ToRoom):
            travelling.append(_payload(Kind.TO_ROOM, effect.skip, effect))
        elif isinstance(effect, ToSocket):
            travelling.append(_payload(Kind.TO_SOCKET, effect.sid, effect))
        elif isinstance(effect, Enter):
            travelling.append(Told(Kind.ENTER, effect.sid))
        elif isinstance(effect, Leave):
            travelling.append(Told(Kind.LEAVE, effect.sid))
        elif isinstance(effect, Drop):
            travelling.append(Told(Kind.DROP, effect.sid, effect.reason))
    return travelling


def effect_of(told: Told, code: str) -> Effect:
    """The effect that a `Told` stands for, in the room `code`."""
    sid = told.sid or ""
    if told.kind is Kind.TO_ROOM:
        return ToRoom(code, EncodedPayload(told.event, told.volatile, told.body), told.sid)
    if told.kind is Kind.TO_SOCKET:
        return ToSocket(sid, EncodedPayload(told.event, told.volatile, told.body))
    if told.kind is Kind.ENTER:
        return Enter(sid, code)
    return Leave(sid, code) if told.kind is Kind.LEAVE else Drop(sid, told.event)


def _payload(kind: Kind, sid: str | None, effect: ToRoom | ToSocket) -> Told:
    payload = effect.payload
    if isinstance(payload, EncodedPayload):
        return Told(kind, sid, payload.event, payload.volatile, payload.body)
    return Told(kind, sid, payload.event, payload.volatile, _encode_json(payload))
