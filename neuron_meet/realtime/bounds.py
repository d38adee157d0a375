"""What connections may take of the process (docs/security.md#what-one-peer-may-hold)."""

from __future__ import annotations

from dataclasses import dataclass

from neuron_meet.ceilings import AtOnce
from neuron_meet.holdings import Holdings
from neuron_meet.pace import Pace
from neuron_meet.rates import Rate
from neuron_meet.shares import Shares

HALF_MESSAGES = 32_000_000, 128_000_000
UNFETCHED = 64_000_000, 256_000_000
KEPT = 128_000_000, 256_000_000
"""Bytes of one address and of all. A hundred people behind one address who all call each other have 100 MB kept for
their returns until they answer the next ping."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """By connection, by address, and in all."""

    at_once: AtOnce
    """Connections and upgrades that are there."""
    pace: Pace
    """Of requests that are no session's."""
    frame_rate: Rate | None
    """How much of one connection may mean nothing; None: as much as it likes."""
    max_buffered_bytes: int
    """What may wait for one client to take it."""
    half_messages: Holdings
    """What has come of messages that are not whole."""
    unfetched: Holdings
    """What waits for clients to take it."""
    kept: Holdings
    """What is kept for returns (realtime/recovery.py)."""
    shares: Shares
    """Of a turn of the event loop."""

    def close(self) -> None:
        """The server stops."""
        for each in (self.half_messages, self.unfetched, self.kept):
            each.close()
