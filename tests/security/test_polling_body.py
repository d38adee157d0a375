"""A polling client's POST that comes in pieces, as a large one does on any real network, is read whole."""

from __future__ import annotations

import json

from tests.security.test_half_open import CONNECT, HANDSHAKE, Line, until
from tests.wire.meeting import Meet


async def test_in_two_pieces(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    line = await Line.to(meet.server.url)
    try:
        _, opening = await line.exchange(HANDSHAKE)
        sid = opening.split(b'"sid":"')[1].split(b'"')[0]
        assert await line.exchange(CONNECT % sid) == (200, b"ok")
        packet = json.dumps(["join-room", {"roomCode": place.code, "displayName": "Piecemeal"}]).encode()
        head = b"POST /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        line.writer.write(head % (sid, len(packet) + 2) + b"42" + packet[:30])
        await meet.server.database.ping()
        await host.sync()  # by now the server has begun to read
        assert await line.exchange(packet[30:]) == (200, b"ok")
        assert (await host.next("user-joined"))["participant"]["displayName"] == "Piecemeal"
    finally:
        await line.close()


async def test_hung_up_in_the_middle(meet: Meet) -> None:
    """The session ends; nothing is logged as an error (the fixture looks)."""
    line, sockets = await Line.to(meet.server.url), meet.server.sockets.eio.sockets
    _, opening = await line.exchange(HANDSHAKE)
    sid = opening.split(b'"sid":"')[1].split(b'"')[0]
    head = b"POST /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n40"
    line.writer.write(head % sid)
    await line.close()
    await until(lambda: sid.decode() not in sockets)
