"""Connections between proxy and server are cut under polls: nothing is lost, and where the proxy repeats a GET, nothing
is noticed.
"""

from __future__ import annotations

import asyncio
import uuid

from tests.process.program import Program
from tests.proxies.fronts import NAME, Front
from tests.proxies.people import come, join, make_room
from tests.wire.clients import DEADLINE, Driver

ROUNDS = 5
REPEAT_POLLS = ("nginx", "caddy")
"""nginx by `proxy_next_upstream`, Caddy as Go's client does it on a connection that has been used before. HAProxy
answers 502, so that the client comes back and recovers."""


async def test_nothing_is_lost_in_a_cut(front: Front, js: Driver, server: Program) -> None:
    room = await make_room(front, f"{uuid.uuid4().hex}@example.com")
    ada = await come(js, front, room, "polling", reconnection=True, reconnectionDelay=20)
    # Bob is asked about by another way than the one that is cut.
    bob = await js.connect(server.url, transports=["websocket"], extraHeaders={"Host": NAME})
    await join(bob, room, "Bob")
    upstream = front.upstream
    for number in range(ROUNDS):
        await ada.sync()
        before = bob.request("chat-message", {"roomId": room["id"], "content": f"before {number}"})
        upstream.cut()  # under the poll that waits, or is answered in this moment
        await before
        assert (await ada.next("chat-message"))["content"] == f"before {number}"

        await ada.sync()
        upstream.answered.clear()
        upstream.answering.clear()
        inside = bob.request("chat-message", {"roomId": room["id"], "content": f"inside {number}"})
        async with asyncio.timeout(DEADLINE):  # until the answer to the poll is on its way
            await upstream.answered.wait()
        upstream.cut()
        upstream.answering.set()
        await inside
        assert (await ada.next("chat-message"))["content"] == f"inside {number}"
    left = [event for event, _ in await ada.unread() if event in ("$disconnected", "chat-message")]
    if front.kind in REPEAT_POLLS:
        assert left == []
    else:
        assert "chat-message" not in left, "each came once"
