"""Who wants into a room: a socket of this node that asks itself, or one that waits and whom the host lets in."""

from __future__ import annotations

from dataclasses import dataclass

from neuron_meet.names import GUEST_NAME
from neuron_meet.rooms.policy import Entrant
from neuron_meet.rooms.removals import Visitor
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.presence.participant import seat_of
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.signaling.presence.waiter import Waiter


@dataclass(slots=True)
class Applicant:
    """Who wants in, the name they go by ("" for the account's), and the node that has their socket."""

    sid: str
    user_id: str | None
    address: str
    name: str
    node: str
    caller: Caller | None = None
    """The socket, where it asked itself; None where a knock is answered."""
    approved: bool = False
    """Whether the host let them in; opened doors are no approval, they may be shut again before the row is written."""

    @classmethod
    def asking(cls, caller: Caller, name: str, node: str) -> Applicant:
        """One who asks to join."""
        return cls(caller.sid, caller.user_id, caller.address, name, node, caller)

    @classmethod
    def waiting(cls, waiter: Waiter, *, approved: bool) -> Applicant:
        """One whose knock is answered."""
        return cls(
            waiter.sid, waiter.user_id, waiter.address, waiter.display_name, waiter.node, None, approved
        )

    @property
    def seat(self) -> str:
        """The seat that they would take."""
        return seat_of(self.sid, self.user_id)

    def gone(self, room: LiveRoom) -> bool:
        """Whether they left, or moved to another node, while the database was asked."""
        if self.caller is None:
            return self.sid not in room.waiting
        member = room.members.get(self.sid)
        return self.caller.gone or (member is not None and member.node != self.node)

    def entrant(self, room: LiveRoom) -> Entrant:
        """What the rules must know, as of now."""
        visitor = Visitor(self.sid, self.user_id, self.address, self.name or GUEST_NAME)
        return Entrant(
            user_id=self.user_id,
            removed=room.kept_out.removed(visitor),
            denied=room.kept_out.denied(visitor),
            approved=self.approved,
        )
