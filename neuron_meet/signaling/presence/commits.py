"""Steps on rooms, committed: each is tried on a copy, and written if the room still is as the step has seen it.

What it changed is published with it, to everybody; else it is tried again. So decisions are made by the same code as on
one node, and each room's changes have one order, in which every node carries them out, the deciding one included.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Awaitable, Callable

from neuron_meet.cluster.link import WrongKind
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.rooms.removals import MAX_OF_ROOM, REMOVED_ACCOUNT_SECONDS
from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.presence.entries import (
    Entry,
    apply,
    changes_nothing,
    encode,
    entry_of,
    fields_of,
    told,
)
from neuron_meet.signaling.presence.hosting import Hosting, RoomUnreadable
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.replica import Replica
from neuron_meet.tracing import span


class StepsInTheWay(PresenceUnavailable):
    """The steps of others came first for too long: nothing was done, and Redis is there."""


LOG_LENGTH = 1_000
EMPTY_ROOM_SECONDS = 120
KEPT_OUT_SECONDS = int(REMOVED_ACCOUNT_SECONDS)
"""The list of who is kept out is kept so long after it was last added to: no entry of it lasts longer."""
STEP_SECONDS = 5.0
"""How long a step that may fail is tried again against the steps of others before it is given up."""


class Commits:
    """Commits this node's steps on the rooms that it hosts."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self.flushed: Callable[[], Awaitable[None]] = _at_once
        """Returns when what this node's sockets have sent to others is under way: no step of theirs overtakes it."""
        self.conflicts = 0
        """Steps tried again, because another node's came first."""

    async def commit(
        self, replica: Replica, step: Step, *, urgent: bool = False, told_here: bool = False
    ) -> Outcome:
        """Try the step until the room is at the version that it has seen. The replica's lock is held.

        Raises what the step raises; StepsInTheWay, where it is not `urgent`; PresenceUnavailable with the ticket under
        which it may have come through. `told_here`: those at this node have been told before; that makes it urgent.
        """
        ticket = secrets.token_hex(8)
        with span("commit") as traced:
            traced.goes_on_as(ticket)
            deadline = math.inf if urgent or told_here else time.monotonic() + STEP_SECONDS
            return await self._commit(replica, step, ticket, deadline, told_here=told_here)

    async def _commit(
        self, replica: Replica, step: Step, ticket: str, deadline: float, *, told_here: bool
    ) -> Outcome:
        hosting, code = self._hosting, replica.room.code
        while True:
            fork = replica.room.fork()
            outcome = step(fork)
            entry = entry_of(fork, hosting.node, ticket, told(outcome.effects))
            if changes_nothing(entry):
                hosting.carry_out(outcome.effects)
                return Outcome(ack=outcome.ack)
            replica.pending[ticket] = [] if told_here else outcome.effects
            try:
                await self.flushed()
                version = await self.write(code, fork.version, entry)
                if version is not None:
                    await hosting.reach(replica, version)
                    return Outcome(ack=outcome.ack)
            except PresenceUnavailable as error:
                if ticket not in replica.pending:  # it has happened, only the answer was lost
                    return Outcome(ack=outcome.ack)
                if isinstance(error, WrongKind):
                    await hosting.drop(code)
                    raise RoomUnreadable(ticket) from error
                raise type(error)(ticket) from error
            self.conflicts += 1
            del replica.pending[ticket]
            await hosting.catch_up(code, fork.version + 1)
            if time.monotonic() > deadline:
                raise StepsInTheWay

    async def write(self, code: str, expected: int, entry: Entry) -> int | None:
        """Write an entry if the room still is at `expected`. Returns the new version, None where it is not there.

        Raises PresenceUnavailable.
        """
        link, keys = self._hosting.link, self._hosting.keys
        put, gone = fields_of(entry)
        kept_out = [part for key, until in entry.kept_out.items() for part in (key, str(until))]
        keys_used = [
            keys.room_state(code), keys.room_log(code), keys.room_kept_out(code), keys.room_channel(code)
        ]  # fmt: skip
        done, version = await link.commit(
            keys_used,
            [
                str(expected), encode(entry), link.publish_command, LOG_LENGTH, EMPTY_ROOM_SECONDS,
                KEPT_OUT_SECONDS, MAX_OF_ROOM, len(put) // 2, *put, len(gone), *gone, len(kept_out) // 2, *kept_out,
                int(entry.forgotten),
            ],
        )  # fmt: skip
        return int(version) if done else None

    # -- without the others
    def act_here(self, replica: Replica, step: Step, ticket: str) -> Outcome:
        """Do a step for those at this node; the others are told when Redis is back. Raises what the step raises."""
        hosting = self._hosting
        fork = replica.room.fork()
        outcome = step(fork)
        if replica.base is None:
            replica.base = replica.room.fork()
        ticket = ticket or secrets.token_hex(8)
        apply(entry_of(fork, hosting.node, ticket, []), replica.room)
        replica.pending.pop(ticket, None)
        replica.remember(step, ticket)
        hosting.carry_out(outcome.effects)
        return Outcome(ack=outcome.ack)

    def redo(self, replica: Replica, step: Step) -> None:
        """Do a step once more that those at this node have been told of. Raises what the step raises."""
        fork = replica.room.fork()
        step(fork)
        apply(entry_of(fork, self._hosting.node, "", []), replica.room)


async def _at_once() -> None:
    return
