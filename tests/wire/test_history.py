"""The messages that a joiner gets, and that none is lost or doubled while a join is under way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.wire.clients import Client
from tests.wire.meeting import Meet, Person, Place, enter, joining, locked
from tests.wire.views import replayed

START = datetime(2026, 1, 2, 3, 4, 5)


async def write(
    meet: Meet,
    place: Place,
    number: int,
    *,
    who: Person | None = None,
    sender: str | None = "Somebody",
    kind: str = "TEXT",
    after: timedelta = timedelta(0),
) -> str:
    """A message row, written past the server. Returns its id."""
    message = f"m{number:04d}-{place.id}"
    await meet.sql(
        'INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, type, "createdAt") '
        'VALUES ($1, $2, $3, $4, $5, $6::"MessageType", $7)',
        message,
        place.id,
        who.id if who else None,
        sender,
        f"text {number}",
        kind,
        START + after,
    )
    return message


async def history(meet: Meet, place: Place) -> list[dict[str, Any]]:
    """What a newcomer is given; the callback and the event say the same."""
    client = await meet.connect()
    ack = await enter(client, place)
    joined = await client.next("room-joined")
    assert ack["messages"] == joined["messages"]
    await client.ask("leave-room", {"roomId": place.id})
    return ack["messages"]


async def test_every_kind_of_message_as_the_contract_has_it(meet: Meet) -> None:
    place = await meet.place()
    mina = await meet.person("Mina", name="Mina Harker", avatarUrl="https://example.com/m.png")
    nameless = await meet.person("X", displayName=None, name="Xaver")
    ids = [
        await write(meet, place, 1, who=mina, sender="Mina then", after=timedelta(milliseconds=7)),
        await write(meet, place, 2, after=timedelta(milliseconds=8)),
        await write(meet, place, 3, kind="SYSTEM", sender=None, after=timedelta(milliseconds=900)),
        await write(meet, place, 4, kind="FILE", who=nameless, sender="Xaver", after=timedelta(days=1)),
    ]
    assert await history(meet, place) == [
        {
            "id": ids[0],
            "senderId": mina.id,
            "senderName": "Mina then",
            "content": "text 1",
            "type": "TEXT",
            "timestamp": "2026-01-02T03:04:05.007Z",
            "user": {"id": mina.id, "name": "Mina Harker", "displayName": "Mina"},
        },
        {
            "id": ids[1],
            "senderId": None,
            "senderName": "Somebody",
            "content": "text 2",
            "type": "TEXT",
            "timestamp": "2026-01-02T03:04:05.008Z",
            "user": None,
        },
        {
            "id": ids[2],
            "senderId": None,
            "senderName": None,
            "content": "text 3",
            "type": "SYSTEM",
            "timestamp": "2026-01-02T03:04:05.900Z",
            "user": None,
        },
        {
            "id": ids[3],
            "senderId": nameless.id,
            "senderName": "Xaver",
            "content": "text 4",
            "type": "FILE",
            "timestamp": "2026-01-03T03:04:05.000Z",
            "user": {"id": nameless.id, "name": "Xaver", "displayName": None},
        },
    ]


async def test_the_newest_fifty_ascending(meet: Meet) -> None:
    place, other = await meet.place(), await meet.place()
    for number in range(60):  # written in another order than created
        await write(meet, place, number, after=timedelta(seconds=(number * 7) % 60))
    await write(meet, other, 99, after=timedelta(days=9))
    messages = await history(meet, place)
    times = [message["timestamp"] for message in messages]
    assert times == [f"2026-01-02T03:{4 + (5 + s) // 60:02d}:{(5 + s) % 60:02d}.000Z" for s in range(10, 60)]


async def test_equal_times_have_a_fixed_order(meet: Meet) -> None:
    place = await meet.place()
    written = [await write(meet, place, number) for number in range(60)]
    assert [message["id"] for message in await history(meet, place)] == written[10:]


async def test_what_was_said_is_replayed_as_it_was_acknowledged(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    said = []
    for number, client in enumerate([host, member, guest] * 20):
        ack = await client.ask("chat-message", {"roomId": place.id, "content": f"line {number}"})
        said.append(replayed(ack["message"]))
    assert await history(meet, place) == said[-50:]
    for client in (host, member, guest):
        await client.ask("leave-room", {"roomId": place.id})
    assert meet.present(place) == []
    assert await history(meet, place) == said[-50:]  # from the rows alone, now that nobody is there


async def test_a_message_stored_while_a_join_is_under_way_is_in_its_history(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.connect()
    async with locked(meet, "Participant") as writing:
        joined = guest.request("join-room", joining(place))
        await writing()  # the room was read, the row is not written yet
        said = await host.ask("chat-message", {"roomId": place.id, "content": "meanwhile"})
    assert (await joined)[0]["messages"] == [replayed(said["message"])]
    assert [name for name, _ in await guest.unread()] == ["room-joined"]


async def test_a_message_sent_before_a_join_and_stored_after_it_arrives_as_an_event(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.connect()
    async with locked(meet, "Message") as writing:
        said = host.request("chat-message", {"roomId": place.id, "content": "slow"})
        await writing()
        assert (await enter(guest, place))["messages"] == []
    (ack,) = await said
    assert [name for name, _ in await guest.unread()] == ["room-joined", "chat-message"]
    assert [message["id"] for message in await history(meet, place)] == [ack["message"]["id"]]


async def test_no_message_is_lost_or_doubled_around_a_join(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    sent: list[str] = []
    readers: list[Client] = []
    for turn in range(12):
        guest = await meet.connect()
        answers = []
        for step in range(6):
            if step == turn % 6:
                answers.append(guest.request("join-room", joining(place)))
            sent.append(f"{turn}.{step}")
            answers.append(host.request("chat-message", {"roomId": place.id, "content": sent[-1]}))
        for answer in answers:
            assert (await answer)[0]["success"] is True
        readers.append(guest)
        got: list[str] = []
        for name, payload in await guest.unread():
            if name == "room-joined":
                assert got == []
                got = [message["content"] for message in payload["messages"]]
            elif name == "chat-message":
                got.append(payload["content"])
        assert got == sent[-len(got) :]
        assert len(got) >= min(len(sent), 50)
        await guest.ask("leave-room", {"roomId": place.id})


# -- clocks
async def clock(meet: Meet) -> datetime:
    """PostgreSQL's clock."""
    [row] = await meet.sql("SELECT clock_timestamp() AS now")
    return row["now"].astimezone(UTC)


async def ahead(meet: Meet, place: Place, number: int, by: timedelta) -> str:
    """A row that is ahead of PostgreSQL's clock."""
    now = (await clock(meet)).replace(tzinfo=None)
    return await write(meet, place, number, after=now + by - START)


async def test_rows_far_ahead_of_the_clock_hide_no_new_message(meet: Meet) -> None:
    """An import, or a server whose clock was wrong. REST has them."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    far = [await ahead(meet, place, n, timedelta(hours=1, seconds=n)) for n in range(60)]
    said = [
        (await host.ask("chat-message", {"roomId": place.id, "content": f"{n}"}))["message"] for n in (1, 2)
    ]
    assert await history(meet, place) == [replayed(message) for message in said]
    status, rows = await meet.rest("GET", f"/api/rooms/{place.id}/messages", place.host)
    assert (status, [row["id"] for row in rows]) == (200, [message["id"] for message in said] + far)


async def test_what_is_said_comes_after_rows_a_little_ahead_of_the_clock(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    near = [await ahead(meet, place, n, timedelta(seconds=20 + n)) for n in range(10)]
    said = [
        (await host.ask("chat-message", {"roomId": place.id, "content": f"{n}"}))["message"]["id"]
        for n in (1, 2)
    ]
    assert [message["id"] for message in await history(meet, place)] == near + said


async def test_no_nodes_clock_orders_a_room(meet: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes whose own clocks are hours apart: one order for all, and the moments are PostgreSQL's."""
    place = await meet.place()
    members = [await meet.join(place, name=f"M{n}") for n in range(3)]
    for member in members:
        await member.unread()
    wrong = [timedelta(hours=5), timedelta(hours=-5), timedelta(days=400)]
    for server, off in zip(meet.servers, wrong, strict=False):
        monkeypatch.setattr(server.signaling, "now", lambda off=off: datetime.now(UTC) + off)
        monkeypatch.setattr(server.database.clock, "now", lambda off=off: datetime.now(UTC) + off)
    before = await clock(meet)
    acks = [
        await member.ask("chat-message", {"roomId": place.id, "content": f"{turn}"})
        for turn in range(4)
        for member in members
    ]
    after = await clock(meet)
    said = [ack["message"] for ack in acks]
    moments = [datetime.fromisoformat(message["timestamp"]) for message in said]
    assert moments == sorted(set(moments))
    assert before - timedelta(milliseconds=1) <= moments[0] <= moments[-1] <= after
    for member in members:
        shown = [payload["id"] for name, payload in await member.unread() if name == "chat-message"]
        assert shown == [message["id"] for message in said]
    assert await history(meet, place) == [replayed(message) for message in said]
