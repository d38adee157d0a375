"""Joins that fail: each reason with its text, in the contract's order; what is changed while a join is under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.wire.clients import DEADLINE
from tests.wire.meeting import (
    NOWHERE,
    OK,
    Meet,
    enter,
    failure,
    gone,
    joining,
    locked,
    refused_join,
)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "abc-def-ghi",
        {},
        {"displayName": "Ada"},
        {"roomCode": None, "displayName": "Ada"},
        {"roomCode": 7, "displayName": "Ada"},
        {"roomCode": NOWHERE, "displayName": 7},
        {"roomCode": NOWHERE, "displayName": "x" * 30_000},
    ],
    ids=lambda payload: repr(payload)[:40],
)
async def test_a_malformed_payload(meet: Meet, payload: Any) -> None:
    guest = await meet.connect()
    assert await guest.ask("join-room", payload) == failure("Invalid request")
    assert await guest.unread() == [refused_join("Invalid request")]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "abc",
        "abcdefghi",
        "abc-def-gh1",
        "abc-def-ghij",
        "abc_def_ghi",
        "äbc-def-ghi",
        "abc-def-gh\u0131",
        "' OR 1=1",
        "a\x00b-def-ghi",
    ],
)
async def test_a_malformed_code(meet: Meet, code: str) -> None:
    guest = await meet.connect()
    answer = await guest.ask("join-room", {"roomCode": code, "displayName": "Ada"})
    assert answer == failure("Invalid room code")
    assert await guest.unread() == [refused_join("Invalid room code")]


async def test_a_malformed_payload_is_named_before_a_malformed_code(meet: Meet) -> None:
    guest = await meet.connect()
    assert await guest.ask("join-room", {"roomCode": "abc", "displayName": 7}) == failure("Invalid request")


async def test_a_code_that_no_room_has(meet: Meet) -> None:
    guest = await meet.connect()
    answer = await guest.ask("join-room", {"roomCode": NOWHERE, "displayName": "Ada"})
    assert answer == failure("Room not found")
    assert await guest.unread() == [refused_join("Room not found")]


async def test_the_event_comes_without_a_callback_too(meet: Meet) -> None:
    guest = await meet.connect()
    guest.emit("join-room", {"roomCode": NOWHERE, "displayName": "Ada"})
    assert await guest.next("join-error") == {"code": "JOIN_FAILED", "message": "Room not found"}
    assert await guest.unread() == []


async def test_reasons_are_given_in_the_contracts_order(meet: Meet) -> None:
    """Every reason applies; then they are taken away, the first first. Nobody in the room notices."""
    place = await meet.place()
    host, member, removed = await meet.company(place)
    assert await host.ask("remove-participant", {"roomId": place.id, "targetId": removed.sid}) == OK
    await host.unread()
    await member.unread()
    await removed.unread()
    await meet.sql(
        'UPDATE "RoomSettings" SET "allowGuestAccess" = false, "maxParticipants" = 2 WHERE "roomId" = $1',
        place.id,
    )
    await meet.sql('UPDATE "Room" SET "isLocked" = true, "isActive" = false WHERE id = $1', place.id)
    fresh = await meet.connect()

    async def says(client: Any, name: str, message: str) -> None:
        assert await enter(client, place, name) == failure(message)
        assert await client.unread() == [refused_join(message)]

    await says(removed, "Gus", "Room is no longer active")
    await meet.sql('UPDATE "Room" SET "isActive" = true WHERE id = $1', place.id)
    await says(removed, "Gus", "You were removed from this meeting")
    await says(fresh, "Fay", "Room is locked")
    await meet.sql('UPDATE "Room" SET "isLocked" = false WHERE id = $1', place.id)
    await says(fresh, "Fay", "Authentication required")
    await meet.sql('UPDATE "RoomSettings" SET "allowGuestAccess" = true WHERE "roomId" = $1', place.id)
    await says(fresh, "Fay", "Room is full")
    assert await host.unread() == []
    assert await member.unread() == []
    await meet.sql('UPDATE "RoomSettings" SET "maxParticipants" = 3 WHERE "roomId" = $1', place.id)
    assert (await enter(fresh, place, "Fay"))["success"] is True
    assert await meet.open_rows(place) == 3


async def test_the_host_enters_their_own_locked_room_and_nobody_else_does(meet: Meet) -> None:
    place = await meet.place(isLocked=True)
    host = await meet.connect(place.host)
    assert (await enter(host, place))["isHost"] is True
    other = await meet.connect(await meet.person("Otto"))
    assert await enter(other, place) == failure("Room is locked")


async def test_an_account_enters_where_guests_may_not(meet: Meet) -> None:
    place = await meet.place(allowGuestAccess=False)
    guest = await meet.connect()
    assert await enter(guest, place) == failure("Authentication required")
    member = await meet.connect(await meet.person("Mina"))
    assert (await enter(member, place))["success"] is True


async def test_a_full_room_has_a_place_again_when_somebody_leaves(meet: Meet) -> None:
    place = await meet.place(maxParticipants=2)
    host = await meet.join(place, place.host)
    first = await meet.join(place)
    second = await meet.connect()
    assert await enter(second, place) == failure("Room is full")
    await first.ask("leave-room", {"roomId": place.id})
    assert (await enter(second, place))["success"] is True
    assert await enter(first, place) == failure("Room is full")
    second.kill()
    await host.next("user-joined")
    await host.next("user-left")
    await host.next("user-joined")
    await host.next("user-left")
    assert (await enter(first, place))["success"] is True


async def test_a_host_does_not_enter_a_full_room(meet: Meet) -> None:
    place = await meet.place(maxParticipants=2)
    await meet.join(place)
    await meet.join(place)
    host = await meet.connect(place.host)
    assert await enter(host, place) == failure("Room is full")


async def test_a_failed_join_leaves_no_row(meet: Meet) -> None:
    place = await meet.place(isLocked=True)
    guest = await meet.connect()
    assert await enter(guest, place) == failure("Room is locked")
    assert await meet.rows(place) == []


# -- while a join is under way
async def test_a_lock_that_comes_while_a_join_is_under_way_holds(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.connect()
    async with locked(meet, "Participant") as writing:
        answer = guest.request("join-room", joining(place))
        await writing()
        assert await host.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
    assert await answer == [failure("Room is locked")]
    assert await guest.unread() == [refused_join("Room is locked")]
    assert await host.unread() == []
    assert await meet.open_rows(place) == 1


async def test_an_end_that_comes_while_a_join_is_under_way_holds(meet: Meet) -> None:
    place = await meet.place()
    guest = await meet.connect()
    async with locked(meet, "Participant") as writing:
        answer = guest.request("join-room", joining(place))
        await writing()
        ending = asyncio.create_task(meet.rest("DELETE", f"/api/rooms/{place.id}", place.host))
    status, _ = await ending
    assert status == 200
    # Either order is right; a participant who stays in a room that has ended is not.
    (ack,) = await answer
    if ack["success"]:
        assert (await guest.next("room-ended"))["roomId"] == place.id
    else:
        assert ack == failure("Room is no longer active")
    await guest.unread()
    assert meet.present(place) == []
    assert await meet.open_rows(place) == 0


async def test_a_client_that_goes_while_its_join_is_under_way_is_never_seen(meet: Meet) -> None:
    place = await meet.place(maxParticipants=2)
    host = await meet.join(place, place.host)
    hasty = await meet.connect()
    async with locked(meet, "Participant") as writing:
        hasty.emit("join-room", joining(place, "Hasty"))
        await writing()
        hasty.kill()
        await hasty.next("$disconnected")
    late = await meet.connect()
    # The place is given back when the server has found the connection dead.
    async with asyncio.timeout(DEADLINE):
        while (ack := await enter(late, place, "Late")) == failure("Room is full"):
            await late.unread()
    assert ack["success"] is True
    assert [one["socketId"] for one in ack["participants"]] == [host.sid]
    assert [name for name, _ in await host.unread()] == ["user-joined"]
    assert await meet.open_rows(place) == 2


async def test_a_join_that_comes_after_a_leave_is_in_a_room_and_its_offers_go_there(meet: Meet) -> None:
    """Events of one socket keep their order, however slow the join is."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.connect()
    guest.emit("leave-room", {"roomId": place.id})
    guest.emit("join-room", joining(place, "Gus"))
    guest.emit("offer", {"targetId": host.sid, "sdp": "v=0"})
    guest.emit("toggle-audio", {"roomId": place.id, "enabled": False})
    ack = await guest.ask("leave-room", {"roomId": place.id})
    assert ack == OK
    told = await host.unread()
    assert [name for name, _ in told] == ["user-joined", "offer", "user-toggle-audio", "user-left"]
    assert told[1][1]["senderId"] == guest.sid
    assert told[3] == gone(guest)
