"""`/api/rooms/:id/participants` and `…/messages`: what was, for those who were there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.rest.server import Server
from tests.rest.shapes import ID, TIME, error

MORNING = datetime(2025, 3, 1, 9, 0, 0, 123000, UTC)
NOT_FOUND = error(404, "Room not found")


async def write(server: Server, room_id: str, count: int, *, same_time: int = 1, **data: Any) -> list[str]:
    """Messages `0`, `1`, …, `same_time` of them in the same millisecond. Returns their ids in the API's order."""
    rows = [
        {
            "id": f"{room_id}-{(number * 7919) % 100_003:06}",  # ids that do not rise with time
            "roomId": room_id,
            "content": str(number),
            "senderName": "Ada",
            "createdAt": MORNING + timedelta(milliseconds=number // same_time),
            **data,
        }
        for number in range(count)
    ]
    await server.database.prisma.message.create_many(data=rows)  # type: ignore[arg-type]
    return [str(row["id"]) for row in sorted(rows, key=lambda row: (row["createdAt"], row["id"]))]


async def test_open_participant_rows(server: Server) -> None:
    ada, token = await server.account("Ada")
    room = await server.room(token)
    rows = server.database.prisma.participant
    late = await rows.create(
        data={"roomId": room["id"], "guestName": "Guest", "joinedAt": MORNING + timedelta(seconds=1)}
    )
    early = await rows.create(
        data={"roomId": room["id"], "userId": ada.id, "isHost": True, "joinedAt": MORNING}
    )
    await rows.create(data={"roomId": room["id"], "guestName": "Gone", "isActive": False})
    answer = await server.get(f"/api/rooms/{room['id']}/participants", token)
    assert answer.status == 200
    common = {"roomId": room["id"], "isActive": True, "leftAt": None}
    assert answer.body == [
        common
        | {
            "id": early.id,
            "userId": ada.id,
            "guestName": None,
            "isHost": True,
            "joinedAt": "2025-03-01T09:00:00.123Z",
            "user": {"id": ada.id, "displayName": "Ada", "avatarUrl": None},
        },
        common
        | {
            "id": late.id,
            "userId": None,
            "guestName": "Guest",
            "isHost": False,
            "joinedAt": "2025-03-01T09:00:01.123Z",
            "user": None,
        },
    ]


@pytest.mark.parametrize("what", ["participants", "messages"])
async def test_only_those_who_were_there_may_read(server: Server, what: str) -> None:
    """A stranger gets what an unknown id gets, so that it does not tell which ids exist."""
    _, host = await server.account()
    grace, attendee = await server.account("Grace")
    _, stranger = await server.account("Mallory")
    room = await server.room(host)
    path = f"/api/rooms/{room['id']}/{what}"
    for token in (attendee, stranger):
        answer = await server.get(path, token)
        assert (answer.status, answer.body) == (404, NOT_FOUND)
    await server.database.prisma.participant.create(
        data={"roomId": room["id"], "userId": grace.id, "isActive": False}
    )
    assert (await server.get(path, attendee)).status == 200, "one who has left may still read"
    assert (await server.get(path, host)).status == 200
    assert (await server.get(path, stranger)).status == 404


async def test_messages(server: Server) -> None:
    ada, token = await server.account("Ada")
    room = await server.room(token)
    path = f"/api/rooms/{room['id']}/messages"
    assert (await server.get(path, token)).body == []
    rows = server.database.prisma.message
    text = 'Ünï "quoted" \\ 🐴\n\u2028</script>'
    await rows.create(
        data={
            "roomId": room["id"],
            "userId": ada.id,
            "senderName": "Ada",
            "content": text,
            "createdAt": MORNING,
        }
    )
    await rows.create(data={"roomId": room["id"], "content": "joined", "type": "SYSTEM"})
    answer = await server.get(path, token)
    assert answer.status == 200
    assert answer.body == [
        {
            "id": ID,
            "roomId": room["id"],
            "userId": ada.id,
            "senderName": "Ada",
            "content": text,
            "type": "TEXT",
            "createdAt": "2025-03-01T09:00:00.123Z",
            "user": {"id": ada.id, "name": "Ada", "displayName": "Ada", "avatarUrl": None},
        },
        {
            "id": ID,
            "roomId": room["id"],
            "userId": None,
            "senderName": None,
            "content": "joined",
            "type": "SYSTEM",
            "createdAt": TIME,
            "user": None,
        },
    ]


async def test_the_newest_hundred_messages(server: Server) -> None:
    _, token = await server.account()
    room = await server.room(token)
    await write(server, room["id"], 130)
    answer = await server.get(f"/api/rooms/{room['id']}/messages", token)
    assert [message["content"] for message in answer.body] == [str(number) for number in range(30, 130)]
    answer = await server.get(f"/api/rooms/{room['id']}/messages?limit=200&cache=no", token)
    assert len(answer.body) == 130


@pytest.mark.parametrize(("limit", "same_time"), [(1, 3), (7, 5), (10, 100), (200, 2)])
async def test_paging_back_gives_each_message_once(server: Server, limit: int, same_time: int) -> None:
    _, token = await server.account()
    room = await server.room(token)
    count = 25 if limit == 1 else 100
    expected = await write(server, room["id"], count, same_time=same_time)
    read: list[str] = []
    before = ""
    while True:
        page = (await server.get(f"/api/rooms/{room['id']}/messages?limit={limit}{before}", token)).body
        assert len(page) <= limit
        if not page:
            break
        read = [message["id"] for message in page] + read
        before = f"&before={page[0]['id']}"
        # What is written meanwhile is newer, and shifts nothing.
        await server.database.prisma.message.create(data={"roomId": room["id"], "content": "meanwhile"})
    assert read == expected


async def test_pages_that_cannot_be(server: Server) -> None:
    _, token = await server.account()
    room = await server.room(token)
    other = await server.room(token)
    (foreign,) = await write(server, other["id"], 1)
    path = f"/api/rooms/{room['id']}/messages"
    unknown = ["before must be the id of a message in this room"]
    for query, sentences in (
        ("before=nothing", unknown),
        (f"before={foreign}", unknown),
        ("before=", ["before must be longer than or equal to 1 characters"]),
        ("before=a%00", ["before must not contain NUL characters"]),
        ("limit=0", ["limit must not be less than 1"]),
        ("limit=201", ["limit must not be greater than 200"]),
        ("limit=-1", ["limit must not be less than 1"]),
        (
            "limit=ten",
            [
                "limit must not be greater than 200",
                "limit must not be less than 1",
                "limit must be an integer number",
            ],
        ),
    ):
        answer = await server.get(f"{path}?{query}", token)
        assert (answer.status, answer.body) == (400, error(400, sentences)), query


async def test_messages_of_an_account_that_was_deleted(server: Server) -> None:
    grace, _ = await server.account("Grace")
    _, token = await server.account("Ada")
    room = await server.room(token)
    await write(server, room["id"], 1, userId=grace.id, senderName="Grace")
    await server.database.prisma.user.delete(where={"id": grace.id})
    (message,) = (await server.get(f"/api/rooms/{room['id']}/messages", token)).body
    assert (message["senderName"], message["userId"], message["user"]) == ("Grace", None, None)
