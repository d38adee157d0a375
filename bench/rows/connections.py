"""Connecting and disconnecting, of sockets that are in no room."""

from __future__ import annotations

from bench.company import connect, leave, newcomers
from bench.contenders import Contender
from bench.row import Row, Sample, cpu_lines, measuring

SOCKETS = 400


class Connections(Row):
    """Websocket handshake, Engine.IO handshake and namespace; then a close frame, as from a closed tab."""

    name = "connect"
    lines = (
        *cpu_lines("connect", "Connect", goal=0.8),
        *cpu_lines("disconnect", "Disconnect", goal=1.0),
    )

    async def round(self, contender: Contender) -> Sample:
        """400 sockets, 16 at a time; they go all at once."""
        peers = newcomers(contender, SOCKETS)
        async with measuring(contender) as connecting:
            await connect(contender, peers)
        async with measuring(contender) as leaving:
            await leave(peers)
        return connecting.each("connect", SOCKETS) | leaving.each("disconnect", SOCKETS)
