"""Host controls: the server acts, whatever the target's browser does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, Place, enter, failure, gone, refused_join

REMOVED = ("force-disconnect", {"reason": "Removed by host"})
CONTROLS: list[tuple[str, dict[str, Any]]] = [
    ("mute-participant", {"targetId": ""}),
    ("remove-participant", {"targetId": ""}),
    ("lock-room", {"locked": True}),
]


def aimed(place: Place, target: Client, field: str = "targetId") -> dict[str, Any]:
    """The payload of a control aimed at a participant."""
    return {"roomId": place.id, field: target.sid}


async def locks(meet: Meet, place: Place) -> list[bool]:
    """The lock in the room's row and in its settings row."""
    (row,) = await meet.sql(
        'SELECT r."isLocked" AS room, s."isLocked" AS settings FROM "Room" r '
        'JOIN "RoomSettings" s ON s."roomId" = r.id WHERE r.id = $1',
        place.id,
    )
    return [row["room"], row["settings"]]


@pytest.mark.parametrize("field", ["targetId", "participantId"])
async def test_mute(meet: Meet, field: str) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    assert await host.ask("mute-participant", aimed(place, guest, field)) == OK
    muted = ("user-toggle-audio", {"socketId": guest.sid, "enabled": False})
    assert await guest.unread() == [("force-mute", {}), muted]
    assert await member.unread() == [muted]
    assert await host.unread() == [muted]
    newcomer = await meet.connect()
    listed = (await enter(newcomer, place))["participants"]
    assert {one["socketId"]: one["isMuted"] for one in listed} == {
        host.sid: False,
        member.sid: False,
        guest.sid: True,
    }
    assert await guest.ask("toggle-audio", {"roomId": place.id, "enabled": True}) == OK


@pytest.mark.parametrize("field", ["targetId", "participantId"])
async def test_remove(meet: Meet, field: str) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    assert await host.ask("remove-participant", aimed(place, guest, field)) == OK
    assert await guest.unread() == [REMOVED]
    assert await host.unread() == [gone(guest)]
    assert await member.unread() == [gone(guest)]
    # The target stays connected and asks for nothing, and still it is out.
    await host.ask("chat-message", {"roomId": place.id, "content": "now we can talk"})
    await member.ask("toggle-hand-raise", {"roomId": place.id, "raised": True})
    assert await guest.unread() == []
    for event, payload in (
        ("chat-message", {"roomId": place.id, "content": "let me"}),
        ("toggle-audio", {"roomId": place.id, "enabled": True}),
        ("offer", {"targetId": host.sid, "sdp": "v=0"}),
    ):
        assert await guest.ask(event, payload) == failure("Not in this room")
    refused = await member.ask("offer", {"targetId": guest.sid, "sdp": "v=0"})
    assert refused == failure("Participant not found")
    assert await guest.unread() == []
    assert [row["isActive"] for row in await meet.rows(place)] == [True, True, False]
    guest.disconnect()
    await guest.next("$disconnected")
    assert "user-left" not in [name for name, _ in await host.unread()]


async def test_a_removed_guest_does_not_come_back_on_the_same_socket(meet: Meet) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, name="Gus")
    await host.ask("remove-participant", aimed(place, guest))
    await guest.unread()
    for name in ("Gus", "Another name"):
        assert await enter(guest, place, name) == failure("You were removed from this meeting")
        assert await guest.unread() == [refused_join("You were removed from this meeting")]
    assert (await enter(guest, other, "Gus"))["success"] is True  # one meeting is meant, not all
    assert [name for name, _ in await host.unread()] == ["user-joined", "user-left"]


async def test_a_removed_account_does_not_come_back_on_any_socket(meet: Meet) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina)
    await host.ask("remove-participant", aimed(place, member))
    assert await member.unread() == [REMOVED]
    again = await meet.connect(mina)
    assert await enter(again, place, "Somebody else") == failure("You were removed from this meeting")
    other = await meet.connect(await meet.person("Ona"))
    assert (await enter(other, place))["success"] is True


async def test_who_was_taken_over_and_removed(meet: Meet) -> None:
    """Removing the new socket of an account keeps the old one out too."""
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    old = await meet.join(place, mina)
    new = await meet.join(place, mina)
    refused = await host.ask("remove-participant", aimed(place, old))
    assert refused == failure("Participant not found")
    assert await host.ask("remove-participant", aimed(place, new)) == OK
    assert await enter(old, place) == failure("You were removed from this meeting")


async def test_lock_and_unlock(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    for locked in (True, False):
        assert await host.ask("lock-room", {"roomId": place.id, "locked": locked}) == OK
        assert await member.unread() == [("room-locked", {"locked": locked})]
        assert await guest.unread() == [("room-locked", {"locked": locked})]
        assert await host.unread() == []
        assert await locks(meet, place) == [locked, locked]
        newcomer = await meet.connect()
        answer = await enter(newcomer, place)
        assert answer["success"] is not locked
        _, room = await meet.rest("GET", f"/api/rooms/code/{place.code}")
        assert room["isLocked"] is locked


async def test_a_lock_of_a_room_without_a_settings_row(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    await meet.sql('DELETE FROM "RoomSettings" WHERE "roomId" = $1', place.id)
    assert await host.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
    guest = await meet.connect()
    assert await enter(guest, place) == failure("Room is locked")
    assert await locks(meet, place) == [True, True]


async def test_locks_in_quick_succession_end_as_the_last_one(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    answers = [
        host.request("lock-room", {"roomId": place.id, "locked": number % 2 == 0}) for number in range(9)
    ]
    for answer in answers:
        assert await answer == [OK]
    told = [payload["locked"] for name, payload in await guest.unread() if name == "room-locked"]
    assert told == [number % 2 == 0 for number in range(9)]
    assert await locks(meet, place) == [True, True]


@pytest.mark.parametrize(("event", "fields"), CONTROLS)
async def test_others_than_the_host_are_refused(meet: Meet, event: str, fields: dict[str, Any]) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    for caller, target in ((member, guest), (guest, host), (guest, member), (member, host), (guest, guest)):
        payload = {"roomId": place.id, **fields, **({"targetId": target.sid} if "targetId" in fields else {})}
        assert await caller.ask(event, payload) == failure("Not authorized")
    for client in (host, member, guest):
        assert await client.unread() == []
    assert await locks(meet, place) == [False, False]


@pytest.mark.parametrize(("event", "fields"), CONTROLS)
async def test_a_foreign_room_is_refused(meet: Meet, event: str, fields: dict[str, Any]) -> None:
    """Hosting one room gives no say in another, nor in one's own while one is not in it."""
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    stranger = await meet.join(other, other.host)
    absent = await meet.connect(place.host)
    payload = {"roomId": place.id, **fields, **({"targetId": guest.sid} if "targetId" in fields else {})}
    assert await stranger.ask(event, payload) == failure("Not in this room")
    assert await absent.ask(event, payload) == failure("Not authorized")
    for client in (host, guest, stranger):
        assert await client.unread() == []
    assert await locks(meet, place) == [False, False]


@pytest.mark.parametrize("event", ["mute-participant", "remove-participant"])
async def test_targets_that_are_refused(meet: Meet, event: str) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    stranger = await meet.join(other)
    outside = await meet.connect()
    left = await meet.join(place)
    await left.ask("leave-room", {"roomId": place.id})
    await host.unread()
    for target in (stranger, outside, left, host):
        assert await host.ask(event, aimed(place, target)) == failure("Participant not found")
    for payload in (
        {"roomId": place.id},
        {"roomId": place.id, "targetId": None},
        {"roomId": place.id, "targetId": 7},
    ):
        assert await host.ask(event, payload) == failure("Invalid request")
    for client in (host, stranger, outside, left):
        assert await client.unread() == []
    assert await meet.open_rows(place) == 1
