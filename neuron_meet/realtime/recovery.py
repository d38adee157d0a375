"""Connection state recovery: whoever drops has a while to come back as if nothing had happened.

Upstream has none. The protocol is Socket.IO's own, which the unmodified JS client (4.6 or later) speaks: the
CONNECT packet gives it a `pid`; it remembers the last argument of each event as its offset; when it comes back it
sends `{pid, offset, …auth}`, and reports `recovered` when it is given the same pid again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable

from neuron_meet.holdings import Holdings
from neuron_meet.realtime.connection import Connection
from neuron_meet.realtime.frames import Frame, Frames


class Recovery:
    """Sockets by their pid, and the dropped ones that are held for `grace` seconds; with 0 it is off.

    `expired` is called with a held connection when its time is up. `outcomes` counts held, recovered and lost.
    """

    def __init__(
        self, frames: Frames, grace: float, expired: Callable[[Connection], None], keeping: Holdings
    ) -> None:
        self._frames = frames
        self.keeping = keeping
        """Bytes that are kept for returns."""
        self._grace = grace
        self._expired = expired
        self._by_pid: dict[str, Connection] = {}
        self._held: dict[str, asyncio.TimerHandle] = {}
        self.outcomes: Counter[str] = Counter()
        self.suffix = ""
        """The node of this server among many, as pids name it."""

    @property
    def held(self) -> int:
        """Sockets that are away and may come back."""
        return len(self._held)

    def new_pid(self) -> str | None:
        """A pid of 144 random bits, and where to ask for it; None where recovery is off."""
        return secrets.token_urlsafe(18) + self.suffix if self._grace > 0 else None

    @property
    def grace(self) -> float:
        """Seconds for which a place is held; 0: recovery is off."""
        return self._grace

    def find(self, pid: str, user_id: str | None) -> Connection | None:
        """The connection that a pid claims, for the verified identity."""
        connection = self._by_pid.get(pid)
        return connection if connection is not None and connection.caller.user_id == user_id else None

    def by_pid(self, pid: str) -> Connection | None:
        """The connection that a pid claims, whoever says it."""
        return self._by_pid.get(pid)

    def connections(self) -> list[Connection]:
        """All that may be claimed."""
        return list(self._by_pid.values())

    def register(self, connection: Connection) -> None:
        """From now on the connection's pid claims it."""
        if connection.pid is not None:
            self._by_pid[connection.pid] = connection

    def forget(self, connection: Connection) -> None:
        """The connection is over: nobody claims it any more."""
        if connection.pid is not None:
            self._by_pid.pop(connection.pid, None)
            self._release(connection.pid)
            connection.over()

    def hold(self, connection: Connection) -> bool:
        """Keep a dropped connection's place for the grace. False where recovery is off."""
        if connection.pid is None:
            return False
        self.outcomes["held"] += 1
        connection.engine = None
        loop = asyncio.get_running_loop()
        self._held[connection.pid] = loop.call_later(self._grace, self._end, connection)
        return True

    def claim(
        self, pid: object, offset: object, user_id: str | None
    ) -> tuple[Connection, list[Frame]] | None:
        """The connection that a client comes back to, and the frames that it missed; None to start anew.

        The pid must be a socket's, and the verified identity the same: for a guest, no account. Whether the old
        connection is dead or the server only has not noticed makes no difference. A socket that missed more than
        was kept ends here: its place is not held for a second one to take.
        """
        connection = self._by_pid.get(pid) if isinstance(pid, str) else None
        if connection is None or connection.pid is None or connection.caller.user_id != user_id:
            return None
        missed = connection.missed_since(self._frames.number_of(offset))
        if missed is None:
            self._end(connection)
            return None
        self._release(connection.pid)
        self.outcomes["recovered"] += 1
        return connection, missed

    def close(self) -> None:
        """End all who are held: the server goes."""
        for pid in list(self._held):
            self._end(self._by_pid[pid])

    def _release(self, pid: str) -> None:
        timer = self._held.pop(pid, None)
        if timer is not None:
            timer.cancel()

    def _end(self, connection: Connection) -> None:
        self.outcomes["lost"] += 1
        self._expired(connection)
