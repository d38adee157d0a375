"""Every form of query that the server uses, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from neuron_meet.store.errors import (
    DataError,
    ForeignKeyViolationError,
    StoreError,
    UniqueViolationError,
)
from neuron_meet.store.generated.client import Prisma
from neuron_meet.store.models import MessageType, Room, User


async def a_user(prisma: Prisma, email: str = "ada@example.org") -> User:
    return await prisma.user.create({"email": email, "name": "Ada", "password": "$2b$10$hash"})


async def a_room(prisma: Prisma, host: User, code: str = "abc-def-ghi") -> Room:
    return await prisma.room.create({"code": code, "name": "Standup", "hostId": host.id})


async def test_create_fills_in_the_schemas_defaults(prisma: Prisma) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    user = await a_user(prisma)
    room = await prisma.room.create(
        {"code": "a", "name": "R", "hostId": user.id, "settings": {"create": {"maxParticipants": 5}}},
        include={"settings": True, "host": True},
    )
    assert user.id.startswith("c")
    assert len(user.id) == 25
    assert (user.displayName, user.avatarUrl) == (None, None)
    assert before < user.createdAt < datetime.now(UTC) + timedelta(seconds=1)
    assert user.createdAt.tzinfo is not None
    assert room.host == user
    assert (room.isActive, room.isLocked, room.endedAt) == (True, False, None)
    assert room.settings is not None
    assert (room.settings.allowChat, room.settings.waitingRoom, room.settings.maxParticipants) == (
        True,
        False,
        5,
    )
    message = await prisma.message.create({"roomId": room.id, "content": "x"})
    assert (message.type, message.userId, message.senderName) == (MessageType.TEXT, None, None)


async def test_unchecked_and_connecting_creates(prisma: Prisma) -> None:
    user = await a_user(prisma)
    room = await prisma.room.create({"code": "a", "name": "R", "host": {"connect": {"email": user.email}}})
    assert room.hostId == user.id
    row = await prisma.participant.create({"room": {"connect": {"id": room.id}}, "guestName": "Guest"})
    assert (row.roomId, row.userId, row.guestName) == (room.id, None, "Guest")


async def test_a_join_reads_room_settings_messages_and_authors_in_one_query(prisma: Prisma) -> None:
    user = await a_user(prisma)
    room = await a_room(prisma, user)
    await prisma.roomsettings.create({"roomId": room.id})
    start = datetime(2024, 5, 1, tzinfo=UTC)
    await prisma.message.create_many(
        data=[
            {
                "roomId": room.id,
                "content": str(n),
                "createdAt": start + timedelta(seconds=n),
                "userId": user.id,
            }
            for n in range(60)
        ]
    )
    found = await prisma.room.find_unique(
        where={"code": room.code},
        include={
            "settings": True,
            "messages": {
                "take": 50,
                "order_by": [{"createdAt": "desc"}, {"id": "desc"}],
                "include": {"user": True},
            },
        },
    )
    assert found is not None
    assert found.settings is not None
    assert found.messages is not None
    assert [message.content for message in found.messages] == [str(n) for n in range(59, 9, -1)]
    assert found.messages[0].user == user
    assert found.messages[0].createdAt == start + timedelta(seconds=59)
    assert await prisma.room.find_unique(where={"code": "nowhere"}) is None


async def test_filters_ordering_and_pages(prisma: Prisma) -> None:
    users = [await a_user(prisma, email) for email in ("ada@x.org", "BOB@x.org", "cyd@y.org")]
    room = await a_room(prisma, users[0])
    await prisma.participant.create({"roomId": room.id, "userId": users[2].id})

    async def emails(**query: object) -> list[str]:
        rows = await prisma.user.find_many(**query, order={"email": "asc"})  # pyright: ignore
        return [row.email for row in rows]

    at_x = await emails(where={"email": {"contains": "X.ORG", "mode": "insensitive"}})
    assert sorted(at_x) == ["BOB@x.org", "ada@x.org"]
    assert await emails(where={"email": {"contains": "X.ORG"}}) == []
    assert await emails(where={"email": {"equals": "bob@X.org", "mode": "insensitive"}}) == ["BOB@x.org"]
    assert await emails(where={"email": {"startswith": "a"}}) == ["ada@x.org"]
    assert await emails(where={"email": {"in": ["cyd@y.org", "nobody"]}}) == ["cyd@y.org"]
    assert await emails(where={"email": {"in": []}}) == []
    assert await emails(where={"email": {"not_in": ["cyd@y.org", "BOB@x.org"]}}) == ["ada@x.org"]
    assert await emails(where={"NOT": [{"email": "ada@x.org"}, {"email": "BOB@x.org"}]}) == ["cyd@y.org"]
    either = [{"hostedRooms": {"some": {"isActive": True}}}, {"participants": {"some": {"roomId": room.id}}}]
    assert await emails(where={"OR": either}) == ["ada@x.org", "cyd@y.org"]
    assert await emails(where={"displayName": None}) == sorted(await emails())
    assert await emails(where={"displayName": {"not": None}}) == []
    everybody = await emails()
    assert await emails(take=1, skip=1) == everybody[1:2]
    first = await prisma.user.find_unique_or_raise(where={"email": everybody[0]})
    assert await emails(cursor={"id": first.id}, skip=1) == everybody[1:]
    found = await prisma.user.find_first(where={"email": {"endswith": "y.org"}})
    assert found is not None
    assert found.id == users[2].id


async def test_the_same_shape_of_query_gives_each_value_its_own_answer(prisma: Prisma) -> None:
    """Plans are shared between queries that differ in their values only (plans.mjs)."""
    users = [await a_user(prisma, f"{n}@x.org") for n in range(5)]
    for user in users:
        assert await prisma.user.find_unique(where={"email": user.email}) == user
    for n, user in enumerate(users):
        changed = await prisma.user.update(where={"id": user.id}, data={"displayName": f"User {n}"})
        assert changed is not None
        assert changed.displayName == f"User {n}"
    for take in (1, 3, 2):
        assert len(await prisma.user.find_many(take=take)) == take
    for text in ("0@", "1@", "@"):
        expected = [user.id for user in users if text in user.email]
        assert [
            row.id for row in await prisma.user.find_many(where={"email": {"contains": text}})
        ] == expected
    for name in (None, "User 1", None):
        row = await prisma.user.find_first(where={"displayName": name})
        assert (row.id if row else None) == (users[1].id if name else None)


async def test_update_upsert_delete_and_counts(prisma: Prisma) -> None:
    user = await a_user(prisma)
    room = await a_room(prisma, user)
    rows = [await prisma.participant.create({"roomId": room.id, "guestName": f"G{n}"}) for n in range(3)]
    left = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    closed = await prisma.participant.update_many(
        where={"id": {"in": [rows[0].id, rows[1].id]}, "isActive": True},
        data={"isActive": False, "leftAt": left},
    )
    assert closed == 2
    row = await prisma.participant.find_unique_or_raise(where={"id": rows[0].id})
    assert row.leftAt == datetime(2024, 2, 29, 10, 0, 0, 123000, tzinfo=UTC)
    assert await prisma.participant.count(where={"leftAt": {"gte": left - timedelta(seconds=1)}}) == 2
    assert await prisma.participant.count(where={"roomId": room.id}) == 3
    assert await prisma.participant.count(select={"_all": True, "leftAt": True}) == {"_all": 3, "leftAt": 2}
    groups = await prisma.participant.group_by(by=["isActive"], count=True, order={"isActive": "asc"})
    assert groups == [{"isActive": False, "_count": {"_all": 2}}, {"isActive": True, "_count": {"_all": 1}}]

    ended = await prisma.room.update(
        where={"id": room.id},
        data={
            "isLocked": True,
            "settings": {"upsert": {"create": {"isLocked": True}, "update": {"isLocked": True}}},
        },
        include={"settings": True},
    )
    assert ended is not None
    assert ended.updatedAt >= room.updatedAt
    assert ended.settings is not None
    assert (ended.isLocked, ended.settings.isLocked, ended.settings.maxParticipants) == (True, True, 100)
    data = {"create": {"roomId": room.id}, "update": {"maxParticipants": {"increment": 1}}}
    settings = await prisma.roomsettings.upsert(where={"roomId": room.id}, data=data)  # pyright: ignore
    assert settings.maxParticipants == 101

    assert await prisma.room.update(where={"id": "none"}, data={"name": "x"}) is None
    assert await prisma.room.delete(where={"id": "none"}) is None
    assert await prisma.participant.delete_many(where={"roomId": room.id}) == 3


async def test_storing_a_row_again_is_passed_over_where_asked(prisma: Prisma) -> None:
    user = await a_user(prisma)
    room = await a_room(prisma, user)
    row = {"id": "m1", "roomId": room.id, "content": "x", "type": MessageType.SYSTEM}
    assert await prisma.message.create_many(data=[row, {**row, "id": "m2"}], skip_duplicates=True) == 2  # pyright: ignore
    assert await prisma.message.create_many(data=[row, {**row, "id": "m3"}], skip_duplicates=True) == 1  # pyright: ignore
    assert await prisma.message.count(where={"type": MessageType.SYSTEM}) == 3
    assert await prisma.message.count(where={"type": "FILE"}) == 0


async def test_constraint_violations_have_prismas_exceptions(prisma: Prisma) -> None:
    user = await a_user(prisma)
    with pytest.raises(UniqueViolationError) as unique:
        await a_user(prisma)
    assert unique.value.meta["target"] == ["email"]
    assert user.email not in str(unique.value)
    with pytest.raises(ForeignKeyViolationError) as foreign:
        await prisma.room.create({"code": "a", "name": "x", "hostId": "nobody"})
    assert foreign.value.meta["field_name"] == "Room_hostId_fkey"
    with pytest.raises(StoreError):
        await prisma.room.create({"code": "a", "name": "x", "host": {"connect": {"id": "nobody"}}})
    with pytest.raises(ForeignKeyViolationError):
        await a_room(prisma, user)
        await prisma.user.delete(where={"id": user.id})


async def test_a_query_that_prisma_does_not_know_is_a_data_error(prisma: Prisma) -> None:
    with pytest.raises(DataError):
        await prisma.user.find_first(where={"nonsense": "x"})  # pyright: ignore
    with pytest.raises(DataError):
        await prisma.user.find_first(where={"email": 5})  # pyright: ignore
    with pytest.raises(DataError) as error:
        await prisma.message.find_first(where={"type": "a-private-text"})  # pyright: ignore
    assert "a-private-text" not in str(error.value)
    with pytest.raises(TypeError, match="type object"):
        await prisma.user.find_first(where={"email": object()})  # pyright: ignore
    assert await prisma.user.count() == 0


async def test_a_raw_querys_error_does_not_quote_its_values(prisma: Prisma) -> None:
    with pytest.raises(DataError, match="22P02") as error:
        await prisma.query_raw("SELECT $1::text::int AS n", "a secret")
    assert "a secret" not in str(error.value)


async def test_deleting_a_room_takes_its_settings_participants_and_messages_along(prisma: Prisma) -> None:
    user = await a_user(prisma)
    room, other = await a_room(prisma, user), await a_room(prisma, user, "other")
    for target in (room, other):
        await prisma.roomsettings.create({"roomId": target.id})
        await prisma.participant.create({"roomId": target.id, "userId": user.id})
        await prisma.message.create({"roomId": target.id, "userId": user.id, "content": "x"})
    await prisma.room.delete(where={"id": room.id})
    assert [row.roomId for row in await prisma.roomsettings.find_many()] == [other.id]
    assert [row.roomId for row in await prisma.participant.find_many()] == [other.id]
    assert [row.roomId for row in await prisma.message.find_many()] == [other.id]
    assert await prisma.user.count() == 1


async def test_deleting_a_user_who_hosts_nothing_keeps_messages_and_participation(prisma: Prisma) -> None:
    host, guest = await a_user(prisma), await a_user(prisma, "guest@example.org")
    room = await a_room(prisma, host)
    await prisma.participant.create({"roomId": room.id, "userId": guest.id})
    await prisma.message.create(
        {"roomId": room.id, "userId": guest.id, "senderName": "Grace", "content": "hello"}
    )
    await prisma.user.delete(where={"id": guest.id})
    message = await prisma.message.find_first_or_raise()
    assert (message.userId, message.senderName, message.content) == (None, "Grace", "hello")
    participant = await prisma.participant.find_first_or_raise()
    assert (participant.userId, participant.roomId) == (None, room.id)
