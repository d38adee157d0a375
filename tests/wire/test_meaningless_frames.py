"""Frames that mean nothing: counted, a few at a time, slowed down, ended; and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from neuron_meet.realtime import frame_budget
from neuron_meet.realtime.websocket import FRAMES_A_TURN, PONG_BACKLOG_BYTES, SLICE_BYTES
from tests.security.test_half_open import until
from tests.wire.clients import DEADLINE, Driver
from tests.wire.handmade import BINARY, CLOSE, PING, PONG, TEXT, frame, stranger
from tests.wire.meeting import Meet, meeting_on
from tests.wire.raw import acknowledgement, join, raw_socket

HANDLED_AT_ONCE = 2 * (FRAMES_A_TURN + SLICE_BYTES // 6)
"""Frames of one connection that one turn of the loop may handle: the last of one read, and the first of the next."""

FRAMES: dict[str, Callable[[], bytes]] = {
    "ping": lambda: frame(PING),
    "ping of 125 bytes": lambda: frame(PING, b"x" * 125),
    "pong": lambda: frame(PONG),
    "binary": lambda: frame(BINARY),
    "a pong packet": lambda: frame(TEXT, b"3"),
    "a ping packet": lambda: frame(TEXT, b"2"),
    "noop": lambda: frame(TEXT, b"6"),
    "upgrade": lambda: frame(TEXT, b"5"),
    "an empty packet": lambda: frame(TEXT),
    "no packet": lambda: frame(TEXT, b"x"),
    "an acknowledgement that nobody asked for": lambda: frame(TEXT, b"431[]"),
    "a CONNECT packet again": lambda: frame(TEXT, b"40{}"),
    "another namespace": lambda: frame(TEXT, b"40/other,"),
    "surplus typing": lambda: frame(TEXT, b'42["typing-start",{"roomId":"x"}]'),
    "surplus typing that wants an answer": lambda: frame(TEXT, b'421["typing-stop",{"roomId":"x"}]'),
}


async def test_who_sends_nothing_else_is_slowed_down_and_ended(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind by itself, on a connection of its own; all of them at one server."""
    monkeypatch.setattr(frame_budget, "KEPT_UP_SECONDS", 0.3)
    async with (
        meeting_on(
            shared_database,
            js,
            rate_limit_enabled=True,
            limit_frames="200 per second",
            limit_typing="5 per 10 seconds",
        ) as meet,
        AsyncExitStack() as stack,
    ):
        lines = {kind: await stack.enter_async_context(stranger(meet.url)) for kind in FRAMES}
        assert len(meet.server.sockets.eio.sockets) == len(FRAMES)
        for kind, line in lines.items():
            line.send(FRAMES[kind]() * 4_000)  # 20 seconds' worth
        for line in lines.values():
            await line.cut()
        assert not meet.server.sockets.eio.sockets
        assert meet.server.sockets.flooding_dropped == len(FRAMES)


async def test_a_read_full_of_frames_is_handled_a_few_at_a_time(js: Driver, shared_database: str) -> None:
    """Between them others have their turn: they are answered long before the read has been worked off."""
    async with meeting_on(shared_database, js, rate_limit_enabled=False) as meet, stranger(meet.url) as line:
        (socket,) = meet.server.sockets.eio.sockets.values()
        websocket = socket.websocket
        assert websocket is not None
        loop, most, last = asyncio.get_running_loop(), [0], [websocket.share.used]

        def watch() -> None:
            most[0] = max(most[0], websocket.share.used - last[0])
            last[0] = websocket.share.used
            loop.call_soon(watch)

        loop.call_soon(watch)
        before = websocket.share.used
        line.send(frame(PING) * 20_000)
        await until(lambda: websocket.share.used >= before + 20_000)
        assert most[0] <= HANDLED_AT_ONCE, "frames of one connection in one turn of the loop"


async def test_pongs_do_not_pile_up_for_who_does_not_read_them(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js, rate_limit_enabled=False) as meet, stranger(meet.url) as line:
        (socket,) = meet.server.sockets.eio.sockets.values()
        websocket = socket.websocket
        assert websocket is not None
        before, waiting = websocket.share.used, [0]
        for _ in range(150):  # 18 MB, more than the kernel keeps of the answers
            line.send(frame(PING, b"x" * 125) * 1_000)
            await line.writer.drain()
            waiting[0] = max(waiting[0], socket.queued_bytes)
        await until(lambda: websocket.share.used >= before + 150_000)
        assert waiting[0] <= PONG_BACKLOG_BYTES + 1_000_000, "one turn's pongs beyond the backlog at most"
        assert socket.queued_bytes <= PONG_BACKLOG_BYTES + 200


async def test_pings_go_by_the_clock(js: Driver, shared_database: str) -> None:
    """Who sends pongs that nobody asked for is pinged all the same."""
    async with (
        meeting_on(shared_database, js, ping_interval_seconds=0.3, ping_timeout_seconds=60) as meet,
        stranger(meet.url) as line,
    ):
        stop = asyncio.Event()

        async def pongs() -> None:
            while not stop.is_set():
                line.send(frame(TEXT, b"3"))
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            group.create_task(pongs())
            for _ in range(3):
                await line.packets_until(b"2")
            stop.set()


async def test_a_pong_before_its_ping_can_have_been_read_is_none(js: Driver, shared_database: str) -> None:
    """Who reads nothing and says `3` all the time is found dead like who says nothing."""
    async with meeting_on(
        shared_database, js, ping_interval_seconds=4, ping_timeout_seconds=1, recovery_grace_seconds=0
    ) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        async with stranger(meet.url) as reader:
            join_room = json.dumps(["join-room", {"roomCode": place.code, "displayName": "Deaf"}])
            reader.send(frame(TEXT, b"421" + join_room.encode()))
            await reader.packets_until(b"431[")
            sid = (await host.next("user-joined"))["participant"]["socketId"]
            engine = meet.server.sockets.connections[sid].engine
            assert engine is not None
            # It reads no more: its buffer fills up, and TCP's. More waits then than the kernel takes, and less than
            # what makes a slow client.
            while engine.queued_bytes < 1_000_000:
                ack = await host.ask("offer", {"targetId": sid, "sdp": "x" * 90_000})
                assert ack["success"] is True

            async def pongs() -> None:
                while sid in meet.server.sockets.connections:
                    reader.send(frame(TEXT, b"3"))
                    await asyncio.sleep(0.02)

            async with asyncio.timeout(DEADLINE):
                await pongs()
            assert meet.server.sockets.slow_dropped == 0


async def test_a_held_key_costs_nobody_their_connection(js: Driver, shared_database: str) -> None:
    """31 typing events a second (Windows) to 60 (macOS), for as long as LIMIT_FRAMES allows at once."""
    async with (
        meeting_on(shared_database, js, rate_limit_enabled=True) as meet,
        raw_socket(meet.url) as socket,
    ):
        place = await meet.place()
        host = await meet.join(place, place.host)
        await join(socket, place)
        for _ in range(1_500):
            await socket.event("typing-start", {"roomId": place.id})
        await socket.event("toggle-audio", {"roomId": place.id, "enabled": False}, ack=5)
        packets = await socket.receive_until("435")
        assert acknowledgement(packets[-1])[1] == {"success": True}
        assert packets[:-1] == [], "surplus typing is dropped without a word"
        typing = [event for event in await host.unread() if event[0] == "user-typing"]
        assert 40 <= len(typing) <= 60
        assert await socket.alive()


@pytest.mark.one_node("frames, not rooms")
class TestTheProtocolOfWebsockets:
    async def test_an_unmasked_frame_closes_with_1002(self, meet: Meet) -> None:
        async with stranger(meet.url, opened=False) as line:
            line.send(b"\x81\x0240")
            assert await line.close_code() == 1002

    async def test_text_that_is_no_utf_8_closes_with_1007(self, meet: Meet) -> None:
        async with stranger(meet.url) as line:
            line.send(frame(TEXT, b'42["x","\xff\xfe"]'))
            assert await line.close_code() == 1007

    async def test_a_message_of_exactly_what_the_server_says_it_takes(self, meet: Meet) -> None:
        largest = meet.server.sockets.eio.max_http_buffer_size
        async with stranger(meet.url) as line:
            head = b'427["no-such-event","'
            line.send(frame(TEXT, head + b"x" * (largest - len(head) - 2) + b'"]'))
            assert (await line.packets_until(b"437["))[-1].startswith(b"437[")
            line.send(frame(TEXT, head + b"x" * (largest - len(head) - 1) + b'"]'))
            assert await line.close_code() == 1009

    async def test_fragments_without_content_end(self, meet: Meet) -> None:
        async with stranger(meet.url) as line:
            line.send(frame(TEXT, b"4", fin=False))
            line.send(frame(0, fin=False) * (2 * meet.server.sockets.eio.max_http_buffer_size // 6 + 2))
            assert await line.close_code() == 1009

    async def test_fragments_make_a_message(self, meet: Meet) -> None:
        async with stranger(meet.url) as line:
            packet = b'427["no-such-event"]'
            pieces = [frame(TEXT, packet[:1], fin=False)]
            pieces += [frame(0, packet[at : at + 1], fin=False) for at in range(1, len(packet))]
            pieces.append(frame(0))
            line.send(frame(PING, b"between").join(pieces))
            assert (await line.packets_until(b"437["))[-1].startswith(b"437[")

    async def test_what_came_with_a_close_frame_is_answered_before_the_close(self, meet: Meet) -> None:
        async with stranger(meet.url) as line:
            line.send(frame(TEXT, b'427["no-such-event"]'), frame(CLOSE, struct.pack("!H", 1000)))
            assert (await line.packets_until(b"437["))[-1].startswith(b"437[")
            assert await line.close_code() == 1000

    async def test_bytes_one_by_one(self, meet: Meet) -> None:
        async with stranger(meet.url) as line:
            for byte in frame(TEXT, b'427["no-such-event"]'):
                line.send(bytes((byte,)))
                await line.writer.drain()
            assert (await line.packets_until(b"437["))[-1].startswith(b"437[")

    async def test_one_large_read_of_small_and_large_frames_keeps_their_order(self, meet: Meet) -> None:
        async with stranger(meet.url) as line:
            expected = list(range(30))
            frames = [
                frame(TEXT, b'42%d["x","%b"]' % (n, os.urandom(n * 500).hex().encode())) for n in expected
            ]
            line.send(frame(PING, b"p").join(frames))
            answered: list[int] = []
            while len(answered) < len(expected):
                packet = (await line.packets_until(b"43"))[-1]
                answered.append(int(packet[2 : packet.index(b"[")]))
            assert answered == expected
