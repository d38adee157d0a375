"""Requests that are no HTTP: refused by aiohttp itself, and no word of them in the log."""

from __future__ import annotations

import logging

import pytest

from tests.rest.raw import exchange
from tests.rest.server import Server

SECRET_HEADER = b"Authorization: Bearer eyJhbGciOi" + b"x" * 20_000
GET = b"GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
POST = GET.replace(b"GET /api/health", b"POST /api/auth/login")


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(GET + SECRET_HEADER + b"\r\n\r\n", id="a header too long"),
        pytest.param(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", id="a path too long"),
        pytest.param(
            GET + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"\r\n", id="too many headers"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"\x16\x03\x01garbage\r\n\r\n", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", id="two lengths"),
        pytest.param(
            GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and chunks"
        ),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad chunks"),
        pytest.param(POST + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", id="brotli"),
        pytest.param(POST + b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\n{}", id="not deflated"),
        pytest.param(b"GET /api/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", id="bytes in the path"),
    ],
)
async def test_what_is_no_http_is_refused_and_not_logged(
    server: Server, request_bytes: bytes, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        answer = await exchange(server, request_bytes)
    assert answer.status == 400
    assert "Traceback" not in str(answer.body)
    assert not caplog.records
    logged = capsys.readouterr()
    assert logged.out + logged.err == ""
    assert (await server.get("/api/health")).status == 200


async def test_what_fails_otherwise_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("aiohttp.server").error("Unhandled exception", exc_info=RuntimeError("x"))
    logging.getLogger("aiohttp.server").error("something else")
    assert [record.message for record in caplog.records] == ["Unhandled exception", "something else"]
