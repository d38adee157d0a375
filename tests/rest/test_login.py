"""`POST /api/auth/login`: hashes and addresses as the former server left them, and nothing told to strangers."""

from __future__ import annotations

import asyncio

import bcrypt
import pytest

from neuron_meet.auth.service import REFUSAL_SECONDS
from tests.rest.former import FORMER_HASH, insert_user
from tests.rest.server import Server, new_email
from tests.rest.shapes import JWT, error

PASSWORD = "correct horse"
WRONG = error(401, "Invalid credentials")


async def test_login(server: Server) -> None:
    body = {"email": new_email(), "password": PASSWORD, "displayName": "Ada Lovelace"}
    registered = (await server.post("/api/auth/register", body)).body["user"]
    for email in (body["email"], body["email"].upper()):
        answer = await server.post("/api/auth/login", {"email": email, "password": PASSWORD})
        assert answer.status == 201
        assert answer.body == {
            "user": {
                "id": registered["id"],
                "email": body["email"],
                "displayName": "Ada Lovelace",
                "avatarUrl": None,
                "createdAt": registered["createdAt"],
            },
            "accessToken": JWT,
        }
        me = await server.get("/api/auth/me", answer.body["accessToken"])
        assert (me.status, me.body) == (200, registered)


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
async def test_login_with_a_hash_of_the_former_server(server: Server, prefix: str) -> None:
    email = new_email()
    await insert_user(server.database, email, prefix + FORMER_HASH[4:])
    login = {"email": email, "password": "from the former server"}
    assert (await server.post("/api/auth/login", login)).status == 201
    assert (await server.post("/api/auth/login", login | {"password": PASSWORD})).body == WRONG


async def test_login_in_another_casing_than_the_former_server_stored(server: Server) -> None:
    email = new_email()
    stored = email.title()
    user_id = await insert_user(server.database, stored)
    for spelling in (stored, email, email.upper()):
        answer = await server.post(
            "/api/auth/login", {"email": spelling, "password": "from the former server"}
        )
        assert answer.status == 201, answer
        assert (answer.body["user"]["id"], answer.body["user"]["email"]) == (user_id, stored)
        wrong = await server.post("/api/auth/login", {"email": spelling, "password": PASSWORD})
        assert (wrong.status, wrong.body) == (401, WRONG)


async def test_login_where_the_former_server_stored_two_casings(server: Server) -> None:
    """Each of the two gets in by its own spelling."""
    email = new_email()
    lower = await insert_user(server.database, email)
    upper = await insert_user(server.database, email.upper())
    for spelling, user_id in ((email, lower), (email.upper(), upper), (email.title(), lower)):
        answer = await server.post(
            "/api/auth/login", {"email": spelling, "password": "from the former server"}
        )
        assert answer.body["user"]["id"] == user_id, spelling


async def test_login_takes_no_patterns(server: Server) -> None:
    """The look-up in any casing is ILIKE underneath."""
    email = new_email()
    await insert_user(server.database, email.title())
    for text in ("_" + email[1:], "%@example.com", email.replace("@", "%@"), "\\" + email, email + "\\"):
        answer = await server.post("/api/auth/login", {"email": text, "password": "from the former server"})
        assert (answer.status, answer.body) == (401, WRONG), text


async def test_login_with_an_address_that_looks_like_a_pattern(server: Server) -> None:
    unique = new_email()
    await insert_user(server.database, f"First_Last%{unique}")
    login = {"email": f"first_last%{unique}", "password": "from the former server"}
    assert (await server.post("/api/auth/login", login)).status == 201
    login["email"] = f"firstxlast%{unique}"
    assert (await server.post("/api/auth/login", login)).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "nobody@example.com", "password": ""},
        {"email": "nobody@intranet", "password": "x" * 4000},
    ],
)
async def test_login_of_nobody(server: Server, body: dict[str, str]) -> None:
    answer = await server.post("/api/auth/login", body)
    assert (answer.status, answer.body) == (401, WRONG)
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ({"email": "nobody", "password": "x"}, ["email must be an email"]),
        (
            {"email": None, "password": 5, "x": 1},
            [
                "property x should not exist",
                "email must be an email",
                "password must be shorter than or equal to 4096 characters",
                "password must be a string",
            ],
        ),
    ],
)
async def test_login_with_something_else(server: Server, body: object, sentences: list[str]) -> None:
    answer = await server.post("/api/auth/login", body)
    assert (answer.status, answer.body) == (400, error(400, sentences))


async def test_login_takes_one_hash_of_time_whoever_asks(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in hashes rather than in milliseconds, which other tests on this machine would disturb."""
    costs: list[bytes] = []

    def counting(password: bytes, hashed: bytes) -> bool:
        costs.append(hashed[:7])
        return real(password, hashed)

    real = bcrypt.checkpw
    known = {"email": new_email(), "password": PASSWORD, "displayName": "Ada Lovelace"}
    await server.post("/api/auth/register", known)
    monkeypatch.setattr(bcrypt, "checkpw", counting)
    for email in (known["email"], new_email()):
        costs.clear()
        answer = await server.post("/api/auth/login", {"email": email, "password": "wrong horse"})
        assert (answer.status, answer.body) == (401, WRONG)
        assert costs == [b"$2b$10$"]


async def test_no_login_is_refused_sooner_than_another(server: Server) -> None:
    """A floor under the time, however the address was looked for."""
    clock = asyncio.get_running_loop().time
    known, other_casing = new_email(), new_email()
    await insert_user(server.database, known)
    await insert_user(server.database, other_casing.title())
    for email in (known, other_casing, new_email()):
        begun = clock()
        answer = await server.post("/api/auth/login", {"email": email, "password": "wrong horse"})
        assert (answer.status, answer.body) == (401, WRONG)
        assert clock() - begun >= REFUSAL_SECONDS


async def test_login_with_a_stored_hash_that_is_none(server: Server) -> None:
    email = new_email()
    await insert_user(server.database, email, "not a hash")
    answer = await server.post("/api/auth/login", {"email": email, "password": "not a hash"})
    assert (answer.status, answer.body) == (401, WRONG)
