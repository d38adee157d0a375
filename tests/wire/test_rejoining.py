"""Joining again: on the same socket, and on another socket of the same account."""

from __future__ import annotations

from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, enter, failure, gone, joining, locked, refused_join

TAKEN_OVER = ("force-disconnect", {"reason": "Joined from another device"})


async def names(client: Client) -> list[str]:
    """Names of the unread events."""
    return [name for name, _ in await client.unread()]


async def test_the_same_room_again_on_the_same_socket(meet: Meet) -> None:
    """What a front end without recovery does after a reconnection: the others drop the old peer connection."""
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.ask("toggle-audio", {"roomId": place.id, "enabled": False})
    await host.unread()
    ack = await enter(guest, place, "Gus again")
    assert ack["success"] is True
    assert [one["socketId"] for one in ack["participants"]] == [host.sid, member.sid]
    told = await host.unread()
    assert told[0] == gone(guest)
    assert told[1][0] == "user-joined"
    participant = told[1][1]["participant"]
    assert (participant["socketId"], participant["displayName"]) == (guest.sid, "Gus again")
    assert participant["isMuted"] is False
    assert len(told) == 2
    assert (await member.unread())[1:] == told
    assert await names(guest) == ["room-joined"]
    rows = await meet.rows(place)
    assert [(row["guestName"], row["isActive"]) for row in rows[2:]] == [("Gus", False), ("Gus again", True)]


async def test_the_same_room_again_when_it_is_full_or_locked(meet: Meet) -> None:
    place = await meet.place(maxParticipants=2)
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.ask("lock-room", {"roomId": place.id, "locked": True})
    assert (await enter(guest, place))["success"] is True
    assert meet.present(place) == [host.sid, guest.sid]
    assert await meet.open_rows(place) == 2


async def test_another_room_on_the_same_socket(meet: Meet) -> None:
    first, second = await meet.place(), await meet.place()
    host = await meet.join(first, first.host)
    other = await meet.join(second, second.host)
    mina = await meet.person("Mina")
    member = await meet.join(first, mina)
    await host.unread()
    ack = await enter(member, second)
    assert (ack["success"], ack["roomId"]) == (True, second.id)
    assert await host.unread() == [gone(member, mina)]
    assert await names(other) == ["user-joined"]
    assert await member.ask("typing-start", {"roomId": first.id}) == failure("Not in this room")
    await host.ask("typing-start", {"roomId": first.id})
    assert await names(member) == ["room-joined"]
    assert await meet.open_rows(first) == 1
    assert await meet.open_rows(second) == 2


async def test_the_former_room_is_left_first_even_when_the_other_one_refuses(meet: Meet) -> None:
    first, second = await meet.place(), await meet.place(isLocked=True)
    host = await meet.join(first, first.host)
    guest = await meet.join(first)
    await host.unread()
    assert await enter(guest, second) == failure("Room is locked")
    assert await guest.unread() == [refused_join("Room is locked")]
    assert await host.unread() == [gone(guest)]
    assert await meet.open_rows(first) == 1


async def test_a_join_that_cannot_even_be_read_moves_nobody(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    await guest.ask("join-room", None)
    await guest.ask("join-room", {"roomCode": "nonsense", "displayName": "x"})
    assert await host.unread() == []
    assert await guest.ask("typing-start", {"roomId": place.id}) == OK


async def test_a_second_socket_of_an_account_takes_over(meet: Meet) -> None:
    place = await meet.place()
    host, _, guest = await meet.company(place)
    ida = await meet.person("Ida")
    old = await meet.join(place, ida)
    await host.unread()
    await guest.unread()
    new = await meet.connect(ida)
    ack = await enter(new, place)
    assert ack["success"] is True
    assert old.sid not in [one["socketId"] for one in ack["participants"]]
    assert len(ack["participants"]) == 3
    assert await old.unread() == [TAKEN_OVER]
    for other in (host, guest):
        left, joined = await other.unread()
        assert left == gone(old, ida)
        assert joined[0] == "user-joined"
        assert joined[1]["participant"]["socketId"] == new.sid
    assert await names(new) == ["room-joined"]

    await host.ask("chat-message", {"roomId": place.id, "content": "hello"})
    assert await old.unread() == []  # it is out of the room
    assert await old.ask("typing-start", {"roomId": place.id}) == failure("Not in this room")
    old.disconnect()  # … and its end disturbs nobody
    await old.next("$disconnected")
    assert [name for name, _ in await host.unread()] == ["chat-message"]
    rows = [row for row in await meet.rows(place) if row["userId"] == ida.id]
    assert [row["isActive"] for row in rows] == [False, True]


async def test_taking_over_in_a_full_and_locked_room(meet: Meet) -> None:
    place = await meet.place(maxParticipants=2)
    host = await meet.join(place, place.host)
    ida = await meet.person("Ida")
    old = await meet.join(place, ida)
    await host.ask("lock-room", {"roomId": place.id, "locked": True})
    await old.unread()
    new = await meet.connect(ida)
    assert (await enter(new, place))["success"] is True
    assert await old.unread() == [TAKEN_OVER]
    assert meet.present(place) == [host.sid, new.sid]
    stranger = await meet.connect(await meet.person("Otto"))
    assert await enter(stranger, place) == failure("Room is locked")


async def test_the_host_takes_over_and_stays_the_host(meet: Meet) -> None:
    place = await meet.place()
    old = await meet.join(place, place.host)
    new = await meet.join(place, place.host)
    assert await old.unread() == [TAKEN_OVER]
    assert await new.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
    assert await old.ask("lock-room", {"roomId": place.id, "locked": False}) == failure("Not authorized")


async def test_guests_of_one_name_do_not_take_over(meet: Meet) -> None:
    place = await meet.place()
    first = await meet.join(place, name="Gus")
    await meet.join(place, name="Gus")
    assert await names(first) == ["user-joined"]
    assert await meet.open_rows(place) == 2


async def test_a_take_over_that_fails_leaves_the_old_socket_in_place(meet: Meet) -> None:
    place = await meet.place()
    ida = await meet.person("Ida")
    old = await meet.join(place, ida)
    new = await meet.connect(ida)
    async with locked(meet, "Participant") as writing:
        new.emit("join-room", joining(place))
        await writing()
        new.kill()
        await new.next("$disconnected")
    late = await meet.join(place, name="Late")
    assert await names(old) == ["user-joined"]
    assert set(meet.present(place)) == {old.sid, late.sid}
    assert await meet.open_rows(place) == 2
