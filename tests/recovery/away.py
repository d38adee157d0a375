"""Being away: clients that drop, and claims spoken by hand."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

from tests.wire.clients import DEADLINE, Client, Event
from tests.wire.meeting import Meet
from tests.wire.raw import RawSocket

_questions = itertools.count(100_000)


async def until(condition: Callable[[], bool]) -> None:
    """Return when something is so; TimeoutError when it does not become so."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


async def go_away(meet: Meet, *clients: Client, how: Callable[[Client], None] = Client.drop) -> None:
    """Drop these clients; returns when they know it and the server holds their places."""
    held = meet.server.sockets.recovery.outcomes
    before = held["held"]
    for client in clients:
        how(client)
    for client in clients:
        await client.next("$disconnected")
    await until(lambda: held["held"] == before + len(clients))


async def missed(client: Client) -> list[Event]:
    """What the client gets after it came back."""
    return await client.unread()


def names(events: list[Event]) -> list[str]:
    return [name for name, _ in events]


async def claim(socket: RawSocket, **auth: Any) -> dict[str, Any]:
    """Send a CONNECT packet with this `auth` on a fresh connection; the answer, with `sid` and `pid`."""
    await socket.send("40" + json.dumps(auth))
    answer = await socket.receive()
    assert answer.startswith("40{"), answer
    socket.sid = (opening := json.loads(answer[2:]))["sid"]
    return opening


async def join_raw(socket: RawSocket, code: str, name: str = "Raw") -> str:
    """Join a room by hand; returns the offset of `room-joined`."""
    await socket.event("join-room", {"roomCode": code, "displayName": name}, ack=1)
    packets = await socket.receive_until("431[")
    joined = next(json.loads(packet[2:]) for packet in packets if packet.startswith('42["room-joined"'))
    assert json.loads(packets[-1][3:])[0]["success"] is True
    return str(joined[2])


async def events_until_answer(socket: RawSocket) -> list[str]:
    """The packets that came before the answer to an event that no server knows."""
    number = next(
        _questions
    )  # an answer that is given again to another connection must not be taken for this one
    await socket.event("no-such-event", ack=number)
    return (await socket.receive_until(f"43{number}["))[:-1]
