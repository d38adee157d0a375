"""Rows of those who have moved to another node: open until they leave, and no node's ghosts."""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession

from tests.recovery.away import claim, join_raw
from tests.wire.clients import DEADLINE, Driver
from tests.wire.meeting import Meet, Place, meeting_on
from tests.wire.raw import RawSocket

PATH = "/socket.io/?EIO=4&transport=websocket"
WAYS = ((0, 1), (0, 1, 2), (0, 1, 0))
"""From node to node."""
NODES = 3


async def differences(meet: Meet) -> list[tuple[int, int]]:
    """What each node's reconciliation finds now: ghosts, missing."""
    found = [await server.reconciliation.compare() for server in meet.servers]
    return [(each.ghosts, each.missing) for each in found]


async def until_closed(meet: Meet, place: Place) -> None:
    async with asyncio.timeout(DEADLINE):
        while await meet.open_rows(place):
            await asyncio.sleep(0.01)


async def goes(meet: Meet, session: ClientSession, ways: tuple[int, ...]) -> None:
    """The only one in a room goes this way, so that no node has anything more to do with the room behind them."""
    place = await meet.place()
    sockets = list[RawSocket]()
    opening, offset = dict[str, str](), ""
    for number in ways:
        socket = RawSocket(await session.ws_connect(meet.servers[number].url + PATH))
        sockets.append(socket)
        assert (await socket.receive()).startswith("0{")
        if not opening:
            opening = await claim(socket)
            offset = await join_raw(socket, place.code)
            continue
        back = await claim(socket, pid=opening["pid"], offset=offset)
        assert (back["sid"], back["pid"]) == (opening["sid"], opening["pid"])
        assert await differences(meet) == [(0, 0)] * NODES, ways
        assert await meet.open_rows(place) == 1
    await sockets[-1].event("leave-room", {"roomId": place.id}, ack=2)
    await sockets[-1].receive_until("432[")
    await until_closed(meet, place)
    assert await differences(meet) == [(0, 0)] * NODES, ways
    for socket in sockets:
        await socket.end()


async def test_the_only_one_of_a_node_moves(database_url: str, redis_url: str, js: Driver) -> None:
    settings = {"redis_url": redis_url, "recovery_grace_seconds": 60, "database_pool_size": 4}
    async with meeting_on(database_url, js, nodes=NODES, **settings) as meet, ClientSession() as session:
        for ways in WAYS:
            await goes(meet, session, ways)
