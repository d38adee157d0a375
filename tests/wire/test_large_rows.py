"""Rows as the former server left them: large pictures, endless names and messages. A room of theirs is entered, and no
event carries what is out of all proportion."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from neuron_meet.signaling.presence.room import REPLAYED_BYTES
from tests.wire.clients import Client
from tests.wire.meeting import Meet, Person, Place, enter
from tests.wire.raw import acknowledgement, raw_socket
from tests.wire.views import replayed

PICTURE = "data:image/png;base64," + "A" * 95_000
LONG, CUT = "Maximilian " * 9_000, ("Maximilian " * 5)[:50].strip()
START = datetime(2026, 1, 2, 3, 4, 5)


async def said(
    meet: Meet, place: Place, *contents: str, who: Person | None = None, name: str = "Ada"
) -> list[str]:
    """Message rows of that content, one second after the other. Their ids."""
    ids = [f"m{number:04d}-{place.id}" for number in range(len(contents))]
    for number, content in enumerate(contents):
        await meet.sql(
            'INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, type, "createdAt") '
            "VALUES ($1, $2, $3, $4, $5, 'TEXT', $6)",
            ids[number],
            place.id,
            who.id if who else None,
            name,
            content,
            START + timedelta(seconds=number),
        )
    return ids


async def joined(meet: Meet, place: Place, who: Person | None = None) -> tuple[Client, dict[str, Any]]:
    """A socket that has joined, and what it was told: the same by the event and the acknowledgement."""
    client = await meet.connect(who)
    ack = await enter(client, place)
    assert ack.pop("success") is True
    assert await client.next("room-joined") == ack
    return client, ack


async def test_a_room_of_large_pictures_is_entered_and_talks(meet: Meet) -> None:
    place = await meet.place()
    people = [await meet.person(f"P{number}", avatarUrl=PICTURE) for number in range(12)]
    clients = [(await joined(meet, place, who))[0] for who in people]
    first, last = clients[0], clients[-1]
    _, told = await joined(meet, place)
    assert [one["avatarUrl"] for one in told["participants"]] == [None] * 12
    await last.sync()
    assert (await first.next("user-joined"))["participant"]["avatarUrl"] is None
    ack = await last.ask("chat-message", {"roomId": place.id, "content": "hi"})
    assert ack["message"]["user"] == {
        "id": people[-1].id,
        "name": "P11",
        "displayName": "P11",
        "avatarUrl": None,
    }
    shown = await first.next("chat-message")
    assert shown["user"] == {"id": people[-1].id, "name": "P11", "avatarUrl": None}
    assert len(json.dumps(shown)) < 1_000
    _, told = await joined(meet, place)
    assert told["messages"] == [replayed(ack["message"])]
    assert len(msgspec.json.encode(told)) < 10_000


async def test_rest_has_a_large_picture_where_one_asks_for_the_account(meet: Meet) -> None:
    pia = await meet.person("Pia", avatarUrl=PICTURE)
    place = await meet.place(pia)
    member = await meet.join(place, pia)
    await member.ask("chat-message", {"roomId": place.id, "content": "hi"})
    stranger = await meet.person("Stranger")
    assert (await meet.rest("GET", "/api/auth/me", pia))[1]["avatarUrl"] == PICTURE
    assert (await meet.rest("GET", f"/api/users/{pia.id}", stranger))[1]["avatarUrl"] == PICTURE
    for path, pictures in {
        f"/api/rooms/code/{place.code}": lambda body: [body["host"]],
        f"/api/rooms/code/{place.code}/participants": lambda body: body,
        f"/api/rooms/{place.id}": lambda body: [body["host"]],
        "/api/users/me/rooms": lambda body: [room["host"] for room in body],
        f"/api/rooms/{place.id}/participants": lambda body: [row["user"] for row in body],
        f"/api/rooms/{place.id}/messages": lambda body: [row["user"] for row in body],
    }.items():
        status, body = await meet.rest("GET", path, pia)
        assert status == 200
        assert [one["avatarUrl"] for one in pictures(body)] == [None], path


async def test_a_picture_of_ordinary_size_is_sent(meet: Meet) -> None:
    picture = "https://example.com/" + "x" * 2_000
    place = await meet.place()
    host = await meet.join(place, place.host)
    await meet.join(place, await meet.person("Pia", avatarUrl=picture))
    assert (await host.next("user-joined"))["participant"]["avatarUrl"] == picture
    _, told = await joined(meet, place)
    assert [one.get("avatarUrl", "none") for one in told["participants"]] == ["none", picture]


async def test_endless_names_are_cut(meet: Meet) -> None:
    max_ = await meet.person("Max", name=LONG, displayName=LONG)
    place = await meet.place(max_)
    await meet.sql('UPDATE "Room" SET name = $1 WHERE id = $2', LONG, place.id)
    await meet.sql(
        'INSERT INTO "Participant" (id, "roomId", "guestName") VALUES ($1, $2, $3)',
        f"p-{place.id}",
        place.id,
        LONG,
    )
    (message,) = await said(meet, place, "hello", who=max_, name=LONG)
    witness = await meet.join(place, name="Witness")
    client, told = await joined(meet, place, max_)
    account = {"id": max_.id, "name": CUT, "displayName": CUT}
    assert [(one["id"], one["senderName"], one["user"]) for one in told["messages"]] == [
        (message, CUT, account)
    ]
    assert (await witness.next("user-joined"))["participant"]["displayName"] == CUT
    ack = await client.ask("chat-message", {"roomId": place.id, "content": "hi"})
    assert (ack["message"]["senderName"], ack["message"]["user"]) == (CUT, {**account, "avatarUrl": None})
    assert (await witness.next("chat-message"))["user"]["name"] == CUT
    for path in (
        f"/api/rooms/code/{place.code}",
        f"/api/rooms/code/{place.code}/participants",
        f"/api/rooms/{place.id}",
        f"/api/rooms/{place.id}/participants",
        f"/api/rooms/{place.id}/messages",
        "/api/users/me/rooms",
    ):
        status, body = await meet.rest("GET", path, max_)
        assert status == 200
        assert len(json.dumps(body)) < 5_000, path
    assert (await meet.rest("GET", "/api/auth/me", max_))[1]["displayName"] == LONG


async def test_a_room_of_large_messages_is_entered(meet: Meet) -> None:
    """Fifty of 100 kB would be 5 MB, twice, for everybody who enters."""
    place = await meet.place()
    ids = await said(meet, place, *(f"{number:02d}" + "x" * 99_998 for number in range(50)))
    _, told = await joined(meet, place)
    assert [one["id"] for one in told["messages"]] == ids[-2:]
    assert len(msgspec.json.encode(told["messages"])) <= REPLAYED_BYTES
    status, rows = await meet.rest("GET", f"/api/rooms/{place.id}/messages?limit=50", place.host)
    assert (status, [row["id"] for row in rows]) == (200, ids)


async def test_a_message_that_is_larger_than_a_replay_hides_no_other(meet: Meet) -> None:
    place = await meet.place()
    ids = await said(meet, place, "before", "y" * 300_000, "after")
    for _ in range(2):  # the second time from what the first one has looked up
        _, told = await joined(meet, place)
        assert [one["id"] for one in told["messages"]] == [ids[0], ids[2]]


@pytest.mark.one_node("packets, not rooms")
async def test_a_huge_name_in_a_handshake_makes_a_guest_whom_nobody_notices(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    for name in ("x" * 990_000, "é" * 160_000, "\u3164" * 160_000):
        async with raw_socket(meet.url, {"token": place.host.token, "displayName": name}) as socket:
            assert json.loads((await socket.receive())[2:])[0] == "auth-error"
            await socket.event("join-room", {"roomCode": place.code}, ack=1)
            assert acknowledgement((await socket.receive_until("431"))[-1])[1]["success"] is True
            participant = (await host.next("user-joined"))["participant"]
            assert (participant["displayName"], participant["userId"]) == ("Guest", None)


async def test_a_name_that_fits_into_its_packet_is_cut_wherever_it_stands(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.connect(auth={"displayName": "Zoë " * 1_000})
    assert (await enter(guest, place))["success"] is True
    cut = ("Zoë " * 13)[:50].strip()
    assert (await host.next("user-joined"))["participant"]["displayName"] == cut
    other = await meet.connect()
    assert (await enter(other, place, "Zoë " * 1_000))["success"] is True
    assert (await host.next("user-joined"))["participant"]["displayName"] == cut


@pytest.mark.parametrize("invisible", ["\u3164", "\u2800", "\u034f", "\U000e0041\u200d \u115f"])
async def test_a_name_of_nothing_that_is_seen_is_none(meet: Meet, invisible: str) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    ada = await meet.person("Ada")
    for who, auth_name, shown in ((None, "", "Guest"), (None, "Zoë", "Zoë"), (ada, "", "Ada")):
        auth = {"displayName": auth_name or invisible} | ({"token": who.token} if who else {})
        client = await meet.connect(auth=auth)
        assert (await enter(client, place, invisible))["success"] is True
        assert (await host.next("user-joined"))["participant"]["displayName"] == shown
    status, problem = await meet.rest("PATCH", "/api/users/me", ada, {"displayName": invisible * 3})
    assert (status, problem["message"]) == (400, ["displayName must be longer than or equal to 2 characters"])
    status, problem = await meet.rest("POST", "/api/rooms", ada, {"name": invisible})
    assert (status, problem["message"]) == (400, ["name must be longer than or equal to 1 characters"])


@pytest.mark.one_node("packets, not rooms")
async def test_an_event_that_is_too_large_is_refused_by_its_name(meet: Meet) -> None:
    place = await meet.place()
    async with raw_socket(meet.url) as socket:
        await socket.event("join-room", {"roomCode": place.code, "displayName": "x" * 900_000}, ack=1)
        assert (await socket.receive()).startswith('42["join-error"')
        assert acknowledgement(await socket.receive()) == (1, {"success": False, "error": "Invalid request"})
        await socket.send('422["join-room"' + ",1" * 450_000 + "]")
        assert acknowledgement((await socket.receive_until("432"))[-1])[1]["error"] == "Invalid request"
        assert await socket.alive()
