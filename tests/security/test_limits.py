"""Limits on the wire: what is refused, with which words, and that who goes on regardless is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.clients import Client, Driver
from tests.wire.meeting import OK, Meet, enter, failure, gone, joining, meeting_on, refused_join
from tests.wire.raw import raw_socket

TOO_MANY = failure("Too many requests")

# Class → events of it that succeed in a room: name and payload without the room's id.
PACES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "limit_chat": [("chat-message", {"content": "hello"})],
    "limit_typing": [("typing-start", {}), ("typing-stop", {})],
    "limit_media": [
        ("toggle-audio", {"enabled": True}),
        ("toggle-video", {"enabled": False}),
        ("start-screen-share", {}),
        ("stop-screen-share", {}),
        ("toggle-hand-raise", {"raised": True}),
    ],
    "limit_host": [("lock-room", {"locked": True}), ("lock-room", {"locked": False})],
}


@pytest.mark.parametrize("pace", PACES)
async def test_each_class_has_its_own(js: Driver, shared_database: str, pace: str) -> None:
    """As many as allowed are served, then an error ack (of typing none); nobody sees those; other classes go on."""
    settings: dict[str, Any] = {"rate_limit_enabled": True, pace: "4 per hour"}
    async with meeting_on(shared_database, js, **settings) as meet:
        place = await meet.place()
        host, member = await meet.join(place, place.host), await meet.join(place, name="Mo")
        await host.unread()

        async def send(number: int) -> Any:
            event, fields = PACES[pace][number % len(PACES[pace])]
            return await host.ask(event, {"roomId": place.id, **fields})

        for number in range(4):
            assert (await send(number))["success"] is True
        await member.unread()
        # Surplus typing is dropped without a word, as it is without a callback.
        refusal = {"limit_chat": failure("Too many messages"), "limit_typing": OK}.get(pace, TOO_MANY)
        assert [await send(number) for number in range(4, 8)] == [refusal] * 4
        assert await member.unread() == []
        for other, events in PACES.items():
            if other != pace:
                event, fields = events[0]
                assert (await host.ask(event, {"roomId": place.id, **fields}))["success"] is True
        if pace != "limit_host":  # another socket has limits of its own
            event, fields = PACES[pace][0]
            assert (await member.ask(event, {"roomId": place.id, **fields}))["success"] is True


async def test_relay(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js, rate_limit_enabled=True, limit_relay="5 per hour") as meet:
        place = await meet.place()
        host, member = await meet.join(place, place.host), await meet.join(place, name="Mo")
        for event, field in (("offer", "sdp"), ("answer", "sdp"), ("ice-candidate", "candidate")) * 2:
            ack = await host.ask(event, {"targetId": member.sid, field: "x"})
            assert ack == (OK if (event, field) != ("ice-candidate", "candidate") else ack)
        assert await host.ask("offer", {"targetId": member.sid, "sdp": "x"}) == TOO_MANY
        assert len(await member.unread()) == 5


async def test_joins_of_one_socket(js: Driver, shared_database: str) -> None:
    """The event and the ack say it; the place that the socket has is not touched."""
    async with meeting_on(shared_database, js, rate_limit_enabled=True, limit_joins="3 per hour") as meet:
        place = await meet.place()
        host, member = await meet.join(place, place.host), await meet.connect()
        for _ in range(3):
            assert (await enter(member, place, "Mo"))["success"] is True
        await member.unread()
        await host.unread()
        assert await enter(member, place, "Mo") == TOO_MANY
        assert await member.unread() == [refused_join("Too many requests")]
        assert await host.unread() == []
        assert set(meet.present(place)) == {host.sid, member.sid}


async def test_a_socket_in_no_room(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js, rate_limit_enabled=True, limit_unjoined="3 per hour") as meet:
        place = await meet.place()
        outsider = await meet.connect()
        chat = {"roomId": place.id, "content": "x"}
        acks = [await outsider.ask("chat-message", chat) for _ in range(5)]
        assert acks == [failure("Not in this room")] * 3 + [TOO_MANY] * 2
        assert (await enter(outsider, place))["success"] is True
        assert (await outsider.ask("chat-message", chat))["success"] is True


@pytest.mark.parametrize("event", ["no-such-event", "chat-message"])
async def test_events_that_are_no_events(js: Driver, shared_database: str, event: str) -> None:
    async with meeting_on(shared_database, js, rate_limit_enabled=True, limit_invalid="3 per hour") as meet:
        client = await meet.connect()
        acks = [await client.ask(event, {"no": "payload"}) for _ in range(5)]
        text = "Unknown event" if event == "no-such-event" else "Invalid request"
        assert acks == [failure(text)] * 3 + [TOO_MANY] * 2


async def flood_chat(client: Client, room_id: str) -> None:
    client.emit("chat-message", {"roomId": room_id, "content": "spam"})


async def flood_joins(client: Client, room_id: str) -> None:
    client.emit("join-room", {"roomCode": "aaa-aaa-aaa"})


async def flood_nonsense(client: Client, room_id: str) -> None:
    client.emit("no-such-event", {})


@pytest.mark.parametrize("flood", [flood_chat, flood_joins, flood_nonsense])
async def test_a_socket_that_goes_on_regardless_is_dropped(
    js: Driver, shared_database: str, flood: Callable[[Client, str], Any]
) -> None:
    """It is gone for good, whatever the recovery's grace: the others see it leave at once, and can go on."""
    async with meeting_on(
        shared_database,
        js,
        rate_limit_enabled=True,
        recovery_grace_seconds=600,
        limit_chat="2 per hour",
        limit_joins="2 per hour",
        limit_invalid="2 per hour",
        limit_patience="20 per hour",
    ) as meet:
        place = await meet.place()
        host, flooder = await meet.join(place, place.host), await meet.join(place, name="Flo")
        await host.unread()
        for _ in range(200):
            await flood(flooder, place.id)
        await flooder.next("$disconnected")
        left = await host.next("user-left")
        assert left == gone(flooder)[1]
        assert meet.present(place) == [host.sid]
        assert meet.server.sockets.recovery.held == 0
        assert await meet.open_rows(place) == 1
        assert (await host.ask("chat-message", {"roomId": place.id, "content": "peace"}))["success"] is True


async def test_going_and_coming_on_one_connection_does_not_refill_the_limits(
    js: Driver, shared_database: str
) -> None:
    """Socket.IO lets a connection leave the namespace and enter again: that counts as a new connection."""
    async with meeting_on(
        shared_database, js, rate_limit_enabled=True, limit_connections_address="5 per hour"
    ) as meet:
        async with raw_socket(meet.url) as socket:
            for _ in range(4):
                await socket.send("41")
                await socket.open()
            await socket.send("41")
            await socket.send("40")
            assert await socket.close_code() == 1000
        assert meet.server.sockets.connection_count == 0


async def test_switched_off(js: Driver, shared_database: str) -> None:
    """RATE_LIMIT_ENABLED=false lifts all of them, the addresses' too."""
    limits = ("chat", "typing", "media", "host", "relay", "joins", "unjoined", "invalid", "patience")
    settings: dict[str, Any] = {f"limit_{name}": "1 per hour" for name in limits}
    settings |= {"limit_joins_address": "1 per hour", "limit_connections_address": "1 per hour"}
    async with meeting_on(shared_database, js, rate_limit_enabled=False, **settings) as meet:
        place = await meet.place()
        host, member = await meet.join(place, place.host), await meet.join(place, name="Mo")
        for events in PACES.values():
            for event, fields in events * 4:
                assert (await host.ask(event, {"roomId": place.id, **fields}))["success"] is True
        for _ in range(5):
            assert await host.ask("offer", {"targetId": member.sid, "sdp": "x"}) == OK
            assert (await enter(member, place, "Mo"))["success"] is True
            assert await member.ask("chat-message", {"no": "payload"}) == failure("Invalid request")
        await asyncio.gather(*(member.request("join-room", joining(place)) for _ in range(50)))
        assert set(meet.present(place)) == {host.sid, member.sid}


async def test_under_the_defaults_nobody_honest_notices(js: Driver, shared_database: str) -> None:
    """A lively minute of one person: nothing is refused."""
    async with meeting_on(shared_database, js, rate_limit_enabled=True) as meet:
        place = await meet.place()
        clients = [await meet.join(place, place.host), await meet.join(place, name="Mo")]
        for turn in range(10):
            for client in clients:
                for event, fields in [
                    pair for name, pairs in PACES.items() if name != "limit_host" for pair in pairs
                ]:
                    ack = await client.ask(event, {"roomId": place.id, **fields})
                    assert ack["success"] is True, (turn, event, ack)
        assert set(meet.refused) == {"UNKNOWN_EVENT"}  # Client.sync


async def outcome(meet: Meet, client: Client, event: str, payload: dict[str, Any]) -> str:
    """ "ok", or the error."""
    ack = await client.ask(event, payload)
    return "ok" if ack["success"] else ack["error"]


async def test_bytes_by_event(js: Driver, shared_database: str) -> None:
    """Each event has its size: an offer of the largest allowed size passes, a byte more does not."""
    async with meeting_on(shared_database, js, max_payload_bytes=20_000) as meet:
        place = await meet.place()
        host, member = await meet.join(place, place.host), await meet.join(place, name="Mo")
        empty = len('{"targetId":"","sdp":""}') + len(member.sid)
        for event in ("offer", "answer"):
            for spare, expected in ((0, "ok"), (1, "Invalid request")):
                payload = {"targetId": member.sid, "sdp": "x" * (20_000 - empty + spare)}
                assert await outcome(meet, host, event, payload) == expected
        assert [event for event, _ in await member.unread()] == ["offer", "answer"]
        big = {"targetId": member.sid, "candidate": "x" * 11_000}
        assert await outcome(meet, host, "ice-candidate", big) == "Invalid request"
        padded = {"roomId": place.id, "enabled": True, "x": "x" * 3_000}
        assert await outcome(meet, host, "toggle-audio", padded) == "Invalid request"
        longest = {"roomId": place.id, "content": "💬" * 4_000}
        assert await outcome(meet, host, "chat-message", longest) == "ok"
        assert (
            await outcome(meet, host, "chat-message", longest | {"content": "x" * 4_001})
            == "Message is too long"
        )
