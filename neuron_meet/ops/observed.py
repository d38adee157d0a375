"""What metrics read of a server: the parts, and what is wanted of those that `ops` must not import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from neuron_meet.audit import Audit
from neuron_meet.durations import Durations
from neuron_meet.holdings import Holdings
from neuron_meet.ops.health import Health
from neuron_meet.ops.stalls import StallWatch
from neuron_meet.signaling.dispatch import Dispatcher
from neuron_meet.signaling.limits import EventLimits
from neuron_meet.signaling.presence.interface import Presence
from neuron_meet.signaling.reconciliation import Reconciliation


class Outcomes(Protocol):
    """Sockets that dropped: how many are held now, and what became of all so far."""

    @property
    def held(self) -> int: ...
    @property
    def outcomes(self) -> Mapping[str, int]: ...


class Sockets(Protocol):
    """The transport, as `realtime` has it."""

    @property
    def connection_count(self) -> int: ...
    @property
    def recovery(self) -> Outcomes: ...
    @property
    def malformed(self) -> Mapping[str, int]: ...
    @property
    def fanned_out(self) -> int: ...
    @property
    def queued_bytes(self) -> int: ...
    @property
    def refused_at_once(self) -> int: ...
    @property
    def slow_dropped(self) -> int: ...
    @property
    def flooding_dropped(self) -> int: ...

    @property
    def held(self) -> Mapping[str, Holdings]: ...


class Calls(Protocol):
    """What the database was asked, by operation and model, and the failures by exception too."""

    @property
    def durations(self) -> Mapping[tuple[str, str], Durations]: ...
    @property
    def errors(self) -> Mapping[tuple[str, str, str], int]: ...


class PoolUse(Protocol):
    """Connections to the database now."""

    @property
    def open(self) -> int: ...
    @property
    def busy(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class DatabaseUse(Protocol):
    """The database client, as `store` has it."""

    @property
    def engine_restarts(self) -> int: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def pool_use(self) -> PoolUse: ...


class Link(Protocol):
    """This node among others: whether they can be reached, seconds that a heartbeat takes, steps tried again."""

    @property
    def up(self) -> bool: ...
    @property
    def lag(self) -> float: ...
    @property
    def conflicts(self) -> int: ...


class Unwritten(Protocol):
    """Participant rows whose closing the database has not taken yet."""

    @property
    def unwritten(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of a server that metrics read. `link` is None for the only node."""

    version: str
    health: Health
    sockets: Sockets
    dispatcher: Dispatcher
    limits: EventLimits
    presence: Presence
    unwritten: Unwritten
    audit: Audit
    reconciliation: Reconciliation
    stalls: StallWatch
    database: DatabaseUse
    link: Link | None = None
