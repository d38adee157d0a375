"""Rooms and what belongs to them as REST shows them."""

from __future__ import annotations

from neuron_meet.rest.views import ShownName, ShownPicture, ShownRoomName, Timestamp, View


class Person(View):
    """An account as others in a meeting see it."""

    id: str
    display_name: ShownName | None
    avatar_url: ShownPicture


class SettingsView(View):
    """A room's settings row."""

    id: str
    room_id: str
    allow_chat: bool
    allow_screen_share: bool
    allow_guest_access: bool
    waiting_room: bool
    mute_participants_on_join: bool
    is_locked: bool
    max_participants: int


class RoomView(View):
    """A room with its settings (null for some that the former server made) and its host."""

    id: str
    code: str
    name: ShownRoomName
    host_id: str
    is_active: bool
    is_locked: bool
    started_at: Timestamp
    ended_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    settings: SettingsView | None
    host: Person


class DoorSettings(View):
    """What one must know of a room's settings before coming in."""

    waiting_room: bool


class DoorView(View):
    """A room as anybody with its code sees it from outside."""

    id: str
    code: str
    name: ShownRoomName
    is_active: bool
    is_locked: bool
    host: Person
    settings: DoorSettings | None


class LiveParticipantView(View):
    """Somebody who is in the room now."""

    id: str
    display_name: ShownName
    avatar_url: ShownPicture
    is_host: bool


class ParticipantView(View):
    """A Participant row with its account (null for a guest)."""

    id: str
    room_id: str
    user_id: str | None
    guest_name: ShownName | None
    is_active: bool
    is_host: bool
    joined_at: Timestamp
    left_at: Timestamp | None
    user: Person | None
