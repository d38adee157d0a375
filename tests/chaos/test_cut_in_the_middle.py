"""Connections that are cut while the server writes to them: whoever shares the room with them does not notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.chaos.meeting import entered, program, visitor
from tests.process.visitor import Socket, Visitor
from tests.store.password_server import free_port

ROUNDS = 15
CUT_AT_A_TIME = 6


async def talk(one: Socket, room_id: str, stop: asyncio.Event) -> int:
    """Events to the whole room, as fast as they are answered. Each must be."""
    sent = 0
    while not stop.is_set():
        answer = await one.ask("toggle-hand-raise", {"roomId": room_id, "raised": sent % 2 == 0})
        assert answer == {"success": True}
        sent += 1
    return sent


async def crowd(who: Visitor, code: str) -> list[Socket]:
    """Some who will be cut."""
    sockets = [await who.socket(guest=True) for _ in range(CUT_AT_A_TIME)]
    for socket in sockets:
        await entered(socket, code)
    return sockets


async def test_those_who_stay_get_everything(folder: Path, database_url: str) -> None:
    """In the real program: its event loop (uvloop) refuses writes to a connection that was reset."""
    async with (
        program(folder, free_port(), DATABASE_URL=database_url, RECOVERY_GRACE_SECONDS="0.2") as running,
        visitor(running.url) as who,
    ):
        await who.register()
        # Places of those who were cut are held for a moment, and rounds may follow each other within it.
        _, room = await who.call("POST", "/api/rooms", {"maxParticipants": 100})
        speaker, listener = await who.socket(guest=True), await who.socket(guest=True)
        await entered(speaker, room["code"])
        await entered(listener, room["code"])
        stop = asyncio.Event()
        talking = asyncio.create_task(talk(speaker, room["id"], stop))
        for _ in range(ROUNDS):
            for socket in await crowd(who, room["code"]):
                socket.cut()
        stop.set()
        sent = await talking
        await listener.ask("no-such-event", {})
        names = [name for name, _ in listener.events]
        assert names.count("user-hand-raised") + names.count("user-hand-lowered") == sent
        assert names.count("user-joined") == ROUNDS * CUT_AT_A_TIME
        assert await running.stop() == 0
        assert "Traceback" not in running.output
