"""The database goes away under a meeting, and comes back. The server is never restarted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.process.outside_database import OutsideDatabase
from tests.process.program import serving
from tests.process.visitor import Socket, Visitor, visiting
from tests.store.password_server import PASSWORD

REFUSED_WITHIN = 10.0
"""Issue 2, Bad input: error acks within 10 s."""
AWAY = {"success": False, "error": "Service temporarily unavailable"}
NOT_SENT = {"success": False, "error": "Failed to send message"}


async def within(seconds: float, answer: Any) -> Any:
    async with asyncio.timeout(seconds):
        return await answer


async def database_is(visitor: Visitor, state: str) -> dict[str, Any]:
    """What `/api/ready` says, once it says that the database is `state`."""
    async with asyncio.timeout(30):
        while True:
            status, body = await visitor.call("GET", "/api/ready")
            if body["checks"] == {"database": state}:
                assert status == (200 if state == "up" else 503)
                return body
            await asyncio.sleep(0.05)


async def media_and_relays_go_on(host: Socket, guest: Socket, room_id: str) -> None:
    """Both ways, each in less time than any database call is given."""
    offer = {"targetId": host.sid, "sdp": {"type": "offer", "sdp": "v=0"}}
    assert await within(2, guest.ask("offer", offer)) == {"success": True}
    relayed = await within(2, host.next("offer"))
    assert (relayed["senderId"], relayed["sdp"]) == (guest.sid, offer["sdp"])
    candidate = {"targetId": guest.sid, "candidate": None}
    assert await within(2, host.ask("ice-candidate", candidate)) == {"success": True}
    assert await within(2, guest.next("ice-candidate")) == {"senderId": host.sid, "candidate": None}
    toggled = {"roomId": room_id, "enabled": False}
    assert await within(2, host.ask("toggle-audio", toggled)) == {"success": True}
    assert await within(2, guest.next("user-toggle-audio")) == {"socketId": host.sid, "enabled": False}


@pytest.mark.parametrize("way", ["stopped", "hanging"])
async def test_a_meeting_outlives_an_outage(folder: Path, meetings: OutsideDatabase, way: str) -> None:
    async with serving(folder, DATABASE_URL=meetings.url()) as program, visiting(program.url) as ada:
        await ada.register()
        room = await ada.room()
        joining = {"roomCode": room["code"], "displayName": "Somebody"}
        host = await ada.socket()
        leaver, guest, late = [await ada.socket(guest=True) for _ in range(3)]
        for socket in (leaver, host, guest):
            assert (await socket.ask("join-room", joining))["success"]
        told: list[str] = []

        async def say(socket: Socket, text: str) -> Any:
            ack = await socket.ask("chat-message", {"roomId": room["id"], "content": text})
            if ack["success"]:
                told.append(ack["message"]["id"])
            return ack

        for n in range(5):
            assert (await say(host, f"before {n}"))["success"]

        await (meetings.stop() if way == "stopped" else meetings.pause())
        refusals = [
            asyncio.create_task(within(REFUSED_WITHIN, answer))
            for answer in (
                # Of each socket one, for what one asks in order is done in order, each with a deadline of its own.
                late.ask("join-room", joining),
                say(guest, "refused"),
                host.ask("lock-room", {"roomId": room["id"], "locked": True}),
            )
        ]
        await media_and_relays_go_on(host, guest, room["id"])
        assert await within(2, leaver.ask("leave-room", {"roomId": room["id"]})) == {"success": True}
        assert await within(2, guest.next("user-left")) == {"socketId": leaver.sid, "userId": None}
        assert await asyncio.gather(*refusals) == [AWAY, NOT_SENT, AWAY]
        assert (await late.next("join-error"))["message"] == AWAY["error"]
        ready = await database_is(ada, "down")
        assert "database" in ready["message"]
        assert (await ada.call("GET", "/api/health"))[0] == 200
        status, body = await ada.call("GET", f"/api/rooms/{room['id']}")
        assert (status, body["message"]) == (503, "Service temporarily unavailable")

        await (meetings.start() if way == "stopped" else meetings.resume())
        await database_is(ada, "up")
        assert (await late.ask("join-room", joining))["success"]
        assert (await guest.next("user-joined"))["participant"]["socketId"] == late.sid
        for n, socket in enumerate((host, guest, late)):
            assert (await say(socket, f"after {n}"))["success"]
        await media_and_relays_go_on(host, guest, room["id"])
        await everything_is_there(ada, meetings, room["id"], told)
        assert await within(
            5, host.ask("lock-room", {"roomId": room["id"], "locked": True})
        )  # not locked before
        assert (await ada.call("GET", f"/api/rooms/{room['id']}"))[1]["isLocked"] is True
        assert await program.stop() == 0
        assert "Traceback" not in program.output
        assert PASSWORD not in program.output


async def everything_is_there(ada: Visitor, postgres: OutsideDatabase, room_id: str, told: list[str]) -> None:
    """What was acknowledged is stored, in its order, and rows are open for those who are in the room."""
    _, messages = await ada.call("GET", f"/api/rooms/{room_id}/messages")
    ids = [message["id"] for message in messages]
    assert [each for each in ids if each in told] == told
    async with asyncio.timeout(30):  # closed in the background, with pauses of 5 s at most
        while len(rows := (await ada.call("GET", f"/api/rooms/{room_id}/participants"))[1]) > 3:
            await asyncio.sleep(0.05)
    assert len(rows) == 3


async def test_a_second_server_closes_no_row_of_one_whose_lease_was_lost(
    folder: Path, meetings: OutsideDatabase
) -> None:
    async with serving(folder, DATABASE_URL=meetings.url()) as program, visiting(program.url) as ada:
        await ada.register()
        room = await ada.room()
        host = await ada.socket()
        joining = {"roomCode": room["code"], "displayName": "Ada"}
        assert (await host.ask("join-room", joining))["success"]
        await meetings.stop()
        await program.says("database lease lost")
        await meetings.start()
        connection = await asyncpg.connect(meetings.url())
        try:
            async with asyncio.timeout(60):
                while not await connection.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                ):
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()
        async with serving(folder, DATABASE_URL=meetings.url()) as other:
            assert "closed participant rows" not in other.output
            _, rows = await ada.call("GET", f"/api/rooms/{room['id']}/participants")
            assert [row["isActive"] for row in rows] == [True]
            assert await other.stop() == 0
        assert await program.stop() == 0
