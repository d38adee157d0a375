"""Chat: durable first, then shown to everybody; who may write what; one order for all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.wire.meeting import Meet, failure
from tests.wire.views import replayed

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_an_accounts_message(meet: Meet) -> None:
    place = await meet.place()
    picture = "https://example.com/m.png"
    mina = await meet.person("Mina", name="Mina Harker", avatarUrl=picture)
    elsewhere = await meet.join(await meet.place())
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina, name="Mina at work")
    await host.unread()
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    ack = await member.ask("chat-message", {"roomId": place.id, "content": "  Hello, \n world  "})
    after = datetime.now(UTC) + timedelta(milliseconds=2)
    message = ack["message"]
    common = {
        "id": message["id"],
        "senderName": "Mina at work",
        "content": "Hello, \n world",
        "type": "TEXT",
        "timestamp": message["timestamp"],
    }
    assert ack == {
        "success": True,
        "message": {
            **common,
            "senderId": mina.id,
            "user": {"id": mina.id, "name": "Mina Harker", "displayName": "Mina", "avatarUrl": picture},
        },
    }
    author = {"id": mina.id, "name": "Mina Harker", "avatarUrl": picture}
    expected = [("chat-message", {**common, "senderId": member.sid, "user": author})]
    assert await host.unread() == expected
    assert await member.unread() == expected
    assert await elsewhere.unread() == []
    assert TIMESTAMP.fullmatch(message["timestamp"])
    assert before <= datetime.fromisoformat(message["timestamp"]) <= after
    (row,) = await meet.sql('SELECT * FROM "Message" WHERE "roomId" = $1', place.id)
    assert row == {
        "id": message["id"],
        "roomId": place.id,
        "userId": mina.id,
        "senderName": "Mina at work",
        "content": "Hello, \n world",
        "type": "TEXT",
        "createdAt": datetime.fromisoformat(message["timestamp"]).replace(tzinfo=None),
    }


async def test_a_guests_message(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, name="Gus")
    await host.unread()
    guest.emit("chat-message", {"roomId": place.id, "content": "hi"})
    event = await host.next("chat-message")
    assert event == {
        "id": event["id"],
        "senderId": guest.sid,
        "senderName": "Gus",
        "content": "hi",
        "type": "TEXT",
        "timestamp": event["timestamp"],
        "user": None,
    }
    assert await guest.unread() == [("chat-message", event)]
    ack = await guest.ask("chat-message", {"roomId": place.id, "content": "again"})
    assert ack["message"]["senderId"] is None
    assert ack["message"]["user"] is None
    (row, _) = await meet.sql('SELECT * FROM "Message" WHERE "roomId" = $1 ORDER BY "createdAt"', place.id)
    assert (row["userId"], row["senderName"]) == (None, "Gus")


async def test_an_account_without_an_avatar(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    await host.ask("chat-message", {"roomId": place.id, "content": "hi"})
    assert (await host.next("chat-message"))["user"] == {
        "id": place.host.id,
        "name": "Host",
        "avatarUrl": None,
    }


async def test_a_message_is_stored_before_anybody_sees_it(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    for number in range(20):
        host.emit("chat-message", {"roomId": place.id, "content": f"{number}"})
        seen = await host.next("chat-message")
        assert await meet.sql('SELECT content FROM "Message" WHERE id = $1', seen["id"]) == [
            {"content": f"{number}"}
        ]


# -- refusals
@pytest.mark.parametrize("content", ["", " ", "\n\t\r ", "\u00a0\u2003", "\x00", " \x00 "])
async def test_blank(meet: Meet, content: str) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    answer = await host.ask("chat-message", {"roomId": place.id, "content": content})
    assert answer == failure("Message content is required")
    assert await host.unread() == []
    assert await meet.sql('SELECT * FROM "Message" WHERE "roomId" = $1', place.id) == []


@pytest.mark.parametrize("character", ["x", "ü", "名", "😀", '"', "\\", "\n", "\x01"])
async def test_the_limit_is_in_characters(meet: Meet, character: str) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    longest = "a" + character * 3998 + "z"
    ack = await host.ask("chat-message", {"roomId": place.id, "content": f"  {longest}  "})
    assert ack["message"]["content"] == longest
    assert (await host.next("chat-message"))["content"] == longest
    answer = await host.ask("chat-message", {"roomId": place.id, "content": longest + "z"})
    assert answer == failure("Message is too long")
    assert await host.unread() == []


async def test_chat_that_is_switched_off(meet: Meet) -> None:
    place = await meet.place(allowChat=False)
    host, member, guest = await meet.company(place)
    await guest.unread()
    for client in (member, guest):
        answer = await client.ask("chat-message", {"roomId": place.id, "content": "psst"})
        assert answer == failure("Chat is disabled")
    assert await host.unread() == []
    assert (await host.ask("chat-message", {"roomId": place.id, "content": "Quiet!"}))["success"] is True
    assert (await guest.next("chat-message"))["content"] == "Quiet!"


async def test_not_in_the_room(meet: Meet) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    stranger = await meet.join(other, other.host)
    outside = await meet.connect(place.host)
    for client in (stranger, outside):
        answer = await client.ask("chat-message", {"roomId": place.id, "content": "hi"})
        assert answer == failure("Not in this room")
    assert await host.unread() == []
    assert await stranger.unread() == []
    assert await meet.sql('SELECT * FROM "Message" WHERE "roomId" = $1', place.id) == []


async def test_a_message_that_cannot_be_stored_is_seen_by_nobody(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    await meet.sql('DELETE FROM "Room" WHERE id = $1', place.id)
    answer = await guest.ask("chat-message", {"roomId": place.id, "content": "into the void"})
    assert answer == failure("Failed to send message")
    for client in (host, member, guest):
        assert await client.unread() == []


# -- content
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("<script>alert('x')</script>", "<script>alert('x')</script>"),
        ('\'; DROP TABLE "Message"; --', '\'; DROP TABLE "Message"; --'),
        ('quotes " and \\ and /', 'quotes " and \\ and /'),
        ("line one\nline two\r\n\ttabbed", "line one\nline two\r\n\ttabbed"),
        ("👩‍👩‍👧 ünï 名前 \u202eabc\u2028x", "👩‍👩‍👧 ünï 名前 \u202eabc\u2028x"),
        ("nul\x00in the middle", "nulin the middle"),
        ("\x00at an end\x00", "at an end"),
        ("\x1e\x01\x7f bell\x07", None),
        ('42["chat-message",{}]', '42["chat-message",{}]'),
    ],
)
async def test_content_is_kept(meet: Meet, sent: str, kept: str | None) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, transports=["polling"])
    kept = sent.strip() if kept is None else kept
    ack = await host.ask("chat-message", {"roomId": place.id, "content": sent})
    assert ack["message"]["content"] == kept
    assert (await guest.next("chat-message"))["content"] == kept
    newcomer = await meet.connect()
    joined = await newcomer.ask("join-room", {"roomCode": place.code, "displayName": "x"})
    assert joined["messages"] == [replayed(ack["message"])]
    assert await meet.sql('SELECT content FROM "Message" WHERE "roomId" = $1', place.id) == [
        {"content": kept}
    ]


# -- order
async def test_twenty_who_write_at_once_are_seen_by_all_in_the_stored_order(meet: Meet) -> None:
    place = await meet.place()
    clients = [await meet.join(place, name=f"C{number}") for number in range(20)]
    for client in clients:
        await client.unread()
    answers = [
        client.request("chat-message", {"roomId": place.id, "content": f"{client.sid} {line}"})
        for line in range(5)
        for client in clients
    ]
    acks = [(await answer)[0] for answer in answers]
    assert all(ack["success"] for ack in acks)
    rows = await meet.sql(
        'SELECT id, content FROM "Message" WHERE "roomId" = $1 ORDER BY "createdAt", id', place.id
    )
    stored = [row["id"] for row in rows]
    assert len(stored) == 100
    for client in clients:
        events = await client.unread()
        assert [name for name, _ in events] == ["chat-message"] * 100
        assert [payload["id"] for _, payload in events] == stored
        own: list[Any] = [payload["content"] for _, payload in events if payload["senderId"] == client.sid]
        assert own == [f"{client.sid} {line}" for line in range(5)]
    newcomer = await meet.connect()
    joined = await newcomer.ask("join-room", {"roomCode": place.code, "displayName": "x"})
    assert [message["id"] for message in joined["messages"]] == stored[50:]
