"""`/api/users`: profiles, and the rooms of the account that calls."""

from __future__ import annotations

import pytest

from tests.rest.server import Server
from tests.rest.shapes import TIME, error


async def test_a_profile_shows_its_address_to_itself_only(server: Server) -> None:
    ada, ada_token = await server.account("Ada")
    _, grace_token = await server.account("Grace")
    public = {"id": ada.id, "displayName": "Ada", "avatarUrl": None, "createdAt": TIME}
    answer = await server.get(f"/api/users/{ada.id}", grace_token)
    assert (answer.status, answer.body) == (200, public)
    answer = await server.get(f"/api/users/{ada.id}", ada_token)
    assert (answer.status, answer.body) == (200, public | {"email": ada.email})


@pytest.mark.parametrize("user_id", ["nobody", "me", "%00", "a%00b", "%F0%9F%90%B4", "%ED%A0%80", "x" * 2000])
async def test_a_profile_that_is_not_there(server: Server, user_id: str) -> None:
    _, token = await server.account()
    answer = await server.get(f"/api/users/{user_id}", token)
    assert (answer.status, answer.body) == (404, error(404, "User not found"))


async def test_change_a_profile(server: Server) -> None:
    ada, token = await server.account("Ada")
    expected = {
        "id": ada.id,
        "email": ada.email,
        "displayName": "Countess Lovelace",
        "avatarUrl": None,
        "createdAt": TIME,
    }
    answer = await server.patch("/api/users/me", {"displayName": " Countess  Lovelace "}, token)
    assert (answer.status, answer.body) == (200, expected)

    picture = {"avatarUrl": "https://example.com/ada.png"}
    answer = await server.patch("/api/users/me", picture, token)
    assert (answer.status, answer.body) == (200, expected | picture)

    answer = await server.patch("/api/users/me", {}, token)
    assert (answer.status, answer.body) == (200, expected | picture)

    answer = await server.patch("/api/users/me", {"displayName": None, "avatarUrl": None}, token)
    assert (answer.status, answer.body) == (200, expected)
    assert (await server.get("/api/auth/me", token)).body == expected | {"name": "Ada"}


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ({"displayName": "A"}, ["displayName must be longer than or equal to 2 characters"]),
        ({"avatarUrl": "javascript:alert(1)"}, ["avatarUrl must be a URL address"]),
        (
            {"email": "new@example.com", "password": "x", "id": "y"},
            [f"property {name} should not exist" for name in ("email", "password", "id")],
        ),
    ],
)
async def test_change_a_profile_wrongly(server: Server, body: object, sentences: list[str]) -> None:
    ada, token = await server.account("Ada")
    answer = await server.patch("/api/users/me", body, token)
    assert (answer.status, answer.body) == (400, error(400, sentences))
    assert (await server.get(f"/api/users/{ada.id}", token)).body["displayName"] == "Ada"


async def test_my_rooms_are_those_hosted_or_attended_each_once(server: Server) -> None:
    ada, ada_token = await server.account("Ada")
    _, grace_token = await server.account("Grace")
    hosted = await server.room(ada_token, name="hosted")
    attended = await server.room(grace_token, name="attended")
    await server.room(grace_token, name="neither")
    for room in (hosted, attended, attended):  # twice in one of them, and long gone from it
        await server.database.prisma.participant.create(
            data={"roomId": room["id"], "userId": ada.id, "isActive": False}
        )
    answer = await server.get("/api/users/me/rooms", ada_token)
    assert answer.status == 200
    assert answer.body == [attended, hosted]
    assert [room["host"]["displayName"] for room in answer.body] == ["Grace", "Ada"]


async def test_my_rooms_are_the_twenty_newest(server: Server) -> None:
    _, token = await server.account()
    assert (await server.get("/api/users/me/rooms", token)).body == []
    made = [(await server.room(token, name=f"room {number}"))["name"] for number in range(22)]
    listed = [room["name"] for room in (await server.get("/api/users/me/rooms", token)).body]
    assert listed == made[:1:-1]
