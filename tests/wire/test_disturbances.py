"""What one client sends ends nobody else's connection, and a packet of one namespace is none of another's."""

from __future__ import annotations

import pytest

from tests.wire.meeting import Meet
from tests.wire.raw import join, raw_socket

pytestmark = pytest.mark.one_node("packets, not rooms")


@pytest.mark.parametrize("packet", ["41/other,", "41/other", '42/other,["leave-room",{"roomId":"x"}]'])
async def test_a_packet_of_another_namespace_is_not_for_this_one(meet: Meet, packet: str) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_socket(meet.url) as socket:
        await join(socket, place)
        await socket.send(packet)
        assert await socket.alive()
        assert [name for name, _ in await host.unread()] == ["user-joined"]


@pytest.mark.parametrize("receiver", ["websocket", "polling"])
@pytest.mark.parametrize(
    "inside",
    [b'"\xff\xfe"', b'"\xc3"', b'"\xed\xa0\x80"', b'{"\xc0\xaf":1}', b'"\xf4\x90\x80\x80"'],
    ids=repr,
)
async def test_what_is_no_text_is_not_relayed(meet: Meet, inside: bytes, receiver: str) -> None:
    """Bytes that are no UTF-8 would end the connection of whoever gets them (RFC 6455 §8.1)."""
    place = await meet.place()
    host = await meet.join(place, place.host, transports=[receiver])
    async with raw_socket(meet.url) as socket:
        await join(socket, place)
        await host.unread()
        for event, field in (("offer", b"sdp"), ("ice-candidate", b"candidate")):
            head = f'42["{event}",{{"targetId":"{host.sid}",'.encode()
            await socket.send_text_bytes(head + b'"' + field + b'":' + inside + b"}]")
        await socket.end()
    assert await host.next("user-left") == {"socketId": socket.sid, "userId": None}
    assert await host.unread() == []
