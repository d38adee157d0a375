"""What REST does to a meeting that is going on, and what it tells about it."""

from __future__ import annotations

from typing import Any

from tests.wire.meeting import OK, Meet, enter, failure, refused_join

SETTINGS = {
    "allowScreenShare": True,
    "allowChat": True,
    "waitingRoom": False,
    "allowGuestAccess": True,
    "muteParticipantsOnJoin": False,
    "isLocked": False,
    "maxParticipants": 50,
}


async def test_a_change_of_settings_is_told_and_holds(meet: Meet) -> None:
    place = await meet.place()
    elsewhere = await meet.join(await meet.place())
    host, member, guest = await meet.company(place)
    await guest.unread()
    await meet.patch(place, allowChat=False, allowScreenShare=False)
    expected = [("room-settings", {**SETTINGS, "allowChat": False, "allowScreenShare": False})]
    for client in (host, member, guest):
        assert await client.unread() == expected
    assert await elsewhere.unread() == []
    answer = await guest.ask("chat-message", {"roomId": place.id, "content": "x"})
    assert answer == failure("Chat is disabled")
    assert await guest.ask("start-screen-share", {"roomId": place.id}) == failure(
        "Screen sharing is disabled"
    )
    await meet.patch(place, allowChat=True)
    assert await guest.unread() == [("room-settings", {**SETTINGS, "allowScreenShare": False})]
    assert (await guest.ask("chat-message", {"roomId": place.id, "content": "x"}))["success"] is True


async def test_every_setting(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    changes: list[dict[str, Any]] = [
        {"muteParticipantsOnJoin": True},
        {"allowGuestAccess": False},
        {"maxParticipants": 7},
    ]
    now = dict(SETTINGS)
    for change in changes:
        now |= change
        await meet.patch(place, **change)
        assert await host.unread() == [("room-settings", now)]
    guest = await meet.connect()
    assert await enter(guest, place) == failure("Authentication required")


async def test_a_smaller_room_lets_nobody_in_and_throws_nobody_out(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await meet.patch(place, maxParticipants=2)
    newcomer = await meet.connect()
    assert await enter(newcomer, place) == failure("Room is full")
    assert meet.present(place) == [host.sid, member.sid, guest.sid]
    await guest.ask("leave-room", {"roomId": place.id})
    assert await enter(newcomer, place) == failure("Room is full")
    await member.ask("leave-room", {"roomId": place.id})
    assert (await enter(newcomer, place))["success"] is True


async def test_a_lock_over_rest(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    for locked in (True, False):
        room = await meet.patch(place, isLocked=locked)
        assert (room["isLocked"], room["settings"]["isLocked"]) == (locked, locked)
        for client in (host, member, guest):
            events = sorted(await client.unread())
            assert events == [
                ("room-locked", {"locked": locked}),
                ("room-settings", {**SETTINGS, "isLocked": locked}),
            ]
        newcomer = await meet.connect()
        assert (await enter(newcomer, place))["success"] is not locked
    await host.ask("lock-room", {"roomId": place.id, "locked": True})
    _, room = await meet.rest("GET", f"/api/rooms/{place.id}", place.host)
    assert (room["isLocked"], room["settings"]["isLocked"]) == (True, True)


async def test_a_lock_that_is_there_already_is_not_told_again(meet: Meet) -> None:
    place = await meet.place()
    guest = await meet.join(place)
    await meet.patch(place, isLocked=False)
    assert await guest.unread() == [("room-settings", SETTINGS)]


async def test_the_end_of_a_meeting(meet: Meet) -> None:
    place = await meet.place()
    elsewhere = await meet.join(await meet.place())
    host, member, guest = await meet.company(place)
    await guest.unread()
    await guest.ask("typing-start", {"roomId": place.id})
    await host.unread()
    await member.unread()
    status, room = await meet.rest("DELETE", f"/api/rooms/{place.id}", place.host)
    assert (status, room["isActive"]) == (200, False)
    ended = [("room-ended", {"roomId": place.id, "reason": "The host ended the meeting"})]
    for client in (host, member, guest):
        assert await client.unread() == ended
        answer = await client.ask("chat-message", {"roomId": place.id, "content": "hello?"})
        assert answer == failure("Not in this room")
    assert await elsewhere.unread() == []
    rows = await meet.rows(place)
    assert [(row["isActive"], row["leftAt"] is not None) for row in rows] == [(False, True)] * 3
    assert meet.present(place) == []
    assert await enter(guest, place) == failure("Room is no longer active")
    assert await guest.unread() == [refused_join("Room is no longer active")]
    guest.disconnect()
    await guest.next("$disconnected")
    assert await host.unread() == []
    assert await host.ask("leave-room", {"roomId": place.id}) == OK


async def test_participants_over_rest(meet: Meet) -> None:
    place = await meet.place()
    mina = await meet.person("Mina", avatarUrl="https://example.com/m.png")
    here, rows = f"/api/rooms/code/{place.code}/participants", f"/api/rooms/{place.id}/participants"
    assert await meet.rest("GET", here) == (200, [])
    await meet.join(place, place.host, name="Hella")
    member = await meet.join(place, mina)
    guest = await meet.join(place, name="Gus")
    status, people = await meet.rest("GET", here)
    assert status == 200
    assert [{key: one[key] for key in one if key != "id"} for one in people] == [
        {"displayName": "Hella", "avatarUrl": None, "isHost": True},
        {"displayName": "Mina", "avatarUrl": "https://example.com/m.png", "isHost": False},
        {"displayName": "Gus", "avatarUrl": None, "isHost": False},
    ]
    status, stored = await meet.rest("GET", rows, place.host)
    assert status == 200
    assert [row["id"] for row in stored] == [one["id"] for one in people]
    assert [row["user"] and row["user"]["displayName"] for row in stored] == ["Host", "Mina", None]
    await member.ask("leave-room", {"roomId": place.id})
    assert await meet.open_rows(place) == 2
    guest.kill()
    await guest.next("$disconnected")
    await meet.until_gone(place, guest.sid)
    assert [one["displayName"] for one in (await meet.rest("GET", here))[1]] == ["Hella"]
    assert await meet.open_rows(place) == 1
    _, stored = await meet.rest("GET", rows, place.host)
    assert [row["isHost"] for row in stored] == [True]
    assert await meet.rest("GET", rows, mina) == (200, []), "she has left"


async def test_messages_over_rest_are_those_of_the_meeting(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    said = [
        (await host.ask("chat-message", {"roomId": place.id, "content": f"{n}"}))["message"]["id"]
        for n in range(5)
    ]
    status, messages = await meet.rest("GET", f"/api/rooms/{place.id}/messages", place.host)
    assert status == 200
    assert [message["id"] for message in messages] == said
