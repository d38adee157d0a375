"""Requests that are none, at every address: answered in the shape of all errors, without an echo and versions."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import structlog.testing

from neuron_meet.app import Server, running
from tests.rest.raw import ANSWER_SECONDS, exchange_at
from tests.wire.meeting import settings_for

MARK = "eyJhbGciOi-mark-of-a-token"
"""Stands where a token would, or a password: in what is too long, malformed or not expected."""
CLOSE = "Host: meet.example\r\nConnection: close\r\n"
JSON = f"{CLOSE}Content-Type: application/json\r\n"
BESIDES = {"admin refused", "event loop stalled", "socket connected", "socket disconnected"}
"""Lines of log that are no complaint. Sockets of earlier tests may end in any of these."""


@dataclass(frozen=True)
class Case:
    """Bytes that are sent, and the statuses that may be answered."""

    sent: bytes
    status: set[int]


def case(text: str, *status: int) -> Case:
    return Case(text.encode("latin-1"), set(status))


LONG = f"{MARK}{'x' * 33_000}"

CASES: dict[str, Case] = {
    "no HTTP": case(f"{MARK}\r\n\r\n", 400),
    "TLS": Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK.encode() + b"\r\n\r\n", {400}),
    "HTTP/0.9": case("GET /api/nowhere\r\n\r\n", 404),
    "HTTP/9.9": case(f"GET / HTTP/9.9\r\nCookie: {MARK}\r\n{CLOSE}\r\n", 400),
    "HTTP/2's preface": case(f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{MARK}", 400),
    "no host": case(f"GET /api/health HTTP/1.1\r\nCookie: {MARK}\r\n\r\n", 400),
    "two hosts": case(f"GET /api/health HTTP/1.1\r\nHost: {MARK}\r\n{CLOSE}\r\n", 400),
    "a method of two words": case(f"GET {MARK} /api/health HTTP/1.1\r\n{CLOSE}\r\n", 400),
    "a header without a name": case(f"GET / HTTP/1.1\r\n: {MARK}\r\n{CLOSE}\r\n", 400),
    "a header with a blank in its name": case(f"GET / HTTP/1.1\r\nCo okie: {MARK}\r\n{CLOSE}\r\n", 400),
    "a header with NUL": case(f"GET / HTTP/1.1\r\nCookie: {MARK}\0\r\n{CLOSE}\r\n", 400),
    "a folded header": case(f"GET / HTTP/1.1\r\nCookie: a\r\n {MARK}\r\n{CLOSE}\r\n", 400),
    "a cookie that is too long": case(f"GET / HTTP/1.1\r\nCookie: {LONG}\r\n{CLOSE}\r\n", 431),
    "a header's name that is too long": case(f"GET / HTTP/1.1\r\n{LONG}: x\r\n{CLOSE}\r\n", 431),
    "too many headers": case(
        "GET / HTTP/1.1\r\n" + "".join(f"X-{n}: {MARK}\r\n" for n in range(200)) + f"{CLOSE}\r\n", 431
    ),
    "an address that is too long": case(f"GET /{LONG} HTTP/1.1\r\n{CLOSE}\r\n", 414),
    "a query that is too long": case(f"GET /socket.io/?EIO=4&sid={LONG} HTTP/1.1\r\n{CLOSE}\r\n", 414),
    "an address that is none": case(f"GET http://[{MARK} HTTP/1.1\r\n{CLOSE}\r\n", 400),
    "an address with a port that is none": case(f"GET http://x:{MARK}/ HTTP/1.1\r\n{CLOSE}\r\n", 400),
    "CONNECT": case(f"CONNECT meet.example:443 HTTP/1.1\r\n{CLOSE}\r\n", 400, 404),
    "a length that is no number": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Length: {MARK}\r\n{JSON}\r\n", 400
    ),
    "a negative length": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Length: -1\r\n{JSON}\r\n{MARK}", 400
    ),
    "two lengths": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n{JSON}\r\n{MARK}", 400
    ),
    "length and chunks": case(
        "POST /api/auth/login HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        f"{JSON}\r\n0\r\n\r\n{MARK}",
        400,
    ),
    "an encoding that nobody knows": case(
        f"POST /api/auth/login HTTP/1.1\r\nTransfer-Encoding: {MARK}\r\n{JSON}\r\n", 400
    ),
    "chunks that are none": case(
        f"POST /api/auth/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n{MARK}\r\n", 400
    ),
    "chunks that are none, to Socket.IO": case(
        f"POST /socket.io/?EIO=4 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n{MARK}\r\n", 400, 404
    ),
    "no length": case(f"POST /api/auth/login HTTP/1.1\r\n{JSON}\r\n", 400, 404),
    "a body that is too large": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Length: 200000\r\n{JSON}\r\n" + MARK * 8000, 413, 404
    ),
    "a body that is not compressed as it says": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {len(MARK)}\r\n{JSON}\r\n{MARK}",
        400,
        404,
    ),
    "a body that is not deflated": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Encoding: deflate\r\nContent-Length: 2\r\n{JSON}\r\n{{}}",
        400,
        404,
    ),
    "a body of brotli, which it is not": case(
        f"POST /api/auth/login HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 2\r\n{JSON}\r\n{{}}",
        400,
        404,
    ),
    "a character set that nobody knows": case(
        "POST /api/auth/login HTTP/1.1\r\nContent-Length: 2\r\n"
        f"{CLOSE}Content-Type: application/json; charset={MARK}\r\n\r\n{{}}",
        400,
        404,
    ),
    "expects too much of a path that is none": case(
        f"GET /api/nowhere HTTP/1.1\r\nExpect: {MARK}\r\n{CLOSE}\r\n", 417
    ),
    "expects too much of Socket.IO": case(f"GET /socket.io/ HTTP/1.1\r\nExpect: {MARK}\r\n{CLOSE}\r\n", 417),
    "a path that is none": case(f"GET /api/nowhere HTTP/1.1\r\nCookie: {MARK}\r\n{CLOSE}\r\n", 404),
    "a path of bytes": case(f"GET /api/%ff%00\xe4 HTTP/1.1\r\nCookie: {MARK}\r\n{CLOSE}\r\n", 400, 404),
    "a method that Socket.IO has not": case(
        f"PUT /socket.io/ HTTP/1.1\r\nCookie: {MARK}\r\n{CLOSE}\r\n", 400, 404
    ),
    "a method that REST has not": case(f"PUT /api/health HTTP/1.1\r\nCookie: {MARK}\r\n{CLOSE}\r\n", 404),
    "a method of one's own": case(f"{MARK.upper()} / HTTP/1.1\r\n{CLOSE}\r\n", 400, 404),
    "a range that is none": case(f"GET /assets/page.js HTTP/1.1\r\nRange: {MARK}\r\n{CLOSE}\r\n", 404, 416),
    "an upgrade to what nobody speaks": case(
        f"GET /api/nowhere HTTP/1.1\r\nUpgrade: {MARK}\r\nHost: x\r\nConnection: upgrade, close\r\n\r\n{MARK}",
        404,
        400,
    ),
}
"""401 counts as 404 at the admin address, which asks for its token first."""


@pytest.fixture(scope="module")
async def whole(shared_database: str) -> AsyncIterator[Server]:
    """A whole server with an admin address."""
    settings = settings_for(admin_port=0, admin_token="t" * 32)
    async with running(settings, shared_database) as server:
        yield server


@pytest.mark.parametrize("at", ["public", "admin"])
@pytest.mark.parametrize("name", CASES)
async def test_malformed_requests(
    whole: Server, name: str, at: Literal["public", "admin"], caplog: pytest.LogCaptureFixture
) -> None:
    url = whole.url if at == "public" else whole.admin_url
    assert url is not None
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.DEBUG):
        head, body = await exchange_at(url, CASES[name].sent)
    status = int(head.split(" ")[1])
    allowed = CASES[name].status | ({401} if at == "admin" and 404 in CASES[name].status else set[int]())
    assert status in allowed, (head, body)
    said = json.loads(body)
    if said.keys() != {"code", "message"}:  # Engine.IO's own, as Node's says it
        assert said["statusCode"] == status
        assert said.keys() - {"error"} == {"message", "statusCode"}
        assert status == 401 or said["error"]
    for word in (MARK, MARK.upper(), "aiohttp", "python", "\r\nserver:", "traceback"):
        assert word.lower() not in f"{head}\r\n\r\n{body}".lower()
    assert "content-type: application/json" in head.lower()
    assert {line["event"] for line in logged} <= BESIDES
    assert MARK not in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_exception_of_socket_io(whole: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No middleware of ours is around its path."""

    async def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError(MARK)

    monkeypatch.setattr(whole.sockets.eio, "_refuse_connection", broken)
    request = f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nAccept: text/html\r\n{CLOSE}\r\n".encode()
    with structlog.testing.capture_logs() as logged:
        head, body = await exchange_at(whole.url, request)
        for _ in range(20):
            assert (await exchange_at(whole.url, request))[1] == body
    assert head.startswith("HTTP/1.1 500 ")
    assert json.loads(body) == {"message": "Internal server error", "statusCode": 500}
    assert "\r\nserver:" not in head.lower()
    assert [(line["event"], line["error"]) for line in logged if "error" in line] == [
        ("request.failed", "ZeroDivisionError")
    ]
    assert MARK not in str(logged)


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /socket.io/?EIO=4&transport=polling",
        "GET /socket.io/?EIO=3",
        "POST /socket.io/?EIO=4&sid=nobody",
        "OPTIONS /socket.io/",
        "GET /",
        "GET /api/health",
        "GET /assets/page.js",
    ],
)
async def test_answers_name_no_software(whole: Server, request_line: str) -> None:
    head, _ = await exchange_at(whole.url, f"{request_line} HTTP/1.1\r\n{CLOSE}\r\n".encode())
    assert "\r\nserver:" not in head.lower()
    assert "python" not in head.lower()


ORIGINS = [
    "http://[evil",
    "http://]",
    "http://[::1",
    "http://x:port",
    "http://\u2100.example",
    "//[",
    "null",
    "http://",
]


@pytest.fixture(scope="module")
async def strict(shared_database: str) -> AsyncIterator[Server]:
    """A server that asks where a page is from."""
    settings = settings_for(node_env="production", cors_origins=("https://meet.example",), host="127.0.0.1")
    async with running(settings, shared_database) as server:
        yield server


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(
    "path", ["/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket", "/api/health"]
)
async def test_origins_that_are_none(strict: Server, origin: str, path: str) -> None:
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost: meet.example\r\n"
    )
    rest = upgrade if "websocket" in path else CLOSE
    sent = f"GET {path} HTTP/1.1\r\nOrigin: {origin}\r\n{rest}\r\n".encode()
    with structlog.testing.capture_logs() as logged:
        head = await first_line(strict.url, sent)
    assert head.split(" ")[1] == ("200" if path.startswith("/api") else "400"), head
    assert {line["event"] for line in logged} <= BESIDES


async def first_line(url: str, request: bytes) -> str:
    """The beginning of an answer; a connection that is refused a websocket stays open."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(request)
        return (await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)).decode()
    finally:
        writer.close()


def test_what_fails_otherwise_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """By aiohttp's own connections, where this server is mounted into another application."""
    logging.getLogger("aiohttp.server").error("Unhandled exception", exc_info=RuntimeError("x"))
    logging.getLogger("aiohttp.server").error("something else")
    assert [record.message for record in caplog.records] == ["Unhandled exception", "something else"]


@pytest.mark.parametrize("ending", ["reset", "closed"])
@pytest.mark.parametrize(
    ("at", "path"),
    [
        ("public", "POST /api/auth/register"),
        ("public", "POST /socket.io/?EIO=4&transport=polling&sid={sid}"),
        ("public", "POST /api/nowhere"),
        ("admin", "PUT /log-level"),
    ],
)
async def test_bodies_that_break_off_are_nobodys_failure(
    whole: Server, at: Literal["public", "admin"], path: str, ending: str
) -> None:
    """Anybody can send half a request at will: it is no error of the server's, and writes no line."""
    url = whole.url if at == "public" else whole.admin_url
    assert url is not None
    _, opened = await exchange_at(
        whole.url, f"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n{CLOSE}\r\n".encode()
    )
    sid = json.loads(opened[1:])["sid"]
    line, post = path.format(sid=sid), f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n"
    place = urlsplit(url)
    token = f"Authorization: Bearer {'t' * 32}\r\n" if at == "admin" else ""
    with structlog.testing.capture_logs() as logged:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        # It is answered in the middle, so it is certain that the body is being read.
        head = f"{line} HTTP/1.1\r\nHost: x\r\n{token}Content-Type: application/json\r\nContent-Length: 9\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)).split()[1] in (b"100", b"404")
        writer.write(b'{"e')
        if ending == "reset":
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()
        for _ in range(5):  # others are served, so it has been noticed
            await exchange_at(url, f"GET /api/nowhere HTTP/1.1\r\n{CLOSE}\r\n".encode())
        await exchange_at(whole.url, f"{post}{CLOSE}Content-Length: 1\r\n\r\n1".encode())  # the session ends
    assert {each["event"] for each in logged} <= BESIDES
