"""The rules of a room as pure decisions: no await, no I/O. Evaluated at the moment of admission."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neuron_meet import errors
from neuron_meet.errors import Refusal
from neuron_meet.store.models import Room


@dataclass(frozen=True, slots=True)
class RoomRules:
    """What a room's row and its settings row say about entry and conduct."""

    room_id: str
    code: str
    host_id: str
    is_active: bool = True
    is_locked: bool = False
    has_settings: bool = True
    allow_chat: bool = True
    allow_screen_share: bool = True
    allow_guest_access: bool = True
    waiting_room: bool = False
    mute_participants_on_join: bool = False
    max_participants: int = 100

    def hosted_by(self, user_id: str | None) -> bool:
        """Whether the verified account `user_id` is the room's host."""
        return user_id is not None and user_id == self.host_id


def rules_of(room: Room) -> RoomRules:
    """The rules in a room's row and its settings row; a room without settings has the columns' defaults."""
    rules = RoomRules(
        room_id=room.id,
        code=room.code,
        host_id=room.hostId,
        is_active=room.isActive,
        is_locked=room.isLocked,
        has_settings=room.settings is not None,
    )
    if (settings := room.settings) is None:
        return rules
    return replace(
        rules,
        allow_chat=settings.allowChat,
        allow_screen_share=settings.allowScreenShare,
        allow_guest_access=settings.allowGuestAccess,
        waiting_room=settings.waitingRoom,
        mute_participants_on_join=settings.muteParticipantsOnJoin,
        max_participants=settings.maxParticipants,
    )


@dataclass(frozen=True, slots=True)
class Entrant:
    """Somebody at the door."""

    user_id: str | None
    removed: bool = False
    """The host removed them from this meeting."""
    denied: bool = False
    """The host did not let them in, some minutes ago at most."""
    present: bool = False
    """They are in the room already (re-join, take-over by the same account): no door stands before them."""
    approved: bool = False
    """The host let them in from the waiting room."""


def refuse_entry(  # noqa: PLR0911 -- one line a rule, in the contract's order
    rules: RoomRules, entrant: Entrant, *, others: int
) -> Refusal | None:
    """Why `entrant` may not come in where `others` seats are taken by others, or None.

    The order of the checks is the contract's (Joining and leaving, Validation).
    """
    host = rules.hosted_by(entrant.user_id)
    inside = host or entrant.present
    if not rules.is_active:
        return errors.ROOM_NOT_ACTIVE
    if entrant.removed and not host:
        return errors.REMOVED_FROM_MEETING
    if rules.is_locked and not inside:
        return errors.ROOM_LOCKED
    if entrant.user_id is None and not rules.allow_guest_access:
        return errors.AUTHENTICATION_REQUIRED
    if others >= rules.max_participants and not entrant.present:
        return errors.ROOM_FULL
    if rules.waiting_room and not inside and not entrant.approved:
        return errors.DENIED_BY_HOST if entrant.denied else errors.WAITING_FOR_HOST
    return None


def refuse_screen_share(rules: RoomRules, *, is_host: bool) -> Refusal | None:
    """Why one may not share the screen, or None."""
    return None if rules.allow_screen_share or is_host else errors.SCREEN_SHARE_DISABLED


def refuse_chat(rules: RoomRules, *, is_host: bool) -> Refusal | None:
    """Why one may not write in the chat, or None."""
    return None if rules.allow_chat or is_host else errors.CHAT_DISABLED
