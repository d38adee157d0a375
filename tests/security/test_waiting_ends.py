"""How waiting ends, or goes on: cancelled, the host gone, the room ended, full or locked, the doors opened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.security.door import (
    admit,
    doors_tried,
    knock,
    knocked,
    left_the_door,
    names,
    told_to_wait,
    waiting_at,
)
from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, Place, enter, failure, locked, refused_join


async def leaves(meet: Meet, place: Place, waiter: Client) -> None:
    assert await waiter.ask("leave-room", {"roomId": place.id}) == OK


async def disconnects(meet: Meet, place: Place, waiter: Client) -> None:
    waiter.disconnect()


async def vanishes(meet: Meet, place: Place, waiter: Client) -> None:
    waiter.kill()


async def goes_elsewhere(meet: Meet, place: Place, waiter: Client) -> None:
    assert (await enter(waiter, await meet.place()))["success"] is True


@pytest.mark.parametrize("go", [leaves, disconnects, vanishes, goes_elsewhere])
async def test_cancelled(meet: Meet, go: Callable[[Meet, Place, Client], Awaitable[None]]) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    await host.unread()
    await go(meet, place, waiter)
    assert await host.next("waiting-participant-left") == left_the_door(waiter)[1]
    assert await host.unread() == []
    assert waiting_at(meet, place) == []
    assert await admit(host, place, waiter) == failure("Participant not found")
    assert await meet.open_rows(place) == 1


async def test_knocking_elsewhere_takes_the_knock_along(meet: Meet) -> None:
    one, other = await meet.place(waitingRoom=True), await meet.place(waitingRoom=True)
    host = await meet.join(one, one.host)
    waiter = await knock(meet, one, name="Ann")
    assert (await enter(waiter, other, "Ann"))["waiting"] is True
    assert await host.unread() == [knocked(waiter, "Ann"), left_the_door(waiter)]
    assert (waiting_at(meet, one), waiting_at(meet, other)) == ([], [waiter.sid])


async def test_the_next_in_line_moves_up(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    first, second = await knock(meet, place, name="Ann"), await knock(meet, place, name="Bea")
    assert await first.ask("leave-room", {"roomId": place.id}) == OK
    await second.unread()
    assert (await enter(second, place, "Bea"))["waiting"] is True
    assert await second.unread() == [told_to_wait(place, 1)]


async def test_the_host_goes_and_comes_back(meet: Meet) -> None:
    """Those who wait go on waiting; whoever comes meanwhile waits too; the host's next socket has them all."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    first = await knock(meet, place, name="Ann")
    host.disconnect()
    await host.next("$disconnected")
    second = await knock(meet, place, name="Bea")
    assert await first.unread() == [told_to_wait(place, 1)]
    back = await meet.connect(place.host)
    ack = await enter(back, place)
    assert [one["socketId"] for one in ack["waiting"]] == [first.sid, second.sid]
    assert await admit(back, place, second) == OK
    assert names(await second.unread()) == ["waiting-room", "room-joined"]


async def test_the_hosts_second_device_has_the_list_and_the_say(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    phone = await meet.connect(place.host)
    assert [one["socketId"] for one in (await enter(phone, place))["waiting"]] == [waiter.sid]
    assert await admit(host, place, waiter) == failure("Not authorized")
    assert await admit(phone, place, waiter) == OK


async def test_the_room_is_ended(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiters = [await knock(meet, place, name="Ann"), await knock(meet, place, name="Bea", shows=False)]
    for waiter in waiters:
        await waiter.unread()
    status, _ = await meet.rest("DELETE", f"/api/rooms/{place.id}", place.host)
    assert status == 200
    for waiter in waiters:
        assert await waiter.unread() == [refused_join("Room is no longer active")]
        assert await enter(waiter, place) == failure("Room is no longer active")
    assert names(await host.unread()) == ["waiting-participant"] * 2 + ["room-ended"]
    assert waiting_at(meet, place) == []


async def test_full_at_admission(meet: Meet) -> None:
    """The host is told why; the waiter is told nothing, waits on and is let in when there is room."""
    place = await meet.place(waitingRoom=True, maxParticipants=2)
    host = await meet.join(place, place.host)
    first, second = await knock(meet, place, name="Ann"), await knock(meet, place, name="Bea")
    assert await admit(host, place, first) == OK
    await second.unread()
    assert await admit(host, place, second) == failure("Room is full")
    assert await second.unread() == []
    assert waiting_at(meet, place) == [second.sid]
    assert await enter(await meet.connect(), place) == failure("Room is full")
    assert await first.ask("leave-room", {"roomId": place.id}) == OK
    assert await admit(host, place, second) == OK
    assert await meet.open_rows(place) == 2


async def test_many_admissions_at_once_do_not_overfill(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True, maxParticipants=3)
    host = await meet.join(place, place.host)
    waiters = [await knock(meet, place, name=f"W{number}") for number in range(8)]
    asked = [host.request("admit-participant", {"roomId": place.id, "targetId": w.sid}) for w in waiters]
    acks = [(await ack)[0] for ack in asked]
    assert acks.count(OK) == 2
    assert acks.count(failure("Room is full")) == 6
    assert len(meet.present(place)) == await meet.open_rows(place) == 3
    assert len(waiting_at(meet, place)) == 6


async def test_locked_at_admission(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    assert await host.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
    assert await admit(host, place, waiter) == failure("Room is locked")
    assert await waiter.unread() == [told_to_wait(place, 1)]
    assert await host.ask("lock-room", {"roomId": place.id, "locked": False}) == OK
    assert await admit(host, place, waiter) == OK


async def test_guests_no_longer_welcome_at_admission(meet: Meet) -> None:
    place, ada = await meet.place(waitingRoom=True), await meet.person("Ada")
    host = await meet.join(place, place.host)
    guest, account = await knock(meet, place, name="Ann"), await knock(meet, place, ada)
    await meet.patch(place, allowGuestAccess=False)
    assert await admit(host, place, guest) == failure("Authentication required")
    assert await admit(host, place, account) == OK
    assert waiting_at(meet, place) == [guest.sid]


async def test_the_doors_are_opened(meet: Meet) -> None:
    """The setting is switched off: those who wait come in, in the order in which they knocked."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiters = [await knock(meet, place, name=name) for name in ("Ann", "Bea", "Cleo")]
    await host.unread()
    await meet.patch(place, waitingRoom=False)
    joined = [(await host.next("user-joined"))["participant"]["socketId"] for _ in waiters]
    assert joined == [waiter.sid for waiter in waiters]
    for number, waiter in enumerate(waiters):
        assert len((await waiter.next("room-joined"))["participants"]) == number + 1
    assert waiting_at(meet, place) == []


async def test_the_doors_are_opened_to_a_full_room(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True, maxParticipants=2)
    host = await meet.join(place, place.host)
    first, second = await knock(meet, place, name="Ann"), await knock(meet, place, name="Bea")
    await meet.patch(place, waitingRoom=False)
    await doors_tried(meet)
    assert meet.present(place) == [host.sid, first.sid]
    assert await first.ask("leave-room", {"roomId": place.id}) == OK
    assert names(await second.unread()) == ["waiting-room"]
    assert await admit(host, place, second) == OK


async def test_switched_on_while_somebody_is_on_the_way_in(meet: Meet) -> None:
    """The rules of the moment of admission hold: whoever is not in yet waits."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    late = await meet.connect()
    async with locked(meet, "Participant") as writing:
        answer = late.request("join-room", {"roomCode": place.code, "displayName": "Late"})
        await writing()
        await meet.patch(place, waitingRoom=True)
    async with asyncio.timeout(60):
        [ack] = await answer
    assert ack["waiting"] is True
    assert names(await host.unread()) == ["room-settings", "waiting-participant"]
    assert await meet.open_rows(place) == 1
    assert await admit(host, place, late) == OK


async def test_who_goes_while_being_let_in_is_not_in(meet: Meet) -> None:
    """The waiter's connection ends while its row is written: nobody is told of a join, the row is closed."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    await host.unread()
    async with locked(meet, "Participant") as writing:
        answer = host.request("admit-participant", {"roomId": place.id, "targetId": waiter.sid})
        await writing()
        waiter.disconnect()
        await host.next("waiting-participant-left")
    async with asyncio.timeout(60):
        [ack] = await answer
    assert ack["success"] is False
    assert await host.unread() == []
    assert meet.present(place) == [host.sid]
    assert await meet.open_rows(place) == 1
