"""Three hundred who want into a room for twenty-five, at three nodes: exactly so many, and everybody knows the same."""

from __future__ import annotations

import asyncio

import pytest

from tests.wire.meeting import Meet
from tests.wire.views import agree, all_at_once, connected, views_of

pytestmark = pytest.mark.three_nodes

CROWD, CAPACITY = 300, 25


async def test_three_hundred_joins_into_a_room_for_twenty_five(meet: Meet, long: bool) -> None:
    clients = await connected(meet, CROWD)
    node = meet.server.node
    assert node is not None
    for _ in range(20 if long else 2):
        place = await meet.place(maxParticipants=CAPACITY)
        admitted = await all_at_once(place, clients)
        inside = {client.sid for client, succeeded in admitted.items() if succeeded}
        assert len(inside) == CAPACITY
        assert agree(await views_of(clients)) == inside
        assert await meet.known(place) == [inside] * 3
        lives = meet.lives(place)
        assert [set(live.members) for live in lives] == [inside] * len(lives)
        # Whose steps come first is chance: a node may have nobody in, and does not keep the room then.
        assert len(lives) == len({member.node for member in lives[0].members.values()})
        fields = await node.link.do("HKEYS", node.link.keys.room_state(place.code))
        assert set(fields) == {b"v", b"rules", *(b"m:" + sid.encode() for sid in inside)}
        rows = await meet.rows(place)
        assert [row["isActive"] for row in rows] == [True] * CAPACITY
        leaving = [client for client in clients if client.sid in inside]
        await asyncio.gather(*(client.ask("leave-room", {"roomId": place.id}) for client in leaving))
        for client in leaving:
            await client.unread()
        assert await meet.known(place) == [set()] * 3
        fields = await node.link.do("HKEYS", node.link.keys.room_state(place.code))
        assert set(fields) == {b"v", b"rules"}
        assert await meet.open_rows(place) == 0
