"""When have all nodes of a cluster been told what has happened?"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from neuron_meet.app import Server
from neuron_meet.signaling.node import ClusterNode

BARRIER = b"T"
SECONDS = 60.0


async def all_told(servers: Sequence[Server]) -> None:
    """Return when what any node had to say has been heard by every other.

    What comes through one connection to Redis keeps its order: after what a node has published, something is published
    to each node; when that has come, the former has. What a node forwards then goes the same way.
    """
    nodes = [server.node for server in servers if server.node is not None]
    for _ in range(2):
        for node in nodes:
            await node.flushed()
        await asyncio.gather(*(_heard(node) for node in nodes))


async def _heard(node: ClusterNode) -> None:
    said, heard = BARRIER + uuid.uuid4().bytes, asyncio.Event()
    former = node.inbox.get(BARRIER)

    def listen(data: bytes) -> None:
        if data == said:
            heard.set()
        elif former is not None:
            former(data)

    node.inbox[BARRIER] = listen
    await node.link.publish([(node.link.keys.node_channel(node.presence.node), said)])
    async with asyncio.timeout(SECONDS):
        await heard.wait()
