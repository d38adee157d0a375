"""Socket.IO's Admin UI: what the official client gets in the namespace /admin, and who does not get in."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp import ClientSession

from tests.wire.clients import Client, ConnectionRefused, Driver
from tests.wire.meeting import Meet, meeting_on

TOKEN = "an-admin-token-of-at-least-32-bytes-in-length"
PASSWORD = "look but do not touch"
LOOKING = {"username": "operator", "password": PASSWORD}


@asynccontextmanager
async def watched(database_url: str, js: Driver, **given: Any) -> AsyncIterator[tuple[Meet, str]]:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    settings = {
        "admin_port": 0,
        "admin_token": TOKEN,
        "admin_ui_username": "operator",
        "admin_ui_password_hash": hashed,
    }
    async with meeting_on(database_url, js, **(settings | given)) as meet:
        yield meet, str(meet.server.admin_url)


async def told(ui: Client, event: str, *first: Any) -> Any:
    """The first such event whose arguments begin so; without its last one, the moment (see `Client.take`)."""

    def wanted(got: tuple[str, Any]) -> bool:
        arguments = got[1] if isinstance(got[1], list) else [got[1]]
        return got[0] == event and arguments[: len(first)] == list(first)

    return await ui.first(wanted, f"{event} {first}")


async def test_what_it_shows_is_what_there_is(
    database_url: str, js: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuron_meet.realtime.admin_ui.EVERY_SECONDS", 0.05)
    audit = tmp_path / "audit.jsonl"
    async with watched(database_url, js, audit_log=str(audit), recovery_grace_seconds=15) as (meet, admin):
        place = await meet.place()
        host = await meet.join(place, place.host)
        alone = await meet.connect()
        ui = await js.connect(f"{admin}/admin", auth=LOOKING)
        try:
            assert await ui.next("config") == {"supportedFeatures": ["ALL_EVENTS"]}
            stats = await ui.next("server_stats")
            assert stats["namespaces"] == [{"name": "/", "socketsCount": 2}]
            assert (stats["clientsCount"], stats["pollingClientsCount"]) == (2, 0)
            assert stats["hostname"] == socket.gethostname()
            shown = {each["id"]: each for each in await ui.next("all_sockets")}
            assert shown.keys() == {host.sid, alone.sid}
            assert shown[host.sid]["rooms"] == [host.sid, place.code]
            assert shown[host.sid]["data"] == {"userId": place.host.id}
            assert (shown[alone.sid]["rooms"], shown[alone.sid]["transport"]) == ([alone.sid], "websocket")
            assert shown[alone.sid]["handshake"]["address"] == "127.0.0.1"

            guest = await meet.connect()
            seen = await told(ui, "socket_connected")
            assert (seen["id"], seen["rooms"]) == (guest.sid, [guest.sid])
            assert (await guest.ask("join-room", {"roomCode": place.code, "displayName": "Gus"}))["success"]
            assert await told(ui, "room_joined", "/", place.code, guest.sid)
            assert (await guest.ask("leave-room", {"roomId": place.id}))["success"]
            assert await told(ui, "room_left", "/", place.code, guest.sid)
            # Not a thing is done by it, and nothing of the meeting can be changed.
            for event, *said in (
                ("_disconnect", "/", True),
                ("emit", "/", None, "room-ended", {}),
                ("join", "/", place.code),
                ("leave", "/", place.code),
            ):
                ui.emit(event, *said)
            alone.disconnect()
            assert await told(ui, "socket_disconnected", "/", alone.sid)
            assert host.sid in meet.present(place)
            host.drop()  # held for its return: no longer connected, for the UI
            gone = await told(ui, "socket_disconnected", "/", host.sid)
            assert gone[2] == "transport close"
        finally:
            ui.disconnect()
        records = [json.loads(line) for line in audit.read_text().splitlines()]
        assert [record["actor"] for record in records if record["action"] == "admin.watch"] == ["operator"]


async def test_who_does_not_know_the_password_sees_nothing(database_url: str, js: Driver) -> None:
    async with watched(database_url, js) as (meet, admin):
        for auth in (
            {},
            {"username": "operator"},
            {"username": "operator", "password": ""},
            {"username": "operator", "password": PASSWORD[:-1]},
            {"username": "Operator", "password": PASSWORD},
            {"username": ["operator"], "password": {"$ne": 1}},
            {"token": TOKEN},
        ):
            with pytest.raises(ConnectionRefused, match="invalid credentials"):
                await js.connect(f"{admin}/admin", auth=auth)
        with pytest.raises(ConnectionRefused):
            await js.connect(admin, auth=LOOKING)  # there is no other namespace
        said = ""
        while said != "too many tries":  # ten a minute
            with pytest.raises(ConnectionRefused, match=r"invalid credentials|too many tries") as refused:
                await js.connect(f"{admin}/admin", auth={})
            said = str(refused.value)
        with pytest.raises(ConnectionRefused):
            await meet.connect_to("/admin", auth=LOOKING)  # not at the public address
        async with ClientSession() as session:
            path = "/socket.io/?EIO=4&transport=polling"
            async with session.get(admin + path, headers={"Origin": "https://evil.example"}) as response:
                assert response.status == 400


async def test_off_it_is_not_there(database_url: str, js: Driver) -> None:
    given = {"admin_ui_username": None, "admin_ui_password_hash": None}
    path = "/socket.io/?EIO=4&transport=polling"
    async with (
        watched(database_url, js, **given) as (_, admin),
        ClientSession() as session,
        session.get(admin + path) as response,
    ):
        assert response.status == 404
