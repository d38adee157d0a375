"""What the use cases need of presence: `memory.py` does it for the only node, `cluster.py` for one of many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Protocol

from neuron_meet.signaling.effects import Outcome
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom, Whereabouts

Step = Callable[[LiveRoom], Outcome]
"""One change of a room: looks at it, changes it by its methods, says what is to be told. Atomic.

It raises `Refused` before it changes anything, touches nothing else, and may be tried more than once (on copies):
what must happen once stands among the effects.
"""


class Presence(Protocol):
    """Who is in which room now."""

    @property
    def node(self) -> str:
        """This node's name among many; "" where it is the only one."""
        ...

    @property
    def whereabouts(self) -> Whereabouts:
        """By socket: the room that it is in, the room that it waits for. Of rooms in use at this node."""
        ...

    def room(self, code: str) -> LiveRoom | None:
        """The room, where it is in use at this node. To be looked at; changes go through :meth:`act`."""
        ...

    def participant(self, sid: str) -> Participant | None:
        """The participant behind a socket, None where it is in no room in use at this node."""
        ...

    def located(self, sid: str) -> tuple[Participant, LiveRoom] | None:
        """The participant behind a socket together with its room."""
        ...

    def participants(self) -> Iterator[Participant]:
        """Everybody in any room whose socket is at this node."""
        ...

    def rooms(self) -> Iterator[LiveRoom]:
        """Every room in use at this node."""
        ...

    def members(self, code: str) -> list[Participant] | Awaitable[list[Participant]]:
        """Everybody in a room, wherever their sockets are. Raises PresenceUnavailable."""
        ...

    def look(self, code: str) -> LiveRoom | Awaitable[LiveRoom]:
        """The room as it is for all nodes, in use at this one or not. To be looked at, never to be changed.

        Raises PresenceUnavailable where the other nodes are out of reach.
        """
        ...

    def reachable(self, participant: Participant) -> bool:
        """Whether what is sent to a participant gets to the node that has the socket."""
        ...

    def act(self, code: str, step: Step, *, urgent: bool = False) -> Outcome | Awaitable[Outcome]:
        """Do `step` on a room, as one step for all who look at it.

        At once, and then the caller delivers the effects in the same turn; or later, and then they have been
        delivered, everywhere, when the answer is there. Raises what `step` raises, and PresenceUnavailable where
        the other nodes are out of reach; `urgent` steps are then done here and told to them later.
        """
        ...

    def hold(self, code: str) -> AbstractAsyncContextManager[LiveRoom]:
        """Keep a room's live state while something is under way: nothing that happens meanwhile is missed.

        Raises PresenceUnavailable.
        """
        ...

    def changing(self, live: LiveRoom) -> AbstractAsyncContextManager[object]:
        """One change of a room's stored rules at a time: what is stored last is what holds.

        Raises PresenceUnavailable.
        """
        ...

    def speaking(self, live: LiveRoom) -> AbstractAsyncContextManager[object]:
        """While somebody speaks in a room: its messages are stored in the order in which they are shown."""
        ...


class Hold:
    """A hold on a live room that is there already; `released` is called when it ends."""

    __slots__ = ("_released", "room")

    def __init__(self, room: LiveRoom, released: Callable[[LiveRoom], None]) -> None:
        room.holds += 1
        self.room, self._released = room, released

    def end(self) -> None:
        """Hold it no longer."""
        self.room.holds -= 1
        self._released(self.room)

    async def __aenter__(self) -> LiveRoom:
        return self.room

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class NoTurn:
    """Takes no turns."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


NO_TURN = NoTurn()
