"""What the use cases work with, put together once by `app`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import structlog

from neuron_meet.chat.journal import Journal
from neuron_meet.errors import Refused
from neuron_meet.failure import place
from neuron_meet.ice.servers import IceServers
from neuron_meet.repeats import seldom
from neuron_meet.signaling.attendance import Attendance
from neuron_meet.signaling.bans import Bans
from neuron_meet.signaling.effects import (
    CloseRow,
    Decision,
    Delivery,
    Effect,
    EndTyping,
    Outcome,
    RoomEffect,
)
from neuron_meet.signaling.presence.interface import Presence, Step
from neuron_meet.signaling.typing import TypingIndicators
from neuron_meet.store.entrance import Entrance
from neuron_meet.store.rooms import Rooms

log = structlog.get_logger(__name__)

OWN_EFFECTS = frozenset({CloseRow, EndTyping})
"""What signaling does itself; the rest is the transport's."""


@dataclass(slots=True)
class Signaling:
    """The state and the stores of the meetings on this node.

    `deliver` is for what happens by itself (a timer, a change over REST); a use case that answers an event
    returns its effects instead. It reaches sockets of other nodes too; `deliver_here` only those of this one.
    """

    presence: Presence
    entrance: Entrance
    rooms: Rooms
    attendance: Attendance
    bans: Bans
    journal: Journal
    typing: TypingIndicators
    ice: IceServers
    deliver: Delivery
    deliver_here: Delivery
    max_message_length: int = 4000
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def act(self, code: str, step: Step, *, urgent: bool = False) -> Decision:
        """Do one step on a room and tell everybody; what is left of its outcome is the acknowledgement.

        Raises what `step` raises, and PresenceUnavailable (see `Presence.act`).
        """
        outcome = self.presence.act(code, step, urgent=urgent)
        if not isinstance(outcome, Outcome):
            return outcome
        self.carry_out(outcome.effects)
        return Outcome(ack=outcome.ack)

    def act_soon(self, code: str, step: Step) -> None:
        """Do one step that nobody waits for and that must not fail: somebody is gone."""
        self.see_to(self.act(code, step, urgent=True))

    def see_to(self, decision: Decision) -> None:
        """Have a decision come about that nobody waits for."""
        if not isinstance(decision, Outcome):
            self.spawn(_finish(decision), name="see-to")

    def carry_out(self, effects: Sequence[RoomEffect]) -> None:
        """Do what is wanted, in order."""
        self.deliver(self._deliverable(effects))

    def carry_out_here(self, effects: Sequence[RoomEffect]) -> None:
        """Do what is wanted, for the sockets of this node: the others have been told as well."""
        self.deliver_here(self._deliverable(effects))

    def _deliverable(self, effects: Sequence[RoomEffect]) -> Sequence[Effect]:
        if not any(type(effect) in OWN_EFFECTS for effect in effects):  # nearly always
            return cast("Sequence[Effect]", effects)
        to_deliver: list[Effect] = []
        for effect in effects:
            if isinstance(effect, CloseRow):
                self.attendance.close(effect.record_id, effect.left_at)
            elif isinstance(effect, EndTyping):
                self.typing.stop(effect.sid)
            else:
                to_deliver.append(effect)
        return to_deliver

    def spawn(self, work: Coroutine[None, None, None], *, name: str) -> None:
        """Have something done in the background; it is known in `tasks` until it is."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def _finish(decision: Awaitable[Outcome]) -> None:
    try:
        await decision
    except Refused:
        return
    except Exception as error:
        where = place(error)  # and not its text, which may quote content
        seldom(log.error, "step failed", by={"error": where.pop("error")}, **where)
