"""`/api/rooms`: making, finding, changing and ending rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import neuron_meet.rooms.service
from neuron_meet.rooms.live import LiveParticipant
from tests.rest.server import Server
from tests.rest.shapes import CODE, ID, TIME, error

NOT_FOUND = error(404, "Room not found")


def room_body(host_id: str, host_name: str = "Ada", **settings: Any) -> dict[str, Any]:
    """A new room's body; `settings` differ from the defaults."""
    room_id = settings.pop("room_id", ID)
    return {
        "id": room_id,
        "code": CODE,
        "name": "Meeting Room",
        "hostId": host_id,
        "isActive": True,
        "isLocked": settings.get("isLocked", False),
        "startedAt": TIME,
        "endedAt": None,
        "createdAt": TIME,
        "updatedAt": TIME,
        "settings": {
            "id": ID,
            "roomId": room_id,
            "allowChat": True,
            "allowScreenShare": True,
            "allowGuestAccess": True,
            "waitingRoom": False,
            "muteParticipantsOnJoin": False,
            "isLocked": False,
            "maxParticipants": 50,
        }
        | settings,
        "host": {"id": host_id, "displayName": host_name, "avatarUrl": None},
    }


async def test_make_a_room(server: Server) -> None:
    ada, token = await server.account()
    for body in ({}, {"name": None, "waitingRoom": None, "maxParticipants": None}):
        answer = await server.post("/api/rooms", body, token)
        assert (answer.status, answer.body) == (201, room_body(ada.id))
    given = {"name": " Stand-up ", "waitingRoom": True, "maxParticipants": 2}
    answer = await server.post("/api/rooms", given, token)
    expected = room_body(ada.id, waitingRoom=True, maxParticipants=2) | {"name": "Stand-up"}
    assert (answer.status, answer.body) == (201, expected)


async def test_make_a_wrong_room(server: Server) -> None:
    _, token = await server.account()
    answer = await server.post(
        "/api/rooms", {"name": "", "maxParticipants": 101, "code": "abc-def-ghi"}, token
    )
    assert answer.status == 400
    assert answer.body == error(
        400,
        [
            "property code should not exist",
            "name must be longer than or equal to 1 characters",
            "maxParticipants must not be greater than 100",
        ],
    )
    assert (await server.get("/api/users/me/rooms", token)).body == []


async def test_a_code_that_is_taken_is_replaced(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = await server.account()
    taken = (await server.room(token))["code"]
    free = neuron_meet.rooms.service.new_room_code()
    codes = iter([taken, taken, free])
    monkeypatch.setattr(neuron_meet.rooms.service, "new_room_code", lambda: next(codes))
    assert (await server.room(token))["code"] == free


async def test_codes_that_are_all_taken(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = await server.account()
    taken = (await server.room(token))["code"]
    monkeypatch.setattr(neuron_meet.rooms.service, "new_room_code", lambda: taken)
    answer = await server.post("/api/rooms", {}, token)
    assert (answer.status, answer.body) == (503, error(503, "Service temporarily unavailable"))


async def test_find_a_room(server: Server) -> None:
    _, ada_token = await server.account()
    _, grace_token = await server.account("Grace")
    room = await server.room(ada_token)
    for token in (ada_token, grace_token):
        answer = await server.get(f"/api/rooms/{room['id']}", token)
        assert (answer.status, answer.body) == (200, room)


@pytest.mark.parametrize("room_id", ["none", "%00", "code", "x" * 3000])
async def test_find_no_room(server: Server, room_id: str) -> None:
    _, token = await server.account()
    for method, path in (
        ("GET", f"/api/rooms/{room_id}"),
        ("PATCH", f"/api/rooms/{room_id}/settings"),
        ("DELETE", f"/api/rooms/{room_id}"),
        ("GET", f"/api/rooms/{room_id}/participants"),
        ("GET", f"/api/rooms/{room_id}/messages"),
    ):
        if path == "/api/rooms/code/participants":
            continue  # there it is the code that is looked up
        answer = await server.call(method, path, token=token)
        assert (answer.status, answer.body) == (404, NOT_FOUND), path


async def test_find_a_room_by_its_code(server: Server) -> None:
    ada, token = await server.account()
    room = await server.room(token, name="Open", waitingRoom=True)
    outside = {
        "id": room["id"],
        "code": room["code"],
        "name": "Open",
        "isActive": True,
        "isLocked": False,
        "host": {"id": ada.id, "displayName": "Ada", "avatarUrl": None},
        "settings": {"waitingRoom": True},
    }
    answer = await server.get(f"/api/rooms/code/{room['code']}")
    assert (answer.status, answer.body) == (200, outside)
    await server.database.prisma.roomsettings.delete(where={"roomId": room["id"]})
    answer = await server.get(f"/api/rooms/code/{room['code']}")
    assert (answer.status, answer.body) == (200, outside | {"settings": None})


@pytest.mark.parametrize("written", [str.upper, str.title, "%20{}%20".format, "%09{}".format])
async def test_a_code_is_read_as_a_join_reads_it(server: Server, written: Callable[[str], str]) -> None:
    _, token = await server.account()
    room = await server.room(token)
    code = written(room["code"])
    answer = await server.get(f"/api/rooms/code/{code}")
    assert (answer.status, answer.body["code"]) == (200, room["code"])
    server.live.people[room["code"]] = [LiveParticipant("x", "Ada", None, is_host=True)]
    assert len((await server.get(f"/api/rooms/code/{code}/participants")).body) == 1


@pytest.mark.parametrize("code", ["zzz-zzz-zzz", "nonsense", "%00", "a%2Fb", "x" * 3000])
async def test_find_no_room_by_a_code(server: Server, code: str) -> None:
    answer = await server.get(f"/api/rooms/code/{code}")
    assert (answer.status, answer.body) == (404, NOT_FOUND)
    answer = await server.get(f"/api/rooms/code/{code}/participants")
    assert (answer.status, answer.body) == (200, [])


async def test_those_in_the_room_now(server: Server) -> None:
    _, token = await server.account()
    code = (await server.room(token))["code"]
    assert (await server.get(f"/api/rooms/code/{code}/participants")).body == []
    server.live.people[code] = [
        LiveParticipant("p1", "Ada", "https://example.com/ada.png", is_host=True),
        LiveParticipant("p2", "Guest", None, is_host=False),
    ]
    answer = await server.get(f"/api/rooms/code/{code}/participants")
    assert answer.status == 200
    assert answer.body == [
        {"id": "p1", "displayName": "Ada", "avatarUrl": "https://example.com/ada.png", "isHost": True},
        {"id": "p2", "displayName": "Guest", "avatarUrl": None, "isHost": False},
    ]


EVERY_SETTING = {
    "allowScreenShare": False,
    "allowChat": False,
    "waitingRoom": True,
    "isLocked": True,
    "allowGuestAccess": False,
    "muteParticipantsOnJoin": True,
    "maxParticipants": 7,
}


async def test_change_every_setting(server: Server) -> None:
    ada, token = await server.account()
    room = await server.room(token)
    answer = await server.patch(f"/api/rooms/{room['id']}/settings", EVERY_SETTING, token)
    assert (answer.status, answer.body) == (200, room_body(ada.id, room_id=room["id"], **EVERY_SETTING))
    assert (await server.get(f"/api/rooms/{room['id']}", token)).body == answer.body
    (told,) = server.live.changed[room["code"]]
    assert told.settings is not None
    assert (told.isLocked, told.settings.isLocked, told.settings.maxParticipants) == (True, True, 7)
    assert told.host is not None
    assert not hasattr(told.host, "password"), "the hash stays in the database"


@pytest.mark.parametrize(("name", "value"), EVERY_SETTING.items())
async def test_change_one_setting(server: Server, name: str, value: object) -> None:
    ada, token = await server.account()
    room = await server.room(token)
    answer = await server.patch(
        f"/api/rooms/{room['id']}/settings", {"allowChat": None} | {name: value}, token
    )
    assert (answer.status, answer.body) == (200, room_body(ada.id, room_id=room["id"], **{name: value}))


async def test_change_no_setting(server: Server) -> None:
    _, token = await server.account()
    room = await server.room(token)
    answer = await server.patch(f"/api/rooms/{room['id']}/settings", {}, token)
    assert (answer.status, answer.body) == (200, room)


async def test_unlocking_makes_both_columns_equal(server: Server) -> None:
    _, token = await server.account()
    room = await server.room(token)
    await server.database.prisma.room.update(where={"id": room["id"]}, data={"isLocked": True})
    answer = await server.patch(f"/api/rooms/{room['id']}/settings", {"isLocked": False}, token)
    assert (answer.body["isLocked"], answer.body["settings"]["isLocked"]) == (False, False)


async def test_a_room_without_settings_gets_them(server: Server) -> None:
    ada, token = await server.account()
    room = await server.room(token)
    await server.database.prisma.roomsettings.delete(where={"roomId": room["id"]})
    assert (await server.get(f"/api/rooms/{room['id']}", token)).body["settings"] is None
    answer = await server.patch(f"/api/rooms/{room['id']}/settings", {"allowChat": False}, token)
    expected = room_body(ada.id, room_id=room["id"], allowChat=False, maxParticipants=100)
    assert (answer.status, answer.body) == (200, expected)


async def test_concurrent_changes_are_all_kept_and_told_in_order(server: Server) -> None:
    _, token = await server.account()
    room = await server.room(token)
    await server.database.prisma.roomsettings.delete(where={"roomId": room["id"]})
    bodies: list[dict[str, object]] = [{name: value} for name, value in EVERY_SETTING.items()]
    answers = await asyncio.gather(
        *(server.patch(f"/api/rooms/{room['id']}/settings", body, token) for body in bodies)
    )
    assert [answer.status for answer in answers] == [200] * len(bodies)
    last = server.live.changed[room["code"]][-1].settings
    assert last is not None
    assert {name: getattr(last, name) for name in EVERY_SETTING} == EVERY_SETTING
    assert len(server.live.changed[room["code"]]) == len(bodies)


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ({"allowChat": "no"}, ["allowChat must be a boolean value"]),
        (
            {"isActive": False, "name": "x"},
            ["property isActive should not exist", "property name should not exist"],
        ),
        ({"maxParticipants": 1, "isLocked": 0}, None),
    ],
)
async def test_change_settings_wrongly(server: Server, body: object, sentences: list[str] | None) -> None:
    _, token = await server.account()
    room = await server.room(token)
    answer = await server.patch(f"/api/rooms/{room['id']}/settings", body, token)
    expected = sentences or ["isLocked must be a boolean value", "maxParticipants must not be less than 2"]
    assert (answer.status, answer.body) == (400, error(400, expected))
    assert (await server.get(f"/api/rooms/{room['id']}", token)).body == room
    assert not server.live.changed[room["code"]]


async def test_only_the_host_changes_and_ends(server: Server) -> None:
    _, token = await server.account()
    grace, grace_token = await server.account("Grace")
    room = await server.room(token)
    await server.database.prisma.participant.create(data={"roomId": room["id"], "userId": grace.id})
    answer = await server.patch(f"/api/rooms/{room['id']}/settings", {"isLocked": True}, grace_token)
    assert (answer.status, answer.body) == (403, error(403, "Only the host can update room settings"))
    answer = await server.delete(f"/api/rooms/{room['id']}", grace_token)
    assert (answer.status, answer.body) == (403, error(403, "Only the host can end the room"))
    assert (await server.get(f"/api/rooms/{room['id']}", token)).body == room
    assert not server.live.changed[room["code"]]
    assert not server.live.over[room["code"]]


async def test_end_a_room(server: Server) -> None:
    ada, token = await server.account()
    room = await server.room(token)
    other = await server.room(token)
    rows = server.database.prisma.participant
    here = await rows.create(data={"roomId": room["id"], "userId": ada.id})
    left = await rows.create(data={"roomId": room["id"], "guestName": "Gone", "isActive": False})
    elsewhere = await rows.create(data={"roomId": other["id"], "userId": ada.id})

    answer = await server.delete(f"/api/rooms/{room['id']}", token)
    expected = room_body(ada.id, room_id=room["id"]) | {"isActive": False, "endedAt": TIME}
    assert (answer.status, answer.body) == (200, expected)
    assert server.live.over[room["code"]] == ["The host ended the meeting"]
    closed = await rows.find_unique_or_raise(where={"id": here.id})
    assert not closed.isActive
    assert closed.leftAt is not None
    assert (await rows.find_unique_or_raise(where={"id": left.id})).leftAt is None
    assert (await rows.find_unique_or_raise(where={"id": elsewhere.id})).isActive

    outside = await server.get(f"/api/rooms/code/{room['code']}")
    assert (outside.status, outside.body["isActive"]) == (200, False)


async def test_ending_a_room_again_changes_nothing(server: Server) -> None:
    _, token = await server.account()
    room = await server.room(token)
    first = await server.delete(f"/api/rooms/{room['id']}", token)
    again = await server.delete(f"/api/rooms/{room['id']}", token)
    assert (again.status, again.body["endedAt"]) == (200, first.body["endedAt"])
    assert again.body["isActive"] is False
