"""One participant of a live room."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct

from neuron_meet.rooms.removals import Visitor
from neuron_meet.signaling.events import ListedParticipant, ParticipantView

PARKED_NODE = "-"
"""The node of those whose own has been stopped, until they come back."""
PARKED_SECONDS = 120
"""How long what is sent to them is kept; how long they have where it is not known any more how long they had."""


PICTURE_LEFT_OUT = ""
"""The `avatar_url` of one whose account has a picture that is too large to be sent: null on the wire, where it is
absent for one who has none."""


class Participant(Struct, frozen=True, eq=False):
    """Somebody in a room now: who they are, and the state that late joiners must see.

    A value: a change puts another one into the room (`LiveRoom.update`). `record_id` is the id of the Participant
    row; `seat` is what counts towards the room's capacity: the account for accounts (so that a second device takes
    over the first one's seat), the socket for guests. `node` is the server that has the socket ("" for the only one);
    among many, `admitted_after` is the room's version before they came in: the order of the members.
    """

    sid: str
    room_code: str
    room_id: str
    record_id: str
    user_id: str | None
    display_name: str
    account_name: str | None
    account_display_name: str | None
    avatar_url: str | None
    is_host: bool
    joined_at: datetime
    address: str = ""
    node: str = ""
    is_muted: bool = False
    is_video_off: bool = False
    is_screen_sharing: bool = False
    is_hand_raised: bool = False
    admitted_after: int = 0

    @property
    def seat(self) -> str:
        """What this participant occupies: one account, one seat."""
        return seat_of(self.sid, self.user_id)

    @property
    def shown_picture(self) -> str | None:
        """The address of their picture, where there is one that others are sent."""
        return self.avatar_url or None

    def visitor(self) -> Visitor:
        """As the records of who is kept out know them."""
        return Visitor(self.sid, self.user_id, self.address, self.display_name)

    def view(self) -> ParticipantView:
        """As `user-joined` shows it."""
        return ParticipantView(
            socket_id=self.sid,
            user_id=self.user_id,
            display_name=self.display_name,
            is_host=self.is_host,
            is_muted=self.is_muted,
            is_video_off=self.is_video_off,
            is_screen_sharing=self.is_screen_sharing,
            is_hand_raised=self.is_hand_raised,
            avatar_url=UNSET if self.avatar_url is None else self.shown_picture,
        )

    def listed(self) -> ListedParticipant:
        """As the snapshot of a joiner lists it."""
        return ListedParticipant(
            socket_id=self.sid,
            user_id=self.user_id,
            display_name=self.display_name,
            room_id=self.room_id,
            is_host=self.is_host,
            is_muted=self.is_muted,
            is_video_off=self.is_video_off,
            is_screen_sharing=self.is_screen_sharing,
            is_hand_raised=self.is_hand_raised,
            avatar_url=UNSET if self.avatar_url is None else self.shown_picture,
        )


def seat_of(sid: str, user_id: str | None) -> str:
    """The seat of a socket: its account's, or its own for a guest. The prefixes keep the two apart."""
    return f"u:{user_id}" if user_id is not None else f"s:{sid}"
