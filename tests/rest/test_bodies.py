"""Requests that are no good, and what every answer has in common."""

from __future__ import annotations

import asyncio
import json

import pytest

import neuron_meet.rest.validation
from neuron_meet.store.users import Users
from tests.rest.server import Server, new_email
from tests.rest.shapes import error

REGISTER = "/api/auth/register"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"not json",
        b"{'email': 1}",
        b'{"email": NaN}',
        b'{"email": Infinity}',
        b"email=ada%40example.com",
        b'{"email": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 50_000,
        b'{"maxParticipants": ' + b"9" * 50_000 + b"}",
    ],
)
async def test_a_body_that_is_not_json(server: Server, raw: bytes) -> None:
    answer = await server.call("POST", REGISTER, data=raw)
    assert (answer.status, answer.body) == (400, error(400, "The request body is not valid JSON"))


@pytest.mark.parametrize("value", [[], [{}], "text", 5, True, None])
async def test_a_body_that_is_not_an_object(server: Server, value: object) -> None:
    answer = await server.call("POST", REGISTER, data=json.dumps(value))
    assert (answer.status, answer.body) == (400, error(400, "The request body must be a JSON object"))


@pytest.mark.parametrize("raw", [b"", b"  \n", b"{}"])
async def test_a_body_with_nothing_in_it(server: Server, raw: bytes) -> None:
    answer = await server.call("POST", "/api/auth/login", data=raw)
    assert answer.status == 400
    assert answer.body["message"][0] == "email must be an email"
    assert answer.body["error"] == "Bad Request"


async def test_a_body_that_is_too_large(server: Server) -> None:
    fits = json.dumps({"x" * (100 * 1024 - 20): 1}).encode()
    assert (await server.call("POST", REGISTER, data=fits)).status == 400
    answer = await server.call("POST", REGISTER, data=b" " * (100 * 1024 + 1))
    assert (answer.status, answer.body) == (413, error(413, "request entity too large"))


async def test_a_body_that_does_not_come(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuron_meet.rest.validation, "BODY_DEADLINE_SECONDS", 0.05)
    url = server.session._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(f"POST {REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 408 ")
        body = await asyncio.wait_for(reader.readuntil(b"}"), 30)
        assert json.loads(body) == error(408, "The request body did not arrive in time")
    finally:
        writer.close()
        await writer.wait_closed()


async def test_text_that_the_database_cannot_hold(server: Server) -> None:
    _, token = await server.account()
    answer = await server.call("POST", "/api/rooms", token=token, data=b'{"name": "a\\u0000b"}')
    assert (answer.status, answer.body) == (400, error(400, ["name must not contain NUL characters"]))
    answer = await server.call("POST", "/api/rooms", token=token, data=b'{"name": "a\\ud800b", "\\udc00": 1}')
    sentences = ["property \udc00 should not exist", "name must be well-formed Unicode text"]
    assert (answer.status, answer.body) == (400, error(400, sentences))


async def test_text_comes_back_as_it_was_sent(server: Server) -> None:
    _, token = await server.account()
    for name in (
        '"quoted" \\back\\slash\\',
        "🐴 ünï",
        "${jndi:x}",
        '\'; DROP TABLE "User"; --',
        "{field} %s {0}",
    ):
        assert (await server.room(token, name=name))["name"] == name


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nothing"),
        ("GET", "/api/nothing?x=1&y=%20"),
        ("POST", "/api/rooms/code/abc-def-ghi"),
        ("PUT", "/api/rooms"),
        ("DELETE", "/api"),
        ("PATCH", "/api/auth/login"),
        ("OPTIONS", "/api/rooms"),
        ("GET", "/api/rooms/code/a/b/c"),
        ("GET", "/nothing"),
        ("GET", "/socket.io/nothing-else"),
    ],
)
async def test_paths_and_methods_that_are_not_there(server: Server, method: str, path: str) -> None:
    if path.startswith("/socket.io/"):
        assert (await server.call(method, path)).status == 404
        return
    answer = await server.call(method, path)
    assert (answer.status, answer.body) == (404, error(404, f"Cannot {method} {path}"))


async def test_head_is_get_without_a_body(server: Server) -> None:
    answer = await server.call("HEAD", "/api/health")
    assert (answer.status, answer.body) == (200, "")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_an_error_that_nobody_foresaw(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """500 without a word about it; the log says what and where, not with which data."""

    async def broken(_self: object, _email: str) -> None:
        raise RuntimeError(f"cannot handle {email}")

    email = new_email()
    monkeypatch.setattr(Users, "credentials", broken)
    answer = await server.post("/api/auth/login", {"email": email, "password": "a password"})
    assert answer.status == 500
    assert answer.body == {"message": "Internal server error", "statusCode": 500}
    logged = capsys.readouterr().out
    assert "RuntimeError" in logged
    assert "/api/auth/login" in logged
    assert email not in logged
    assert "a password" not in logged


async def test_no_answer_holds_a_hash(server: Server) -> None:
    body = {"email": new_email(), "password": "correct horse", "displayName": "Ada"}
    registered = await server.post(REGISTER, body)
    token, user_id = registered.body["accessToken"], registered.body["user"]["id"]
    room = await server.post("/api/rooms", {}, token)
    room_path = f"/api/rooms/{room.body['id']}"
    await server.database.prisma.participant.create(data={"roomId": room.body["id"], "userId": user_id})
    await server.database.prisma.message.create(
        data={"roomId": room.body["id"], "userId": user_id, "content": "hello"}
    )
    answers = [
        registered,
        room,
        await server.post("/api/auth/login", {name: body[name] for name in ("email", "password")}),
        await server.get("/api/auth/me", token),
        await server.get(f"/api/users/{user_id}", token),
        await server.patch("/api/users/me", {"displayName": "Countess"}, token),
        await server.get("/api/users/me/rooms", token),
        await server.get(room_path, token),
        await server.get(f"/api/rooms/code/{room.body['code']}"),
        await server.patch(f"{room_path}/settings", {"allowChat": False}, token),
        await server.get(f"{room_path}/participants", token),
        await server.get(f"{room_path}/messages", token),
        await server.delete(room_path, token),
    ]
    for answer in answers:
        assert answer.status in (200, 201)
        assert "$2b$" not in json.dumps(answer.body)
        assert "password" not in json.dumps(answer.body)


async def test_headers_of_every_answer(server: Server) -> None:
    for answer in (
        await server.get("/api/health"),
        await server.get("/api/nothing"),
        await server.get("/api/auth/me"),
        await server.post(REGISTER, {}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
