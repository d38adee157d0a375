"""The attack walk over REST: what an attacker tries, and what they see. Limits are the defaults."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from neuron_meet.auth.service import REFUSAL_SECONDS
from neuron_meet.store.client import Database
from tests.rest.server import Answer, Server, coming_from, new_email, serving
from tests.rest.shapes import UNAUTHORIZED, error

PASSWORD = "correct horse"
HOME = "127.0.0.10"
WRONG = error(401, "Invalid credentials")
TOO_MANY = error(429, "Too many requests")
NOT_FOUND = error(404, "Room not found")


@pytest.fixture
async def defended(database: Database) -> AsyncIterator[Server]:
    """A server with all limits as they are by default."""
    async with serving(database, rate_limit_enabled=True) as running:
        yield running


async def login(server: Server, email: str, password: str) -> Answer:
    return await server.post("/api/auth/login", {"email": email, "password": password})


@pytest.mark.parametrize("registered", [True, False])
async def test_brute_force_of_a_login(defended: Server, registered: bool) -> None:
    """Ten wrong passwords, then 429 for five minutes, from wherever; the owner still gets in at home.

    The arithmetic: 10 tries in 5 minutes are 2,880 a day, or 1,051,200 a year, for one account and however
    many addresses. A password of eight random lower-case letters is one of 26^8 = 2.1e11: half of them take
    99,000 years. One that stands among the 1,000 most common falls within 9 hours: against those, only a
    better password helps. Trying one password on many accounts, an address has 30 tries a minute.
    An address that nobody registered looks the same, so the 429 does not tell which accounts exist.
    """
    email = new_email()
    if registered:
        body = {"email": email, "password": PASSWORD, "displayName": "Ada"}
        async with coming_from(defended, HOME) as at_home:
            assert (await at_home.post("/api/auth/register", body)).status == 201
            assert (await login(at_home, email, PASSWORD)).status == 201

    # All at once: counted before they are decided, so no race lets an eleventh through.
    guesses = await asyncio.gather(*(login(defended, email, f"guess {number}") for number in range(25)))
    assert Counter(answer.status for answer in guesses) == {401: 10, 429: 15}
    assert all(answer.body == (WRONG if answer.status == 401 else TOO_MANY) for answer in guesses)

    answer = await login(defended, email.upper(), PASSWORD)
    assert (answer.status, answer.body) == (429, TOO_MANY), "the right password is not even looked at"
    assert 290 <= int(answer.headers["retry-after"]) <= 300
    async with coming_from(defended, "127.0.0.11") as another_place:
        assert (await login(another_place, email, PASSWORD)).status == 429
    async with coming_from(defended, HOME) as at_home:
        assert (await login(at_home, email, PASSWORD)).status == (201 if registered else 429)


async def test_spraying_one_password_over_many_accounts(defended: Server) -> None:
    answers = [await login(defended, new_email(), "") for _ in range(3)]
    answers += await asyncio.gather(*(login(defended, new_email(), "Password1") for _ in range(37)))
    assert Counter(answer.status for answer in answers) == {401: 30, 429: 10}


async def test_a_refusal_by_a_limit_costs_nothing(defended: Server) -> None:
    """It is faster than a refused password: neither hash nor database is touched."""
    email = new_email()
    await asyncio.gather(*(login(defended, email, "guess") for _ in range(10)))
    times: list[float] = []
    for _ in range(15):
        begun = time.perf_counter()
        assert (await login(defended, email, "guess")).status == 429
        times.append(time.perf_counter() - begun)
    assert min(times) < REFUSAL_SECONDS / 5


async def test_guessing_a_room_code(defended: Server) -> None:
    """600 guesses a minute from one address, then 429.

    The arithmetic: there are 26^9 = 5.4e12 codes. With 10,000 rooms open, one guess in 5.4e8 hits any of them;
    at 600 a minute that takes one address 1.7 years on average, and one certain room 8,600 years. Without the
    limit, at the 1,500 requests a second that a server answers, any of them would take four days.
    """
    _, token = await defended.account()
    room = await defended.room(token)
    guesses = [
        f"/api/rooms/code/aaa-{a}{b}a-aaa" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklm"
    ]
    paths = guesses + [f"{path}/participants" for path in guesses]
    seen: Counter[int] = Counter()
    for start in range(0, 650, 50):
        answers = await asyncio.gather(*(defended.get(path) for path in paths[start : start + 50]))
        seen += Counter(answer.status for answer in answers)
    assert seen[404] + seen[200] == 600
    assert seen[429] == 50
    assert (await defended.get(f"/api/rooms/code/{room['code']}")).status == 429, "a hit is not told any more"
    async with coming_from(defended, HOME) as honest:
        assert (await honest.get(f"/api/rooms/code/{room['code']}")).status == 200


async def test_a_strangers_room(defended: Server) -> None:
    """Read what was said there, see who was there, change it, lock it, empty it."""
    ada, host = await defended.account("Ada")
    mallory, token = await defended.account("Mallory")
    room = await defended.room(host, name="Ada's")
    rows = defended.database.prisma.message
    await rows.create(data={"roomId": room["id"], "userId": ada.id, "content": "a secret"})
    await defended.database.prisma.participant.create(data={"roomId": room["id"], "userId": ada.id})
    path = f"/api/rooms/{room['id']}"

    for what in ("messages", "participants", "messages?limit=200&userId=" + ada.id):
        answer = await defended.get(f"{path}/{what}", token)
        assert (answer.status, answer.body) == (404, NOT_FOUND)
        assert (await defended.get(f"{path}/{what}")).body == UNAUTHORIZED
    # A room and an attendance of one's own are no way into another's.
    own = await defended.room(token)
    await defended.database.prisma.participant.create(data={"roomId": own["id"], "userId": mallory.id})
    secret = (await defended.get(f"{path}/messages", host)).body[0]
    answer = await defended.get(f"/api/rooms/{own['id']}/messages?before={secret['id']}", token)
    assert answer.status == 400
    assert "secret" not in str(answer.body)

    for change in ({"isLocked": True}, {"maxParticipants": 2}, {}):
        answer = await defended.patch(f"{path}/settings", change, token)
        assert (answer.status, answer.body) == (403, error(403, "Only the host can update room settings"))
    answer = await defended.delete(path, token)
    assert (answer.status, answer.body) == (403, error(403, "Only the host can end the room"))
    assert (await defended.get(path, host)).body == room
    assert not defended.live.changed[room["code"]]
    assert not defended.live.over[room["code"]]


async def test_public_data_gives_no_power(defended: Server) -> None:
    """What a room's public page shows of its host (id, name) opens nothing."""
    ada, host = await defended.account("Ada")
    room = await defended.room(host)
    door = (await defended.get(f"/api/rooms/code/{room['code']}")).body
    assert door == {
        "id": room["id"],
        "code": room["code"],
        "name": room["name"],
        "isActive": True,
        "isLocked": False,
        "host": {"id": ada.id, "displayName": "Ada", "avatarUrl": None},
        "settings": {"waitingRoom": False},
    }
    _, token = await defended.account("Ada")
    for headers in (
        {"X-User-Id": ada.id},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Cookie": f"userId={ada.id}"},
    ):
        answer = await defended.call("DELETE", f"/api/rooms/{room['id']}", token=token, headers=headers)
        assert answer.status == 403
        answer = await defended.call("DELETE", f"/api/rooms/{room['id']}", headers=headers)
        assert answer.status == 401
        answer = await defended.call("GET", f"/api/rooms/{room['id']}", token=token, headers=headers)
        assert answer.body["isActive"] is True
    answer = await defended.get(f"/api/users/{ada.id}", token)
    assert set(answer.body) == {"id", "displayName", "avatarUrl", "createdAt"}


MASS_ASSIGNMENT: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", "/api/users/me", {"id": "x"}),
    ("PATCH", "/api/users/me", {"email": "taken@example.com"}),
    ("PATCH", "/api/users/me", {"password": "$2b$10$hash"}),
    ("PATCH", "/api/users/me", {"name": "Admin"}),
    ("PATCH", "/api/users/me", {"createdAt": "2000-01-01T00:00:00.000Z"}),
    ("PATCH", "/api/users/me", {"hostedRooms": {"connect": {"id": "VICTIM"}}}),
    ("PATCH", "/api/users/me", {"display_name": "Admin"}),
    ("PATCH", "/api/users/me", {"__proto__": {"isHost": True}}),
    ("POST", "/api/rooms", {"hostId": "VICTIM"}),
    ("POST", "/api/rooms", {"code": "aaa-aaa-aaa"}),
    ("POST", "/api/rooms", {"max_participants": 100}),
    ("POST", "/api/rooms", {"settings": {"create": {"maxParticipants": 100000}}}),
    ("PATCH", "/api/rooms/OWN/settings", {"roomId": "VICTIM"}),
    ("PATCH", "/api/rooms/OWN/settings", {"id": "VICTIM"}),
    ("PATCH", "/api/rooms/OWN/settings", {"hostId": "VICTIM"}),
    ("PATCH", "/api/rooms/OWN/settings", {"isActive": True}),
    ("PATCH", "/api/rooms/OWN/settings", {"room": {"connect": {"id": "VICTIM"}}}),
    ("POST", "/api/auth/register", {"id": "VICTIM", "isAdmin": True}),
]


@pytest.mark.parametrize(("method", "path", "extra"), MASS_ASSIGNMENT)
async def test_mass_assignment(server: Server, method: str, path: str, extra: dict[str, Any]) -> None:
    account, token = await server.account("Mallory")
    own = await server.room(token)
    before = await everything(server, account.id)
    body = {"email": new_email(), "password": PASSWORD, "displayName": "M"} if "register" in path else {}
    answer = await server.call(method, path.replace("OWN", own["id"]), token=token, json=body | extra)
    assert answer.status == 400
    assert answer.body["message"][0] == f"property {next(iter(extra))} should not exist"
    assert await everything(server, account.id) == before


async def everything(server: Server, account_id: str) -> str:
    """The rows of an account."""
    prisma = server.database.prisma
    user = await prisma.user.find_unique(
        where={"id": account_id}, include={"hostedRooms": {"include": {"settings": True}}}
    )
    return repr(user)


async def test_another_ones_profile(defended: Server) -> None:
    """There is no route to it: `me` is whoever the token says."""
    ada, ada_token = await defended.account("Ada")
    _, token = await defended.account("Mallory")
    for method in ("PATCH", "PUT", "POST", "DELETE"):
        answer = await defended.call(method, f"/api/users/{ada.id}", token=token, json={"displayName": "X"})
        assert (answer.status, answer.body) == (404, error(404, f"Cannot {method} /api/users/{ada.id}"))
    for path in (f"/api/users/me?id={ada.id}", f"/api/users/me?userId={ada.id}"):
        assert (await defended.patch(path, {"displayName": "Mallory II"}, token)).body["id"] != ada.id
    assert (await defended.get("/api/auth/me", ada_token)).body["displayName"] == "Ada"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "vbscript:x",
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "blob:https://example.com/x",
        "//example.com/a.png",
        "/a.png",
        "https:/example.com",
        "https://",
        "https://user:password@example.com/a.png",
        "https://example.com@evil.example/",
        'https://example.com/"onerror="alert(1)',
        "https://example.com/\\..\\x",
        "https://exa mple.com/",
        "https://example.com/\x00",
        "https://example.com/" + "a" * 2048,
    ],
)
async def test_an_avatar_that_is_no_picture_on_the_web(server: Server, url: str) -> None:
    _, token = await server.account()
    answer = await server.patch("/api/users/me", {"avatarUrl": url}, token)
    assert answer.status == 400
    assert (await server.get("/api/auth/me", token)).body["avatarUrl"] is None


async def test_a_name_that_pretends_to_be_another(server: Server) -> None:
    """Characters that nobody sees make no second Ada, and no name of nothing."""
    _, token = await server.account("Mallory")
    for typed in ("A\u200bda", "\u202eadA\u202c\u2066Ada", "Ada\u0000"):
        answer = await server.patch("/api/users/me", {"displayName": typed}, token)
        shown = answer.body.get("displayName", "")
        assert all(character.isprintable() for character in shown), typed
    for typed in ("\u200b\u200b\u200b", "\u2066\u2069\u00ad", "   "):
        assert (await server.patch("/api/users/me", {"displayName": typed}, token)).status == 400


async def test_an_ended_meeting_does_not_come_back(defended: Server) -> None:
    _, token = await defended.account()
    room = await defended.room(token)
    await defended.delete(f"/api/rooms/{room['id']}", token)
    answer = await defended.patch(f"/api/rooms/{room['id']}/settings", {"isLocked": False}, token)
    assert answer.body["isActive"] is False
    row = await defended.database.prisma.room.find_unique_or_raise(where={"id": room["id"]})
    assert not row.isActive
    assert row.endedAt is not None
    assert row.endedAt <= datetime.now(UTC)
