"""Somebody who waits for the host to let them in."""

from __future__ import annotations

from msgspec import Struct

from neuron_meet.rooms.removals import Visitor
from neuron_meet.signaling.events import WaitingView
from neuron_meet.signaling.presence.participant import seat_of


class Waiter(Struct, frozen=True, eq=False):
    """A knock: who, under which name, and at which server the socket is ("" for the only one)."""

    sid: str
    user_id: str | None
    address: str
    display_name: str
    node: str = ""
    since: float = 0.0
    """When they knocked, in Unix seconds: the order in which they are asked for."""

    @property
    def seat(self) -> str:
        """The seat that they would take."""
        return seat_of(self.sid, self.user_id)

    def visitor(self) -> Visitor:
        """As the records of who is kept out know them."""
        return Visitor(self.sid, self.user_id, self.address, self.display_name)

    def view(self) -> WaitingView:
        """As the host sees it."""
        return WaitingView(socket_id=self.sid, display_name=self.display_name, user_id=self.user_id)
