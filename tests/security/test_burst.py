"""A hundred people in one meeting, under the default limits: nobody honest is refused anything."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from time import monotonic

from tests.wire.clients import Driver
from tests.wire.meeting import enter, meeting_on
from tests.wire.raw import RawSocket, raw_socket

PEOPLE = 100
CANDIDATES = 30
"""Candidates of one peer connection: hosts with many interfaces, STUN and TURN over UDP and TCP."""
OFFER = {"type": "offer", "sdp": "v=0\r\n" + "a=x\r\n" * 480}
"""2.4 kB, as a browser's offer of audio and video has."""


async def entered(socket: RawSocket, code: str, number: int) -> None:
    await socket.event("join-room", {"roomCode": code, "displayName": f"P{number}"}, ack=1)
    [*_, ack] = await socket.receive_until("431[")
    assert json.loads(ack[3:])[0]["success"] is True, ack


async def count(socket: RawSocket, expected: int) -> tuple[int, int]:
    """Offers and candidates that arrived, until there are so many; in order from the sender."""
    offers = candidates = 0
    while offers + candidates < expected:
        packet = await socket.receive()
        if packet.startswith('42["offer"'):
            assert candidates == 0, "a candidate overtook its offer"
            offers += 1
        elif packet.startswith('42["ice-candidate"'):
            assert json.loads(packet[2:])[1]["candidate"]["n"] == candidates
            candidates += 1
    return offers, candidates


async def test_a_hundred_person_join_burst(js: Driver, shared_database: str) -> None:
    """All join at once from one address; the last one sends 99 offers and 99 × 30 candidates in one go."""
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True) as meet,
        AsyncExitStack() as stack,
    ):
        place = await meet.place()
        await meet.sql('UPDATE "RoomSettings" SET "maxParticipants" = 100 WHERE "roomId" = $1', place.id)
        sockets = [await stack.enter_async_context(raw_socket(meet.url)) for _ in range(PEOPLE - 1)]
        await asyncio.gather(*(entered(socket, place.code, n) for n, socket in enumerate(sockets)))
        last = await meet.connect(place.host)
        assert len((await enter(last, place))["participants"]) == PEOPLE - 1

        started = monotonic()
        for socket in sockets:
            last.emit("offer", {"targetId": socket.sid, "sdp": OFFER})
            for number in range(CANDIDATES):
                candidate = {
                    "candidate": "candidate:1 1 udp 2122260223 192.0.2.1 54400 typ host",
                    "n": number,
                }
                last.emit("ice-candidate", {"targetId": socket.sid, "candidate": candidate})
        arrived = await asyncio.gather(*(count(socket, 1 + CANDIDATES) for socket in sockets))
        took = monotonic() - started
        assert arrived == [(1, CANDIDATES)] * (PEOPLE - 1)
        assert meet.refused == {}
        print(f"{PEOPLE - 1} offers and {(PEOPLE - 1) * CANDIDATES} candidates in {took:.2f} s")  # noqa: T201
        await last.sync()
