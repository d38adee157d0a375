"""Engine.IO 4, sentence by sentence (github.com/socketio/engine.io-protocol): each test has one of them in own words.

What is not served, and what its client sees: docs/protocol.md#what-is-not-served.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from tests.security.test_half_open import CONNECT, HANDSHAKE, UPGRADE, Line, until
from tests.wire.clients import Driver
from tests.wire.handmade import (
    BINARY,
    CLOSE,
    CLOSED,
    NOOP,
    TEXT,
    Session,
    Stranger,
    frame,
    polling,
    stranger,
    waits,
)
from tests.wire.meeting import Meet, meeting_on

pytestmark = pytest.mark.one_node("packets, not rooms")

ASK, ANSWER = b'427["no-such-event"]', b'437[{"error":"Unknown event","success":false}]'
OK = (200, b"ok")


def refused(code: int, message: str) -> tuple[int, dict[str, Any]]:
    """Node's answer."""
    return 400, {"code": code, "message": message}


TRANSPORT_UNKNOWN = refused(0, "Transport unknown")
SESSION_UNKNOWN = refused(1, "Session ID unknown")
BAD_METHOD = refused(2, "Bad handshake method")
BAD_REQUEST = refused(3, "Bad request")
OTHER_VERSION = refused(5, "Unsupported protocol version")


@pytest.fixture
async def line(meet: Meet) -> AsyncIterator[Line]:
    """A TCP connection to the server."""
    line = await Line.to(meet.server.url)
    yield line
    await line.close()


async def asked(
    line: Line, query: str, *, method: str = "GET", websocket: bool = False
) -> tuple[int, dict[str, Any]]:
    """Status and body of a request with that query."""
    head = UPGRADE if websocket else HANDSHAKE
    head = method.encode() + head[3:].replace(head.split(b" ")[1], f"/socket.io/?{query}".encode(), 1)
    status, body = await line.exchange(head.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"))
    return status, json.loads(body)


async def known(meet: Meet, session: Session) -> bool:
    """Whether the session is still one, as a new connection sees it."""
    line = await session.line()
    status, _ = await line.exchange(session.post(b"6"))
    return status == 200 and session.sid in meet.server.sockets.eio.sockets


async def upgraded(session: Session) -> Stranger:
    """A websocket that has asked to carry the session."""
    websocket = await Stranger.to(session.url)
    assert isinstance(websocket, Stranger)
    session.lines.append(websocket)
    assert (await websocket.exchange(session.upgrade))[0] == 101
    return websocket


# -- HTTP long-polling: query parameters
@pytest.mark.parametrize("websocket", [False, True], ids=["polling", "websocket"])
@pytest.mark.parametrize("version", ["", "EIO=&", "EIO=3&", "EIO=5&", "EIO=abc&"])
async def test_a_handshake_of_another_version_is_400(line: Line, version: str, websocket: bool) -> None:
    """EIO is mandatory and 4. A line of log says so, once a minute for an address."""
    transport = "websocket" if websocket else "polling"
    with structlog.testing.capture_logs() as logged:
        assert await asked(line, f"{version}transport={transport}", websocket=websocket) == OTHER_VERSION
        assert await asked(line, f"{version}transport={transport}", websocket=websocket) == OTHER_VERSION
    assert [(entry["event"], entry["address"]) for entry in logged] == [
        ("client refused, its Engine.IO is not 4: Socket.IO 2 or before", "127.0.0.1")
    ]


@pytest.mark.parametrize("websocket", [False, True], ids=["polling", "websocket"])
@pytest.mark.parametrize("transport", ["", "&transport=", "&transport=abc", "&transport=webtransport"])
async def test_a_handshake_without_a_known_transport_is_400(
    line: Line, transport: str, websocket: bool
) -> None:
    assert await asked(line, f"EIO=4{transport}", websocket=websocket) == TRANSPORT_UNKNOWN


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_session_that_is_unknown_is_400(line: Line, method: str) -> None:
    assert await asked(line, "EIO=4&transport=polling&sid=abc", method=method) == SESSION_UNKNOWN


async def test_an_upgrade_of_a_session_that_is_unknown_is_400(line: Line) -> None:
    assert await asked(line, "EIO=4&transport=websocket&sid=abc", websocket=True) == SESSION_UNKNOWN


async def test_a_handshake_is_a_get(line: Line) -> None:
    assert await asked(line, "EIO=4&transport=polling", method="POST") == SESSION_UNKNOWN
    assert await asked(line, "EIO=4&transport=polling", method="PUT") == BAD_METHOD


async def test_a_websocket_without_an_upgrade_is_400(line: Line) -> None:
    assert await asked(line, "EIO=4&transport=websocket") == BAD_REQUEST


async def test_jsonp_is_400(line: Line, meet: Meet) -> None:
    """No part of Engine.IO 4; a half of it would be a way past CORS."""
    assert await asked(line, "EIO=4&transport=polling&j=0") == BAD_REQUEST
    async with polling(meet) as session:
        for request in (session.get, session.post(b"d=40")):
            jsonp = request.replace(b"&sid=", b"&j=1&sid=", 1)
            assert (await (await session.line()).exchange(jsonp))[0] == 400
        assert await known(meet, session)


# -- HTTP long-polling: sending data
async def test_packets_are_posted_and_answered_with_ok(meet: Meet) -> None:
    async with polling(meet) as session:
        assert await session.lines[0].exchange(session.post(ASK)) == OK
        assert await session.lines[0].exchange(session.get) == (200, ANSWER)


async def test_several_packets_in_one_body(meet: Meet) -> None:
    """Separated by U+001E, in order, in both directions."""
    async with polling(meet) as session:
        asks = [b'42%d["no-such-event","\xe2\x82\xac"]' % n for n in range(5)]
        assert await session.lines[0].exchange(session.post(b"\x1e".join(asks))) == OK
        status, body = await session.lines[0].exchange(session.get)
        assert status == 200
        assert [packet[:4] for packet in body.split(b"\x1e")] == [b"43%d[" % n for n in range(5)]


async def test_text_is_utf_8_whatever_the_content_type_says(meet: Meet) -> None:
    """Without a type the body is taken for text."""
    async with polling(meet) as session:
        for number, given in enumerate((b"Host: x", b"Host: x\r\nContent-Type: text/plain;charset=UTF-8")):
            request = session.post(f'42{number}["no-such-event","κόσμε"]'.encode())
            assert await session.lines[0].exchange(request.replace(b"Host: x", given, 1)) == OK
            answer = (await session.lines[0].exchange(session.get))[1]
            assert answer == ANSWER.replace(b"7", str(number).encode(), 1)


async def test_one_post_at_a_time(meet: Meet) -> None:
    """A second one is 400 and ends the session."""
    async with polling(meet) as session:
        one, two = await session.line(), await session.line()
        one.writer.write(session.post(ASK)[:-5])
        await until(lambda: meet.server.sockets.eio.sockets[session.sid].polling.post_under_way)
        assert (await two.exchange(session.post(ASK)))[0] == 400
        assert not await known(meet, session)


# -- HTTP long-polling: receiving data
async def test_a_poll_waits_until_there_are_packets(meet: Meet) -> None:
    async with polling(meet) as session:
        poll, other = session.lines[0], await session.line()
        poll.writer.write(session.get)
        await waits(meet, session)
        assert await other.exchange(session.post(ASK)) == OK
        assert await poll.exchange(b"") == (200, ANSWER)


async def test_one_poll_at_a_time(meet: Meet) -> None:
    """A second one is 400 and ends the session; the first one is told so."""
    async with polling(meet) as session:
        one, two = await session.line(), await session.line()
        one.writer.write(session.get)
        await waits(meet, session)
        assert (await two.exchange(session.get))[0] == 400
        assert await one.exchange(b"") == (200, CLOSED)
        assert not await known(meet, session)


# -- handshake
def assert_opening(packet: bytes, meet: Meet, upgrades: list[str]) -> None:
    """The OPEN packet has these keys and no other."""
    assert packet[:1] == b"0"
    opening = json.loads(packet[1:])
    eio = meet.server.sockets.eio
    assert isinstance(opening.pop("sid"), str)
    assert opening == {
        "upgrades": upgrades,
        "pingInterval": int(eio.ping_interval * 1000),
        "pingTimeout": int(eio.ping_timeout * 1000),
        "maxPayload": eio.max_http_buffer_size,
    }


async def test_the_handshake_by_polling(line: Line, meet: Meet) -> None:
    status, body = await line.exchange(HANDSHAKE)
    assert status == 200
    assert_opening(body, meet, ["websocket"])


@pytest.mark.parametrize("query", [b"EIO=4&transport=websocket", b"transport=websocket&EIO=4&t=Nabc"])
async def test_the_handshake_by_websocket(meet: Meet, query: bytes) -> None:
    websocket = await Stranger.to(meet.server.url)
    assert isinstance(websocket, Stranger)
    assert (await websocket.exchange(UPGRADE.replace(b"EIO=4&transport=websocket", query)))[0] == 101
    kind, packet = await websocket.receive()
    assert kind == TEXT
    assert_opening(packet, meet, [])
    await websocket.close()


async def test_each_packet_has_a_frame_of_its_own(meet: Meet) -> None:
    async with stranger(meet.url) as websocket:
        websocket.send(frame(TEXT, ASK), frame(TEXT, ASK), frame(TEXT, ASK + b"\x1e" + ASK))
        for _ in range(2):
            assert await websocket.receive() == (TEXT, ANSWER)
        assert (await websocket.receive())[1] == b'437[{"error":"Invalid request","success":false}]'


# -- heartbeat
async def test_the_server_pings_and_goes_when_no_pong_comes(js: Driver, shared_database: str) -> None:
    async def by_websocket(meet: Meet) -> None:
        async with stranger(meet.url) as websocket:
            for _ in range(3):
                assert await websocket.receive() == (TEXT, b"2")
                websocket.send(frame(TEXT, b"3"))
            await websocket.cut()

    async def by_polling(meet: Meet) -> None:
        async with polling(meet) as session:
            line = session.lines[0]
            for _ in range(3):
                assert await line.exchange(session.get) == (200, b"2")
                assert await line.exchange(session.post(b"3")) == OK
            assert await line.exchange(session.get) == (200, b"2")
            await until(lambda: session.sid not in meet.server.sockets.eio.sockets)
            assert (await line.exchange(session.get))[0] == 400

    async with (
        meeting_on(shared_database, js, ping_interval_seconds=0.2, ping_timeout_seconds=1) as meet,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(by_websocket(meet))
        group.create_task(by_polling(meet))


# -- upgrade
async def test_the_upgrade(meet: Meet) -> None:
    """A poll that waits gets a NOOP, the probe its pong, and from the `5` on packets go by websocket."""
    async with polling(meet) as session:
        poll, post = session.lines[0], await session.line()
        poll.writer.write(session.get)
        await waits(meet, session)
        websocket = await upgraded(session)
        websocket.send(frame(TEXT, b"2probe"))
        assert await websocket.receive() == (TEXT, b"3probe")
        assert await poll.exchange(b"") == (200, NOOP)
        assert await poll.exchange(session.get) == (200, NOOP)  # one that comes before it is decided
        assert await post.exchange(session.post(ASK)) == OK  # what it causes waits for the websocket
        websocket.send(frame(TEXT, b"5"), frame(TEXT, ASK))
        assert [await websocket.receive() for _ in range(2)] == [(TEXT, ANSWER)] * 2
        for request in (session.get, session.post(ASK)):
            assert (await (await session.line()).exchange(request))[0] == 400
        assert (await (await session.line()).exchange(session.upgrade))[0] == 400, "a second websocket"
        websocket.send(frame(TEXT, ASK))
        assert await websocket.receive() == (TEXT, ANSWER), "none of it has disturbed the session"


@pytest.mark.parametrize("packet", [b"2", b"2prob", b"5", b"40", b"x"])
async def test_a_websocket_that_does_not_probe_is_closed(meet: Meet, packet: bytes) -> None:
    """The session stays on polling."""
    async with polling(meet) as session:
        websocket = await upgraded(session)
        websocket.send(frame(TEXT, packet))
        assert await websocket.close_code() == 1000
        assert await known(meet, session)


# -- closing
async def test_a_close_packet_by_polling(meet: Meet) -> None:
    async with polling(meet) as session:
        poll, post = session.lines[0], await session.line()
        poll.writer.write(session.get)
        await waits(meet, session)
        assert await post.exchange(session.post(b"1")) == OK
        assert await poll.exchange(b"") == (200, NOOP)
        assert not await known(meet, session)


async def test_a_close_packet_by_websocket(meet: Meet) -> None:
    async with stranger(meet.url) as websocket:
        websocket.send(frame(TEXT, ASK), frame(TEXT, b"1"))
        got = await websocket.everything()
        assert got[TEXT] == [ANSWER, CLOSED]
        assert got[CLOSE] == [b"\x03\xe8"]


# -- what is passed over (docs/protocol.md#what-is-not-served)
@pytest.mark.parametrize("packet", [b"abc", b"", b"9", b"7", b"0{}", b"2", b"3", b"5", b"6"])
async def test_a_packet_of_no_type_is_passed_over(meet: Meet, packet: bytes) -> None:
    """The document has it close the session; here it only counts towards the connection's frames."""
    async with polling(meet) as session, stranger(meet.url) as websocket:
        assert await session.lines[0].exchange(session.post(packet + b"\x1e" + ASK)) == OK
        assert await session.lines[0].exchange(session.get) == (200, ANSWER)
        websocket.send(frame(TEXT, packet), frame(TEXT, ASK))
        assert await websocket.receive() == (TEXT, ANSWER)


async def test_binary_is_passed_over(meet: Meet) -> None:
    """Where the client has a parser of text: it is an attachment, whose event is refused."""
    async with polling(meet) as session, stranger(meet.url) as websocket:
        body = b"b" + base64.b64encode(bytes(range(4)))
        assert await session.lines[0].exchange(session.post(body + b"\x1e" + ASK)) == OK
        assert await session.lines[0].exchange(session.get) == (200, ANSWER)
        websocket.send(frame(BINARY, bytes(range(4))), frame(TEXT, ASK))
        assert await websocket.receive() == (TEXT, ANSWER)


BINARY_CONNECT = b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x80"
"""{type: 0, nsp: "/", data: {}} in msgpack."""


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_binary_connect_packet_ends_the_connection(meet: Meet, transport: str) -> None:
    """Of a client with another parser, which would wait for ever. One line of log says so."""
    before = set(meet.server.sockets.eio.sockets)
    with structlog.testing.capture_logs() as logged:
        for _ in range(2):
            if transport == "websocket":
                async with stranger(meet.url, opened=False) as websocket:
                    websocket.send(frame(BINARY, BINARY_CONNECT), frame(BINARY, BINARY_CONNECT))
                    (close,) = (await websocket.everything())[CLOSE]
                    assert (int.from_bytes(close[:2]), close[2:]) == (
                        1003,
                        b"Binary packets are not supported: use the default parser",
                    )
                    websocket.send(frame(CLOSE, close[:2]))
                    await websocket.cut()
                continue
            line = await Line.to(meet.server.url)
            session = Session(meet.server.url, json.loads((await line.exchange(HANDSHAKE))[1][1:])["sid"])
            status, body = await line.exchange(session.post(b"b" + base64.b64encode(BINARY_CONNECT)))
            assert (status, json.loads(body)) == BAD_REQUEST
            assert (await line.exchange(session.get))[0] == 400
            await line.close()
    refusals = [entry for entry in logged if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in refusals] == ["client refused, its packets are binary"]
    assert set(meet.server.sockets.eio.sockets) <= before


async def test_a_session_needs_no_version_after_its_handshake(meet: Meet) -> None:
    """As with Node's server, though the document has EIO in every request."""
    async with polling(meet) as session:
        request = session.post(ASK).replace(b"EIO=4&", b"", 1)
        assert await session.lines[0].exchange(request) == OK
        assert await session.lines[0].exchange(session.get.replace(b"EIO=4&", b"", 1)) == (200, ANSWER)


async def test_sessions_are_each_for_themselves(meet: Meet) -> None:
    async with polling(meet) as one, polling(meet) as two:
        await asyncio.gather(*(session.lines[0].exchange(session.post(ASK)) for session in (one, two)))
        for session in (one, two):
            assert await session.lines[0].exchange(session.get) == (200, ANSWER)
        assert (
            await one.lines[0].exchange(CONNECT.replace(b"\r\n\r\n40", b"\r\n\r\n41") % one.sid.encode())
            == OK
        )
        assert await two.lines[0].exchange(two.post(ASK)) == OK
