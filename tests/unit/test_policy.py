"""The rules of entry and conduct: every rule, its text, and the order in which they are asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from neuron_meet.errors import Refusal
from neuron_meet.rooms.policy import (
    Entrant,
    RoomRules,
    refuse_chat,
    refuse_entry,
    refuse_screen_share,
    rules_of,
)
from neuron_meet.store.models import Room

OPEN = RoomRules(room_id="r", code="abc-def-ghi", host_id="host", max_participants=5)
GUEST = Entrant(user_id=None)
MEMBER = Entrant(user_id="ada")
HOST = Entrant(user_id="host")


def text(refusal: Refusal | None) -> str | None:
    return refusal.message if refusal else None


# Each row: what holds, who comes, how many seats others have, what they are told (contract, Joining and leaving).
ENTRY: list[tuple[str, RoomRules, Entrant, int, str | None]] = [
    ("open to a guest", OPEN, GUEST, 0, None),
    ("open to an account", OPEN, MEMBER, 4, None),
    ("ended", replace(OPEN, is_active=False), MEMBER, 0, "Room is no longer active"),
    ("ended, for the host too", replace(OPEN, is_active=False), HOST, 0, "Room is no longer active"),
    ("ended, for one who is in it", replace(OPEN, is_active=False), replace(MEMBER, present=True), 1,
     "Room is no longer active"),
    ("removed", OPEN, replace(MEMBER, removed=True), 0, "You were removed from this meeting"),
    ("removed guest", OPEN, replace(GUEST, removed=True), 0, "You were removed from this meeting"),
    ("a host cannot be kept out", OPEN, replace(HOST, removed=True), 0, None),
    ("locked", replace(OPEN, is_locked=True), MEMBER, 0, "Room is locked"),
    ("locked, for the host", replace(OPEN, is_locked=True), HOST, 0, None),
    ("locked, for one who is in it", replace(OPEN, is_locked=True), replace(MEMBER, present=True), 1, None),
    ("no guests", replace(OPEN, allow_guest_access=False), GUEST, 0, "Authentication required"),
    ("no guests, an account", replace(OPEN, allow_guest_access=False), MEMBER, 0, None),
    ("full", OPEN, MEMBER, 5, "Room is full"),
    ("more than full, after it was made smaller", OPEN, GUEST, 7, "Room is full"),
    ("full, for the host", OPEN, HOST, 5, "Room is full"),
    ("waiting room", replace(OPEN, waiting_room=True), GUEST, 0, "Waiting for the host to let you in"),
    ("waiting room, for the host", replace(OPEN, waiting_room=True), HOST, 0, None),
    ("waiting room, for one who is in it", replace(OPEN, waiting_room=True), replace(MEMBER, present=True), 1, None),
    ("let in by the host", replace(OPEN, waiting_room=True), replace(MEMBER, approved=True), 0, None),
    ("let in, but locked since", replace(OPEN, waiting_room=True, is_locked=True), replace(MEMBER, approved=True), 0,
     "Room is locked"),
    ("let in, but full since", replace(OPEN, waiting_room=True), replace(MEMBER, approved=True), 5, "Room is full"),
    ("not let in", replace(OPEN, waiting_room=True), replace(MEMBER, denied=True), 0, "The host did not let you in"),
    ("not let in, no waiting room any more", OPEN, replace(MEMBER, denied=True), 0, None),
    ("full, for one who is being replaced", OPEN, replace(MEMBER, present=True), 5, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "entrant", "others", "message"), [row[1:] for row in ENTRY], ids=[row[0] for row in ENTRY]
)
def test_entry(rules: RoomRules, entrant: Entrant, others: int, message: str | None) -> None:
    assert text(refuse_entry(rules, entrant, others=others)) == message


def test_entry_is_checked_in_the_order_of_the_contract() -> None:
    worst = replace(OPEN, is_active=False, is_locked=True, allow_guest_access=False, waiting_room=True)
    removed = replace(GUEST, removed=True)
    told: list[str | None] = []
    for rules, entrant, others in (
        (worst, removed, 5),
        (worst := replace(worst, is_active=True), removed, 5),
        (worst, GUEST, 5),
        (worst := replace(worst, is_locked=False), GUEST, 5),
        (worst, MEMBER, 5),
        (worst, MEMBER, 4),
    ):
        told.append(text(refuse_entry(rules, entrant, others=others)))
    assert told == [
        "Room is no longer active",
        "You were removed from this meeting",
        "Room is locked",
        "Authentication required",
        "Room is full",
        "Waiting for the host to let you in",
    ]


def test_nobody_is_the_host_of_a_room_without_an_account() -> None:
    assert OPEN.hosted_by("host")
    assert not OPEN.hosted_by("ada")
    assert not OPEN.hosted_by(None)


@pytest.mark.parametrize(
    ("allowed", "is_host", "refused"),
    [(True, False, False), (True, True, False), (False, True, False), (False, False, True)],
)
def test_conduct(allowed: bool, is_host: bool, refused: bool) -> None:
    share = refuse_screen_share(replace(OPEN, allow_screen_share=allowed), is_host=is_host)
    chat = refuse_chat(replace(OPEN, allow_chat=allowed), is_host=is_host)
    assert text(share) == ("Screen sharing is disabled" if refused else None)
    assert text(chat) == ("Chat is disabled" if refused else None)


def row(**changed: object) -> Room:
    now = datetime.now(UTC)
    fields = {
        "id": "room",
        "code": "abc-def-ghi",
        "name": "Meeting Room",
        "hostId": "host",
        "isActive": True,
        "isLocked": False,
        "startedAt": now,
        "createdAt": now,
        "updatedAt": now,
    }
    return Room.model_validate(fields | changed)


SETTINGS = {
    "id": "s",
    "roomId": "room",
    "allowChat": True,
    "allowScreenShare": True,
    "allowGuestAccess": True,
    "waitingRoom": False,
    "muteParticipantsOnJoin": False,
    "isLocked": False,
    "maxParticipants": 50,
}


def test_a_room_without_settings_has_the_columns_defaults() -> None:
    assert rules_of(row()) == RoomRules(
        room_id="room", code="abc-def-ghi", host_id="host", has_settings=False, max_participants=100
    )
    assert rules_of(row(isActive=False, isLocked=True)).is_active is False
    assert rules_of(row(isLocked=True)).is_locked is True


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("allowChat", False, "allow_chat"),
        ("allowScreenShare", False, "allow_screen_share"),
        ("allowGuestAccess", False, "allow_guest_access"),
        ("waitingRoom", True, "waiting_room"),
        ("muteParticipantsOnJoin", True, "mute_participants_on_join"),
        ("maxParticipants", 7, "max_participants"),
    ],
)
def test_each_setting_becomes_its_rule(column: str, value: object, field: str) -> None:
    before, after = rules_of(row(settings=SETTINGS)), rules_of(row(settings=SETTINGS | {column: value}))
    assert getattr(before, field) != value
    assert after == replace(before, **{field: value})
