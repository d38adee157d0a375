"""What rooms need from the meetings that are going on. Signaling implements it; `app` puts the two together."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from neuron_meet.store.models import Room


@dataclass(frozen=True, slots=True)
class LiveParticipant:
    """Somebody who is in a room now. `id` is that of the Participant row."""

    id: str
    display_name: str
    avatar_url: str | None
    is_host: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands to a meeting now."""

    inside: bool
    """It is in the room, at any node, or its place is held for a recovery."""
    removed: bool
    """It was removed from the room and is still kept out."""


class LiveRooms(Protocol):
    """Meetings in progress, by room code."""

    async def participants(self, code: str) -> list[LiveParticipant]:
        """Those in the room now, places held for a recovery included, by the time they joined; [] for none."""
        ...

    async def standing(self, code: str, user_id: str) -> Standing:
        """How an account stands to a meeting now. Raises PresenceUnavailable where that cannot be known."""
        ...

    def changing(self, code: str) -> AbstractAsyncContextManager[None]:
        """Serialises changes of one room's rules: what is stored last is what holds in the meeting."""
        ...

    async def settings_changed(self, room: Room) -> None:
        """Let new settings hold in the meeting and tell those in it. `room` has its settings.

        Called within :meth:`changing`, when the rows are durable.
        """
        ...

    async def ended(self, room: Room, reason: str) -> None:
        """Tell everybody in the room that it has ended, and have them leave. Nothing happens in an empty one.

        Called within :meth:`changing`, when the rows are durable; more than once if the host asks again.
        """
        ...
