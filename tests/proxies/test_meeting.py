"""Clients meet through each proxy by websocket, by polling and by an upgrade."""

from __future__ import annotations

import uuid
from itertools import permutations

from tests.proxies.fronts import Front
from tests.proxies.people import come, join, make_room, say
from tests.wire.clients import Driver

LARGE_SDP = "v=0\r\n" + "a=x:" + "ä€😀" * 11_000
"""100 kB, with characters of all lengths."""
REQUESTS = 30


def people(front: Front) -> list[tuple[str, str]]:
    """Ways and paths by which clients come. nginx buffers answers by default."""
    ways = [("websocket", "/"), ("polling", "/"), ("upgrade", "/")]
    if front.kind == "nginx":
        ways += [(way, "/unbuffered/") for way in ("websocket", "polling", "upgrade")]
        ways += [("polling", "/defaults/")]
    return ways


async def test_a_meeting(front: Front, js: Driver) -> None:
    room = await make_room(front, f"{uuid.uuid4().hex}@example.com")
    clients = [await come(js, front, room, way, path) for way, path in people(front)]
    for number, client in enumerate(clients):
        await say(client, room, str(number))
    for client in clients:
        heard = [(await client.next("chat-message"))["content"] for _ in clients]
        assert heard == [str(number) for number in range(len(clients))]
    for sender, target in permutations(clients, 2):
        sender.emit("offer", {"targetId": target.sid, "sdp": {"type": "offer", "sdp": LARGE_SDP}})
        sender.emit("ice-candidate", {"targetId": target.sid, "candidate": {"candidate": sender.sid}})
    for target in clients:
        for _ in clients[1:]:
            offer = await target.next("offer")
            assert offer["sdp"]["sdp"] == LARGE_SDP
            assert offer["senderId"] != target.sid
        names = {(await target.next("ice-candidate"))["candidate"]["candidate"] for _ in clients[1:]}
        assert names == {each.sid for each in clients} - {target.sid}
    for client in clients:
        assert not [event for event, _ in await client.unread() if event == "$disconnected"]
        client.disconnect()


async def test_an_upgrade_that_the_proxy_does_not_pass_on(front: Front, js: Driver) -> None:
    """nginx without the lines for websockets: clients stay with polling, and are not disturbed."""
    path = "/defaults/" if front.kind == "nginx" else "/"
    room = await make_room(front, f"{uuid.uuid4().hex}@example.com")
    both = await js.connect(front.origin, **front.options(path, transports=["polling", "websocket"]))
    only = await js.connect(front.origin, **front.options(path, transports=["polling"]))
    for name, client in (("both", both), ("only", only)):
        await join(client, room, name)
    for number in range(5):
        await say(both, room, str(number))
        await say(only, room, str(number))
    for client in (both, only):
        assert [(await client.next("chat-message"))["content"] for _ in range(10)] == [
            str(number) for number in range(5) for _ in (both, only)
        ]
        upgraded = [name for name, _ in await client.unread() if name in ("$upgraded", "$disconnected")]
        assert upgraded == (["$upgraded"] if client is both and front.kind != "nginx" else [])
        client.disconnect()


async def test_connections_to_the_server_are_used_again(front: Front) -> None:
    """Those of one client at least: HAProxy (`http-reuse safe`) uses none of another client's for a first request."""
    before = front.upstream.accepted
    async with front.session() as session:
        for _ in range(REQUESTS):
            async with session.get("/api/health") as response:
                assert response.status == 200
    assert front.upstream.accepted - before < REQUESTS / 3
