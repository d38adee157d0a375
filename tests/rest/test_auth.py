"""`/api/auth`: registration, `me`, and every route that needs an account. Login has a file of its own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import bcrypt
import jwt
import pytest

from tests.rest.former import FORMER_HASH, FORMER_TOKEN, FORMER_USER, insert_user
from tests.rest.server import SECRET, Server, new_email
from tests.rest.shapes import ID, JWT, TIME, UNAUTHORIZED, error

PASSWORD = "correct horse"


def registration(**changes: Any) -> dict[str, Any]:
    return {"email": new_email(), "password": PASSWORD, "displayName": "Ada Lovelace"} | changes


async def test_register(server: Server) -> None:
    body = registration()
    answer = await server.post("/api/auth/register", body)
    assert answer.status == 201
    assert answer.body == {
        "user": {
            "id": ID,
            "email": body["email"],
            "name": "Ada Lovelace",
            "displayName": "Ada Lovelace",
            "avatarUrl": None,
            "createdAt": TIME,
        },
        "accessToken": JWT,
    }
    claims = jwt.decode(answer.body["accessToken"], SECRET, ["HS256"])
    assert claims == {
        "sub": answer.body["user"]["id"],
        "email": body["email"],
        "iat": claims["iat"],
        "exp": claims["iat"] + 7 * 86400,
    }
    row = await server.database.prisma.user.find_unique_or_raise(where={"email": body["email"]})
    assert row.password.startswith("$2b$10$")
    assert bcrypt.checkpw(PASSWORD.encode(), row.password.encode())


async def test_register_stores_the_address_in_lower_case(server: Server) -> None:
    email = new_email()
    answer = await server.post("/api/auth/register", registration(email=email.upper()))
    assert answer.status == 201
    assert answer.body["user"]["email"] == email


async def test_register_lists_every_violation(server: Server) -> None:
    answer = await server.post("/api/auth/register", {"email": "x", "password": "short", "foo": 1})
    assert answer.status == 400
    assert answer.body == error(
        400,
        [
            "property foo should not exist",
            "email must be an email",
            "password must be longer than or equal to 8 characters",
            "displayName must be shorter than or equal to 50 characters",
            "displayName must be longer than or equal to 2 characters",
            "displayName must be a string",
        ],
    )


async def test_register_refuses_a_password_that_bcrypt_would_cut(server: Server) -> None:
    answer = await server.post("/api/auth/register", registration(password="ü" * 37))
    assert answer.status == 400
    assert answer.body == error(400, ["password must not be longer than 72 bytes in UTF-8"])


async def test_register_an_address_that_is_taken(server: Server) -> None:
    body = registration()
    assert (await server.post("/api/auth/register", body)).status == 201
    for email in (body["email"], body["email"].upper()):
        answer = await server.post("/api/auth/register", registration(email=email))
        assert (answer.status, answer.body) == (409, error(409, "Email already registered"))


async def test_register_an_address_that_the_former_server_stored_in_another_casing(server: Server) -> None:
    email = new_email()
    await insert_user(server.database, email.title())
    answer = await server.post("/api/auth/register", registration(email=email))
    assert (answer.status, answer.body) == (409, error(409, "Email already registered"))


async def test_racing_registrations_of_one_address(server: Server) -> None:
    email = new_email()
    spellings = [email, email.upper(), email.title(), email, email]
    answers = await asyncio.gather(
        *(server.post("/api/auth/register", registration(email=spelling)) for spelling in spellings)
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    assert all(
        answer.body == error(409, "Email already registered") for answer in answers if answer.status == 409
    )
    rows = await server.database.prisma.user.count(where={"email": {"equals": email, "mode": "insensitive"}})
    assert rows == 1


async def test_me_with_a_token_of_the_former_server(server: Server) -> None:
    await server.database.prisma.user.create(
        data={"id": FORMER_USER, "email": "ada@example.com", "name": "Ada Lovelace", "password": FORMER_HASH}
    )
    answer = await server.get("/api/auth/me", FORMER_TOKEN)
    assert answer.status == 200
    assert answer.body == {
        "id": FORMER_USER,
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "displayName": None,
        "avatarUrl": None,
        "createdAt": TIME,
    }
    scheme_in_lower_case = {"Authorization": f"bearer  {FORMER_TOKEN}"}
    assert (await server.call("GET", "/api/auth/me", headers=scheme_in_lower_case)).status == 200


def expired(sub: str) -> str:
    return jwt.encode({"sub": sub, "exp": int(time.time()) - 1}, SECRET, "HS256")


BEARER_ROUTES = [
    ("GET", "/api/auth/me"),
    ("GET", "/api/users/me/rooms"),
    ("GET", "/api/users/someone"),
    ("PATCH", "/api/users/me"),
    ("POST", "/api/rooms"),
    ("GET", "/api/rooms/some-id"),
    ("PATCH", "/api/rooms/some-id/settings"),
    ("DELETE", "/api/rooms/some-id"),
    ("GET", "/api/rooms/some-id/participants"),
    ("GET", "/api/rooms/some-id/messages"),
]


@pytest.mark.parametrize(("method", "path"), BEARER_ROUTES)
async def test_routes_that_need_an_account(server: Server, method: str, path: str) -> None:
    """401 comes before 400: a stranger learns nothing about bodies."""
    account, token = await server.account()
    await server.database.prisma.user.delete(where={"id": account.id})
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        token,
        "Bearer x.y.z",
        f"Bearer {token}x",
        f"Bearer {expired(account.id)}",
        f"Bearer {token}",  # a good one, but its account is gone
    ):
        headers = {} if header is None else {"Authorization": header}
        answer = await server.call(method, path, headers=headers, data=b"not json")
        assert (answer.status, answer.body) == (401, UNAUTHORIZED), header
        assert answer.headers["www-authenticate"] == "Bearer"
