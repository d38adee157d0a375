"""Leaving: by the event, by a disconnection of any kind; once for everybody, and the row is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, enter, failure, gone


async def test_leave_room(meet: Meet) -> None:
    place = await meet.place()
    elsewhere = await meet.join(await meet.place())
    host = await meet.join(place, place.host)
    mina = await meet.person("Mina")
    member = await meet.join(place, mina)
    guest = await meet.join(place)
    await host.unread()
    await member.unread()
    assert await guest.ask("leave-room", {"roomId": place.id}) == OK
    assert await guest.unread() == []
    assert await host.unread() == [gone(guest)]
    assert await member.unread() == [gone(guest)]
    assert await member.ask("leave-room", {"roomId": place.id}) == OK
    assert await host.unread() == [gone(member, mina)]
    await host.ask("chat-message", {"roomId": place.id, "content": "alone"})
    assert await guest.unread() == []
    assert await member.unread() == []
    assert await elsewhere.unread() == []
    assert await guest.ask("chat-message", {"roomId": place.id, "content": "x"}) == failure(
        "Not in this room"
    )


async def test_leaving_when_in_no_room(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.connect()
    assert await guest.ask("leave-room", {"roomId": place.id}) == OK
    await enter(guest, place)
    assert await guest.ask("leave-room", {"roomId": place.id}) == OK
    assert await guest.ask("leave-room", {"roomId": place.id}) == OK
    assert [name for name, _ in await host.unread()] == ["user-joined", "user-left"]


async def test_leaving_another_room_than_ones_own(meet: Meet) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    witness = await meet.join(other)
    assert await guest.ask("leave-room", {"roomId": other.id}) == failure("Not in this room")
    assert await host.unread() == []
    assert await witness.unread() == []
    assert await guest.ask("typing-stop", {"roomId": place.id}) == OK


async def test_rows_of_an_account_a_guest_and_the_host(meet: Meet) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina, name="Mina at work")
    guest = await meet.join(place, name="Gus")
    rows = await meet.rows(place)
    told = [
        {key: row[key] for key in ("roomId", "userId", "guestName", "isHost", "isActive", "leftAt")}
        for row in rows
    ]
    common = {"roomId": place.id, "isActive": True, "leftAt": None}
    assert told == [
        {**common, "userId": place.host.id, "guestName": None, "isHost": True},
        {**common, "userId": mina.id, "guestName": None, "isHost": False},
        {**common, "userId": None, "guestName": "Gus", "isHost": False},
    ]
    for client in (guest, member, host):
        await client.ask("leave-room", {"roomId": place.id})
    after = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1)
    for row in await meet.rows(place):
        assert row["isActive"] is False
        assert before < row["joinedAt"] <= row["leftAt"] < after


def close(client: Client) -> None:
    client.disconnect()


def cut(client: Client) -> None:
    client.kill()


@pytest.mark.parametrize("go", [close, cut])
async def test_a_disconnection_is_a_leave(meet: Meet, go: object) -> None:
    assert callable(go)
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina)
    guest = await meet.join(place)
    await host.unread()
    go(member)
    assert await host.next("user-left") == gone(member, mina)[1]
    assert await guest.next("user-left") == gone(member, mina)[1]
    assert await host.unread() == []
    assert await guest.unread() == []
    assert [row["isActive"] for row in await meet.rows(place)] == [True, False, True]
    again = await meet.join(place, mina)
    assert await host.unread() != []
    assert set(meet.present(place)) == {host.sid, guest.sid, again.sid}


async def test_a_polling_client_that_disconnects(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, transports=["polling"])
    await host.unread()
    guest.disconnect()
    assert await host.next("user-left") == gone(guest)[1]
    assert await host.unread() == []
    assert await meet.open_rows(place) == 1


async def test_a_leave_just_before_a_disconnection_is_told_once(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    guest.emit("leave-room", {"roomId": place.id})
    guest.disconnect()
    assert await host.next("user-left") == gone(guest)[1]
    await guest.next("$disconnected")
    assert await host.unread() == []


async def test_the_last_one_out_and_the_next_one_in(meet: Meet) -> None:
    place = await meet.place()
    first = await meet.join(place, name="First")
    await first.ask("leave-room", {"roomId": place.id})
    assert meet.present(place) == []
    second = await meet.connect()
    assert (await enter(second, place))["participants"] == []
