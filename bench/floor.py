"""The floor: a bare websocket server. What it gets from one of a group it sends to the others, byte for byte.

`python -m bench.floor` listens on a free port. A client's group is the path of its URL.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import defaultdict

import uvloop
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,  # pyright: ignore[reportUnknownVariableType] - its **kwargs have no type
)

groups: defaultdict[bytes, set[WSTransport]] = defaultdict(set)


class Member(WSListener):
    """A connection of a group."""

    def __init__(self, group: set[WSTransport]) -> None:
        self._group = group

    def on_ws_connected(self, transport: WSTransport) -> None:
        """It is one of the group now."""
        self._group.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Pass a text frame on; answer a close frame."""
        if frame.msg_type is WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            for other in self._group:
                if other is not transport:
                    other.send(WSMsgType.TEXT, payload)
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is gone."""
        self._group.discard(transport)


def member(request: WSUpgradeRequest) -> Member:
    """The listener for a new connection."""
    return Member(groups[request.path])


async def serve() -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = await ws_create_server(member, "127.0.0.1", 0)
    print(json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(serve())
