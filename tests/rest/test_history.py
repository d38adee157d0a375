"""`/api/rooms/:id/participants` and `…/messages`: what was, for those who were there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neuron_meet.store.removals import StoredRemovals
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


async def attendee(server: Server, room_id: str, **row: Any) -> tuple[str, str]:
    """An account that has been in the room, by that row: its id and a token."""
    account, token = await server.account("Grace")
    await server.database.prisma.participant.create(data={"roomId": room_id, "userId": account.id, **row})  # type: ignore[typeddict-item]
    return account.id, token


async def contents(server: Server, room_id: str, token: str, query: str = "") -> list[str]:
    answer = await server.get(f"/api/rooms/{room_id}/messages{query}", token)
    assert answer.status == 200, answer
    return [message["content"] for message in answer.body]


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ({"isActive": False, "joinedAt": MORNING, "leftAt": MORNING + timedelta(milliseconds=4)}, 5),
        # Closed without a moment, as the former server left them, and open without anybody behind it: as of joining.
        ({"isActive": False, "joinedAt": MORNING + timedelta(milliseconds=2)}, 3),
        ({"isActive": True, "joinedAt": MORNING + timedelta(milliseconds=2)}, 3),
    ],
)
async def test_who_has_left_reads_nothing_younger(server: Server, row: dict[str, Any], read: int) -> None:
    _, host = await server.account()
    room = await server.room(host)
    ids = await write(server, room["id"], 10)
    _, token = await attendee(server, room["id"], **row)
    assert await contents(server, room["id"], token) == [str(number) for number in range(read)]
    assert await contents(server, room["id"], host) == [str(number) for number in range(10)]
    assert (await server.get(f"/api/rooms/{room['id']}/participants", token)).body == []
    # Paging: back from what may be read, and no word about what may not.
    assert await contents(server, room["id"], token, f"?before={ids[read - 1]}") == [
        str(number) for number in range(read - 1)
    ]
    for younger in ids[read:]:
        answer = await server.get(f"/api/rooms/{room['id']}/messages?before={younger}", token)
        unknown = await server.get(f"/api/rooms/{room['id']}/messages?before=nothing", token)
        assert (answer.status, answer.body) == (unknown.status, unknown.body)
        assert answer.status == 400


async def test_the_last_leaving_counts(server: Server) -> None:
    _, host = await server.account()
    room = await server.room(host)
    await write(server, room["id"], 10)
    user_id, token = await attendee(
        server, room["id"], isActive=False, joinedAt=MORNING, leftAt=MORNING + timedelta(milliseconds=1)
    )
    await server.database.prisma.participant.create(
        data={
            "roomId": room["id"],
            "userId": user_id,
            "isActive": False,
            "joinedAt": MORNING + timedelta(milliseconds=3),
            "leftAt": MORNING + timedelta(milliseconds=6),
        }
    )
    assert await contents(server, room["id"], token) == [str(number) for number in range(7)]


async def test_who_is_inside_reads_everything_whatever_the_rows_say(server: Server) -> None:
    _, host = await server.account()
    room = await server.room(host)
    await write(server, room["id"], 10)
    user_id, token = await attendee(server, room["id"], isActive=False, joinedAt=MORNING, leftAt=MORNING)
    guest = await server.database.prisma.participant.create(data={"roomId": room["id"], "guestName": "Gus"})
    path = f"/api/rooms/{room['id']}/participants"
    assert len(await contents(server, room["id"], token)) == 1
    server.live.inside.add((room["code"], user_id))
    assert len(await contents(server, room["id"], token)) == 10
    assert [row["id"] for row in (await server.get(path, token)).body] == [guest.id]
    server.live.inside.clear()
    assert (await server.get(path, token)).body == []


@pytest.mark.parametrize("known_to", ["presence", "rows"])
async def test_who_was_removed_reads_nothing_until_that_is_over(server: Server, known_to: str) -> None:
    """Then as who left at that moment, even where the row was closed with others a little later."""
    _, host = await server.account()
    room = await server.room(host)
    await write(server, room["id"], 10)
    left = MORNING + timedelta(milliseconds=6)
    user_id, token = await attendee(server, room["id"], isActive=False, joinedAt=MORNING, leftAt=left)
    removals, now = StoredRemovals(server.database), datetime.now(UTC)
    if known_to == "presence":
        server.live.removed.add((room["code"], user_id))
    else:
        await removals.record(room["id"], user_id, MORNING, now)
        await removals.record(room["id"], user_id, MORNING, now + timedelta(hours=12))
    for what in ("messages", "participants"):
        answer = await server.get(f"/api/rooms/{room['id']}/{what}", token)
        assert (answer.status, answer.body) == (404, NOT_FOUND)
    server.live.removed.clear()
    await removals.record(room["id"], user_id, MORNING + timedelta(milliseconds=4), now)
    assert await contents(server, room["id"], token) == [str(number) for number in range(5)]
    assert (await server.get(f"/api/rooms/{room['id']}/participants", token)).body == []
    await server.database.prisma.user.delete(where={"id": user_id})
    assert await server.database.prisma.roomremoval.count(where={"userId": user_id}) == 0


async def test_who_leaves_while_the_rows_are_read_gets_what_they_may_read(server: Server) -> None:
    _, host = await server.account()
    room = await server.room(host)
    await write(server, room["id"], 10)
    user_id, token = await attendee(server, room["id"], isActive=False, joinedAt=MORNING, leftAt=MORNING)
    server.live.leaves_when_asked.add((room["code"], user_id))
    assert await contents(server, room["id"], token) == ["0"]
