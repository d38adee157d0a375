"""The admin address: who gets in, what is seen and done there, and what the audit has of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession

from neuron_meet.app import running
from neuron_meet.ops.configuration import effective
from neuron_meet.ops.logs import STATE, set_level
from tests.wire.clients import Driver
from tests.wire.meeting import NOWHERE, SECRET, Meet, enter, meeting_on, settings_for

TOKEN = "an-admin-token-of-at-least-32-bytes-in-length"


@dataclass
class Office:
    """A running server, its admin address, its audit."""

    meet: Meet
    session: ClientSession
    audit: Path
    asked_to_stop: list[None]

    async def ask(self, method: str, path: str, token: str | None = TOKEN, **request: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with self.session.request(method, path, headers=headers, **request) as response:
            return response.status, await response.json()

    def records(self) -> list[dict[str, Any]]:
        """What was recorded so far, without times."""
        lines = self.audit.read_text().splitlines() if self.audit.exists() else []
        return [{name: value for name, value in json.loads(line).items() if name != "time"} for line in lines]


@pytest.fixture
async def office(database_url: str, js: Driver, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(database_url, js, tmp_path / "audit.jsonl") as office:
        yield office


@asynccontextmanager
async def opened(database_url: str, js: Driver, audit: Path) -> AsyncIterator[Office]:
    stops: list[None] = []
    settings = settings_for(admin_port=0, admin_token=TOKEN, audit_log=str(audit))
    async with (
        asyncpg.create_pool(database_url, min_size=0, max_size=3) as pool,
        running(settings, database_url, stop=lambda: stops.append(None)) as server,
        ClientSession(server.url) as session,
        ClientSession(server.admin_url) as admin,
    ):
        meet = Meet([server], pool, js, session)
        yield Office(meet, admin, audit, stops)
        meet.disconnect_all()


async def test_nobody_gets_in_without_the_token(office: Office) -> None:
    asked = [
        ("GET", "/metrics"), ("GET", "/status"), ("GET", "/settings"), ("GET", "/rooms"), ("GET", f"/rooms/{NOWHERE}"),
        ("GET", "/participants/x"), ("GET", "/log-level"), ("PUT", "/log-level"), ("POST", "/drain"),
        ("POST", "/participants/x/kick"), ("POST", "/accounts/x/disable"), ("POST", "/accounts/x/enable"),
        ("POST", f"/rooms/{NOWHERE}/end"), ("GET", "/nowhere"), ("GET", "/admin.js/"),
    ]  # fmt: skip
    for method, path in asked:
        for wrong in (None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), SECRET, "ä"):
            status, body = await office.ask(method, path, token=wrong and wrong.encode().decode("latin-1"))
            assert (status, body) == (401, {"message": "Unauthorized", "statusCode": 401}), (
                method,
                path,
                wrong,
            )
    assert office.asked_to_stop == []
    assert office.records() == []
    async with office.session.get("/") as page:
        assert page.status == 200
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert "ADMIN_TOKEN" in await page.text()
    status, _ = await office.meet.rest("GET", "/rooms")
    assert status != 401  # the public address has none of it


async def test_the_former_token_holds_while_it_is_changed(database_url: str) -> None:
    former = "the-token-until-now-of-at-least-32-bytes"
    settings = settings_for(admin_port=0, admin_token=TOKEN, admin_token_previous=former)
    async with running(settings, database_url) as server, ClientSession(server.admin_url) as session:
        for token, status in ((TOKEN, 200), (former, 200), (f"{former},{TOKEN}", 401), ("", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get("/settings", headers=headers) as answer:
                assert answer.status == status, token
                text = await answer.text()
                assert former not in text
    assert effective(settings)["ADMIN_TOKEN_PREVIOUS"] == "(set, not shown)"


async def test_rooms_people_and_settings_are_seen(office: Office) -> None:
    meet = office.meet
    place = await meet.place()
    host, member, guest = await meet.company(place)
    host.disconnect()
    await member.next("user-left")
    again = await meet.join(place, place.host)

    assert [room["code"] for room in (await office.ask("GET", "/rooms"))[1]] == [place.code]
    _, room = await office.ask("GET", f"/rooms/{place.code}")
    assert {person["socketId"] for person in room["participants"]} == {again.sid, member.sid, guest.sid}
    assert [person["userId"] for person in room["participants"] if person["isHost"]] == [place.host.id]
    _, one = await office.ask("GET", f"/participants/{again.sid}")
    assert (one["room"], one["displayName"], one["isMuted"]) == (place.code, "Host", False)
    assert [row["room"] for row in one["history"]] == [place.code, place.code]
    assert [row["leftAt"] is None for row in one["history"]] == [True, False]
    for path in (f"/rooms/{NOWHERE}", "/participants/nobody"):
        assert await office.ask("GET", path) == (404, {"message": "Not found"})
    _, status = await office.ask("GET", "/status")
    assert (status["checks"], status["draining"]) == ({"database": "up"}, False)
    _, settings = await office.ask("GET", "/settings")
    assert settings["DRAIN_SECONDS"] == "5"
    assert settings["JWT_SECRET"] == settings["ADMIN_TOKEN"] == "(set, not shown)"
    assert SECRET not in json.dumps(settings)


async def test_what_an_operator_does_happens_and_is_recorded(office: Office) -> None:
    meet = office.meet
    place = await meet.place()
    host, member, guest = await meet.company(place)

    assert await office.ask("POST", f"/participants/{guest.sid}/kick") == (200, {"kicked": guest.sid})
    assert await guest.next("force-disconnect") == {"reason": "Removed by the operator"}
    assert (await member.next("user-left"))["socketId"] == guest.sid
    assert (await enter(guest, place))["error"] == "You were removed from this meeting"
    assert (await office.ask("POST", f"/participants/{guest.sid}/kick"))[0] == 404
    assert await office.ask("POST", f"/rooms/{place.code}/end") == (200, {"ended": place.code})
    assert (await host.next("room-ended"))["reason"] == "The operator ended the meeting"
    assert (await enter(member, place))["error"] == "Room is no longer active"
    assert await meet.open_rows(place) == 0
    assert (await office.ask("POST", f"/rooms/{NOWHERE}/end"))[0] == 404
    assert await office.ask("POST", "/drain") == (202, {"draining": True})
    assert office.asked_to_stop == [None]

    by = {"actor": "operator", "address": "127.0.0.1"}
    assert [record for record in office.records() if record["action"].startswith("admin.")] == [
        {"action": "admin.kick", "outcome": "done", **by, "room": place.code, "subjectSocket": guest.sid},
        {"action": "admin.kick", "outcome": "NOT_FOUND", **by, "subjectSocket": guest.sid},
        {"action": "admin.end-room", "outcome": "done", **by, "room": place.code},
        {"action": "admin.end-room", "outcome": "NOT_FOUND", **by, "room": NOWHERE},
        {"action": "admin.drain", "outcome": "done", **by},
    ]


async def test_a_disabled_account_goes_from_all_nodes(
    database_url: str, js: Driver, redis_url: str, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    given: dict[str, Any] = {"admin_port": 0, "admin_token": TOKEN, "audit_log": str(audit)}
    async with meeting_on(database_url, js, nodes=2, redis_url=redis_url, **given) as meet:
        place = await meet.place()
        ada = await meet.person()
        sockets = [await meet.join(place, place.host), await meet.join(place, ada), await meet.connect(ada)]
        assert [len(server.sockets.sockets_of(ada.id)) for server in meet.servers] == [1, 1]
        async with ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            for action, account, status in (
                ("disable", "nobody", 404),
                ("disable", ada.id, 200),
                ("enable", ada.id, 200),
            ):
                url = f"{meet.server.admin_url}/accounts/{account}/{action}"
                async with session.post(url) as response:
                    assert response.status == status
        for socket in sockets[1:]:
            assert await socket.next("force-disconnect") == {"reason": "Removed by the operator"}
        assert (await sockets[0].next("user-left"))["userId"] == ada.id
        records = [json.loads(line) for line in audit.read_text().splitlines()]
        assert [
            (record["action"], record["outcome"], record["subject"])
            for record in records
            if record["action"].startswith("admin.")
        ] == [
            ("admin.disable-account", "NOT_FOUND", "nobody"),
            ("admin.disable-account", "done", ada.id),
            ("admin.enable-account", "done", ada.id),
        ]


async def test_the_log_level_changes_at_run_time(office: Office) -> None:
    before = STATE.level
    try:
        assert await office.ask("PUT", "/log-level", json={"logLevel": "debug"}) == (
            200,
            {"logLevel": "debug"},
        )
        assert STATE.level == "debug"
        for wrong in ({"logLevel": "loud"}, {"logLevel": 10}, [], {}):
            assert (await office.ask("PUT", "/log-level", json=wrong))[0] == 400
        assert (await office.ask("PUT", "/log-level", data=b"\xff"))[0] == 400
        assert (await office.ask("GET", "/log-level"))[1] == {"logLevel": "debug"}
    finally:
        set_level(before)


async def test_the_audit_has_who_did_what_to_whom(office: Office) -> None:
    meet = office.meet
    person = {"email": "ada@example.com", "password": "correct horse", "displayName": "Ada"}
    _, signed_in = await meet.rest("POST", "/api/auth/register", body=person)
    account = signed_in["user"]["id"]
    assert (await meet.rest("POST", "/api/auth/register", body=person))[0] == 409
    wrong = {"email": person["email"], "password": "not the password"}
    assert (await meet.rest("POST", "/api/auth/login", body=wrong))[0] == 401
    assert (await meet.rest("POST", "/api/auth/login", body=wrong | {"password": person["password"]}))[0] in (
        200,
        201,
    )
    place = await meet.place()
    host, member, guest = await meet.company(place)
    mina = meet.server.signaling.presence.participant(member.sid)
    assert mina is not None
    target = {"roomId": place.id, "targetId": member.sid}
    assert (await host.ask("mute-participant", target))["success"]
    assert not (await guest.ask("mute-participant", target))["success"]
    assert (await host.ask("lock-room", {"roomId": place.id, "locked": True}))["success"]
    assert (await host.ask("remove-participant", target))["success"]
    await meet.patch(place, allowChat=False)
    stranger = await meet.person()
    assert (await meet.rest("DELETE", f"/api/rooms/{place.id}", stranger))[0] == 403
    assert (await meet.rest("DELETE", f"/api/rooms/{place.id}", place.host))[0] == 200

    here = {"address": "127.0.0.1"}
    from_email = {"subject": person["email"], **here}
    from_host = {"actor": place.host.id, "socket": host.sid, **here, "room": place.code}
    on_mina = {"subject": mina.user_id, "subjectSocket": member.sid}
    records = office.records()
    assert records == [
        {"action": "register", "outcome": "done", "actor": account, **from_email},
        {"action": "register", "outcome": "EMAIL_TAKEN", **from_email},
        {"action": "login", "outcome": "INVALID_CREDENTIALS", **from_email},
        {"action": "login", "outcome": "done", "actor": account, **from_email},
        {"action": "create-room", "outcome": "done", "actor": place.host.id, "room": place.code},
        {"action": "mute-participant", "outcome": "done", **from_host, **on_mina},
        {"action": "mute-participant", "outcome": "NOT_AUTHORIZED", "socket": guest.sid, **here, "room": place.code,
         **on_mina},
        {"action": "lock-room", "outcome": "done", **from_host, "detail": {"locked": True}},
        {"action": "remove-participant", "outcome": "done", **from_host, **on_mina},
        {"action": "change-room", "outcome": "done", "actor": place.host.id, "room": place.code,
         "detail": {"allowChat": False}},
        {"action": "control-room", "outcome": "ONLY_HOST_END", "actor": stranger.id, "room": place.code},
        {"action": "end-room", "outcome": "done", "actor": place.host.id, "room": place.code},
    ]  # fmt: skip
    for secret in (person["password"], wrong["password"], signed_in["accessToken"]):
        assert secret not in office.audit.read_text()


async def test_a_full_disk_under_the_audit_stops_nobody(database_url: str, js: Driver) -> None:
    async with opened(database_url, js, Path("/dev/full")) as office:
        place = await office.meet.place()
        assert (await office.ask("POST", f"/rooms/{place.code}/end"))[0] == 200
        assert office.meet.server.parts.audit.lost == 2


async def test_a_file_that_was_moved_away_is_made_anew(office: Office, tmp_path: Path) -> None:
    await office.meet.place()
    office.audit.rename(tmp_path / "audit.jsonl.1")
    await office.meet.place()
    assert [record["action"] for record in office.records()] == ["create-room"]
