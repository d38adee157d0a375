"""The shapes inside events: participants, messages, settings as the wire shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

_TO_MILLISECONDS = len("2025-01-31T12:00:00.000")

MessageKind: TypeAlias = Literal["TEXT", "SYSTEM", "FILE"]


class ParticipantView(Struct, rename="camel"):
    """A participant as `user-joined` shows it."""

    socket_id: str
    user_id: str | None
    display_name: str
    is_host: bool
    is_muted: bool
    is_video_off: bool
    is_screen_sharing: bool
    is_hand_raised: bool
    avatar_url: str | UnsetType | None = UNSET


class ListedParticipant(Struct, rename="camel"):
    """A participant as the joiner's snapshot lists it."""

    socket_id: str
    user_id: str | None
    display_name: str
    room_id: str
    is_host: bool
    is_muted: bool
    is_video_off: bool
    is_screen_sharing: bool
    is_hand_raised: bool
    avatar_url: str | UnsetType | None = UNSET


class HistoryAuthor(Struct, rename="camel"):
    """The account behind a replayed message."""

    id: str
    name: str
    display_name: str | None


class HistoryMessage(Struct, rename="camel"):
    """A message of the room as `room-joined` replays it; `senderId` is the account's id."""

    id: str
    sender_id: str | None
    sender_name: str | None
    content: str
    type: MessageKind
    timestamp: str
    user: HistoryAuthor | None


class SentAuthor(Struct, rename="camel"):
    """The account behind a message that was just stored."""

    id: str
    name: str
    display_name: str | None
    avatar_url: str | None


class SentMessage(Struct, rename="camel"):
    """A message that was just stored, as its sender's ack shows it; `senderId` is the account's id or null."""

    id: str
    sender_id: str | None
    sender_name: str | None
    content: str
    type: MessageKind
    timestamp: str
    user: SentAuthor | None


class ChatAuthor(Struct, rename="camel"):
    """The account behind a live message."""

    id: str
    name: str
    avatar_url: str | None


class RoomSettingsView(Struct, rename="camel"):
    """The settings that a joiner is told."""

    allow_screen_share: bool
    allow_chat: bool
    waiting_room: bool


class WaitingView(Struct, rename="camel"):
    """Somebody in the waiting room, as the host sees them."""

    socket_id: str
    display_name: str
    user_id: str | None


def timestamp(moment: datetime) -> str:
    """A UTC moment as the wire has it: ISO 8601 with milliseconds and `Z`."""
    return (
        moment.isoformat(timespec="milliseconds")[:_TO_MILLISECONDS] + "Z"
    )  # a third of what strftime takes
