"""Polling as browsers and proxies do it: one GET and one POST at a time, nothing lost where a connection is cut."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.security.test_half_open import Line, until
from tests.wire.clients import Driver
from tests.wire.handmade import CLOSED, NOOP, polling, waits
from tests.wire.meeting import Meet, meeting_on

pytestmark = pytest.mark.one_node("polling, not rooms")

ASK = b'427["no-such-event"]'


async def test_a_poll_whose_connection_was_cut_takes_nothing(meet: Meet) -> None:
    """A browser repeats such a GET by itself, on another connection, and tells its page nothing."""
    async with polling(meet) as session:
        cut, second, other = await session.line(), await session.line(), await session.line()
        cut.writer.write(session.get)
        await waits(meet, session)
        socket = meet.server.sockets.eio.sockets[session.sid]
        cut.writer.transport.abort()
        await until(lambda: socket.polling.waiting.gone)
        assert await other.exchange(session.post(ASK)) == (200, b"ok")  # it is answered into nothing
        assert (await second.exchange(session.get))[1].startswith(b"437[")


async def test_a_poll_that_is_repeated_takes_the_place_of_the_one_that_was_cut(meet: Meet) -> None:
    async with polling(meet) as session:
        cut, second, other = await session.line(), await session.line(), await session.line()
        cut.writer.write(session.get)
        await waits(meet, session)
        socket = meet.server.sockets.eio.sockets[session.sid]
        cut.writer.transport.abort()
        await until(lambda: socket.polling.waiting.gone)
        second.writer.write(session.get)
        await until(lambda: not socket.polling.waiting.gone)
        assert await other.exchange(session.post(ASK)) == (200, b"ok")
        assert (await second.exchange(b""))[1].startswith(b"437[")


async def test_a_poll_whose_answer_was_lost_is_answered_again(meet: Meet) -> None:
    """nginx and Caddy repeat it, and tell nobody; the next one shows that the answer has come."""
    async with polling(meet) as session:
        lost, again, other = await session.line(), await session.line(), await session.line()
        lost.writer.write(session.stamped("a"))
        await waits(meet, session)
        assert await other.exchange(session.post(ASK)) == (200, b"ok")
        answer = await lost.exchange(b"")
        assert answer[1].startswith(b"437[")
        lost.writer.transport.abort()
        for _ in range(2):
            assert await again.exchange(session.stamped("a")) == answer
        again.writer.write(session.stamped("b"))
        await waits(meet, session)
        assert await other.exchange(session.post(ASK.replace(b"7", b"8", 1))) == (200, b"ok")
        assert (await again.exchange(b""))[1].startswith(b"438["), "once"


async def test_a_poll_that_is_repeated_beside_itself_takes_its_place(meet: Meet) -> None:
    """A cut that the server has not heard of: what repeats the poll has given the first one up."""
    async with polling(meet) as session:
        one, two, other = await session.line(), await session.line(), await session.line()
        one.writer.write(session.stamped("a"))
        await waits(meet, session)
        waiting = meet.server.sockets.eio.sockets[session.sid].polling.waiting
        two.writer.write(session.stamped("a"))
        await until(lambda: meet.server.sockets.eio.sockets[session.sid].polling.waiting is not waiting)
        assert await other.exchange(session.post(ASK)) == (200, b"ok")
        assert (await two.exchange(b""))[1].startswith(b"437[")
        assert await one.exchange(b"") == (200, NOOP)


async def test_a_post_that_is_repeated_is_handled_once(meet: Meet) -> None:
    """Chromium sends a POST again by itself when the connection that it had kept alive is cut under it."""
    place = await meet.place()
    async with polling(meet) as session:
        line = session.lines[0]
        join = json.dumps(["join-room", {"roomCode": place.code, "displayName": "Gus"}])
        say = json.dumps(["chat-message", {"roomId": place.id, "content": "once"}])
        assert await line.exchange(session.post(f"420{join}".encode())) == (200, b"ok")
        assert b"430[" in (await line.exchange(session.get))[1]
        body = f"421{say}".encode()
        cut, second, third = [await session.line() for _ in range(3)]
        cut.writer.write(session.post(body))
        packets = (await line.exchange(session.get))[1].split(b"\x1e")  # the first one has been handled
        cut.writer.transport.abort()
        for again in (second, third):
            assert await again.exchange(session.post(body)) == (200, b"ok")
        assert await line.exchange(session.post(ASK)) == (
            200,
            b"ok",
        )  # everything before it has been handled then
        while not any(packet.startswith(b"437[") for packet in packets):
            packets += (await line.exchange(session.get))[1].split(b"\x1e")
        kinds = [packet[:3] for packet in packets]
        assert (kinds.count(b"42["), kinds.count(b"431")) == (1, 1), packets
        rows = await meet.sql('SELECT content FROM "Message" WHERE "roomId" = $1', place.id)
        assert rows == [{"content": "once"}]


async def test_the_same_words_twice_are_no_repeated_post(meet: Meet) -> None:
    """Another acknowledgement id, or none: front ends that ask for no answer say the same thing twice on purpose."""
    async with polling(meet) as session:
        line, packets = session.lines[0], list[bytes]()
        for body in (b'428["no-such-event"]', ASK, b'42["typing-stop"]', b'42["typing-stop"]', ASK):
            assert await line.exchange(session.post(body)) == (200, b"ok")
        while packets.count(b"437") < 2:
            packets += [packet[:3] for packet in (await line.exchange(session.get))[1].split(b"\x1e")]
        assert packets.count(b"438") == 1


async def test_a_second_poll_beside_one_that_waits_ends_the_session(js: Driver, shared_database: str) -> None:
    """Engine.IO, "Transports": the client comes back, and recovers what it missed."""
    async with meeting_on(shared_database, js, recovery_grace_seconds=15) as meet, polling(meet) as session:
        one, two = await session.line(), await session.line()
        one.writer.write(session.stamped("a"))
        await waits(meet, session)
        assert (await two.exchange(session.stamped("b")))[0] == 400
        assert await one.exchange(b"") == (200, CLOSED)
        assert session.sid not in meet.server.sockets.eio.sockets
        assert meet.server.sockets.recovery.held == 1, "its place is held"


async def test_a_second_post_beside_one_that_is_under_way_ends_the_session(meet: Meet) -> None:
    async with polling(meet) as session:
        one, two = await session.line(), await session.line()
        one.writer.write(session.post(ASK)[:-5])
        await until(lambda: meet.server.sockets.eio.sockets[session.sid].polling.post_under_way)
        assert (await two.exchange(session.post(ASK)))[0] == 400
        assert session.sid not in meet.server.sockets.eio.sockets


@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_without_a_length(meet: Meet, pieces: int) -> None:
    """Chunked, as some proxies and fetch() with a stream send it (RFC 9112 §7.1)."""
    async with polling(meet) as session:
        line = session.lines[0]
        head = session.post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        step = -(-len(ASK) // pieces)
        chunks = [ASK[at : at + step] for at in range(0, len(ASK), step)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        assert await line.exchange(head + body) == (200, b"ok")
        assert (await line.exchange(session.get))[1].startswith(b"437[")


async def test_a_chunked_body_beyond_the_limit(meet: Meet) -> None:
    async with polling(meet) as session:
        line = session.lines[0]
        head = session.post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        size = meet.server.sockets.eio.max_http_buffer_size + 1
        line.writer.write(head + b"%x\r\n" % size + b"x" * size)
        assert (await line.exchange(b""))[0] in (400, 413)
        assert session.sid not in meet.server.sockets.eio.sockets


async def test_who_closes_gets_what_waited(meet: Meet) -> None:
    """A poll under way is answered with a NOOP, as Node's server does."""
    async with polling(meet) as session:
        one, two = await session.line(), await session.line()
        one.writer.write(session.get)
        await waits(meet, session)
        assert await two.exchange(session.post(ASK + b"\x1e1")) == (200, b"ok")
        status, body = await one.exchange(b"")
        assert status == 200
        packets = body.split(b"\x1e")
        assert packets[0].startswith(b"437[")
        assert packets[1:] in ([], [NOOP])
    assert meet.server.sockets.recovery.held == 0


async def test_a_session_has_one_upgrade_under_way(meet: Meet) -> None:
    async with polling(meet) as session:
        lines = [await session.line() for _ in range(20)]
        answers = await asyncio.gather(*(line.exchange(session.upgrade) for line in lines))
        assert sorted(status for status, _ in answers) == [101] + 19 * [400]
        chosen = lines[[status for status, _ in answers].index(101)]
        # The session is none the worse for it, and what asks to carry it ends with it.
        assert await session.lines[0].exchange(session.post(ASK)) == (200, b"ok")
        assert (await session.lines[0].exchange(session.get))[1].startswith(b"437[")
        assert await session.lines[0].exchange(session.post(b"1")) == (200, b"ok")
        async with asyncio.timeout(20):
            await chosen.reader.read()


async def test_polls_go_on_until_a_probe_has_come(meet: Meet) -> None:
    """A websocket that a proxy holds back costs no spinning polls."""
    async with polling(meet) as session:
        websocket, one, two = await session.line(), await session.line(), await session.line()
        assert (await websocket.exchange(session.upgrade))[0] == 101
        one.writer.write(session.get)
        await waits(meet, session)
        assert await two.exchange(session.post(ASK)) == (200, b"ok")
        assert (await one.exchange(b""))[1].startswith(b"437[")


@pytest.mark.parametrize("query", ["?EIO=4", "?EIO=4&sid=x", "?transport=&EIO=4", "?EIO=4&transport=pigeon"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_without_a_transport(meet: Meet, query: str, method: str) -> None:
    line = await Line.to(meet.server.url)
    request = f"{method} /socket.io/{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    assert (await line.exchange(request.encode()))[0] == 400
    await line.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_a_method_that_the_protocol_has_not(meet: Meet, method: str) -> None:
    async with polling(meet) as session:
        request = session.get.replace(b"GET", method.encode(), 1)
        assert (await session.lines[0].exchange(request))[0] == 400
        assert session.sid in meet.server.sockets.eio.sockets
