"""Media state, hands and screens: the others in the room are told, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.meeting import OK, Meet, failure

EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("toggle-audio", {"enabled": False}),
    ("toggle-audio", {"enabled": True}),
    ("toggle-video", {"enabled": False}),
    ("toggle-video", {"enabled": True}),
    ("start-screen-share", {}),
    ("stop-screen-share", {}),
    ("toggle-hand-raise", {"raised": True}),
    ("toggle-hand-raise", {"raised": False}),
]


def told(event: str, fields: dict[str, Any], sid: str, name: str) -> tuple[str, dict[str, Any]]:
    """What the others get."""
    match event, fields:
        case "toggle-audio" | "toggle-video", {"enabled": enabled}:
            return f"user-{event}", {"socketId": sid, "enabled": enabled}
        case "start-screen-share", _:
            return "screen-share-started", {"socketId": sid}
        case "stop-screen-share", _:
            return "screen-share-stopped", {"socketId": sid}
        case "toggle-hand-raise", {"raised": True}:
            return "user-hand-raised", {"socketId": sid, "displayName": name}
        case _:
            return "user-hand-lowered", {"socketId": sid}


@pytest.mark.parametrize(("event", "fields"), EVENTS)
async def test_the_others_are_told(meet: Meet, event: str, fields: dict[str, Any]) -> None:
    place = await meet.place()
    elsewhere = await meet.join(await meet.place())
    host, member, guest = await meet.company(place)
    await guest.unread()
    assert await guest.ask(event, {"roomId": place.id, **fields}) == OK
    expected = [told(event, fields, guest.sid, "Gus")]
    assert await host.unread() == expected
    assert await member.unread() == expected
    assert await guest.unread() == []
    guest.emit(event, {"roomId": place.id, **fields})  # without a callback the same
    await guest.sync()
    assert await host.unread() == expected
    assert await elsewhere.unread() == []


@pytest.mark.parametrize(("event", "fields"), EVENTS)
async def test_a_foreign_room_is_refused(meet: Meet, event: str, fields: dict[str, Any]) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    stranger = await meet.join(other, other.host)
    outside = await meet.connect()
    for client, room in (
        (stranger, place.id),
        (stranger, place.code),
        (stranger, "no-such-room"),
        (outside, place.id),
    ):
        assert await client.ask(event, {"roomId": room, **fields}) == failure("Not in this room")
    for client in (host, stranger, outside):
        assert await client.unread() == []


async def test_screen_sharing_that_is_switched_off(meet: Meet) -> None:
    place = await meet.place(allowScreenShare=False)
    host, member, guest = await meet.company(place)
    await guest.unread()
    for client in (member, guest):
        refused = failure("Screen sharing is disabled")
        assert await client.ask("start-screen-share", {"roomId": place.id}) == refused
    assert await host.unread() == []
    assert await host.ask("start-screen-share", {"roomId": place.id}) == OK
    expected = [("screen-share-started", {"socketId": host.sid})]
    assert await member.unread() == expected
    assert await guest.unread() == expected


async def test_who_shares_may_stop_after_sharing_was_switched_off(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    assert await guest.ask("start-screen-share", {"roomId": place.id}) == OK
    await meet.patch(place, allowScreenShare=False)
    assert await guest.ask("stop-screen-share", {"roomId": place.id}) == OK
    await host.next("screen-share-stopped")
    assert await guest.ask("start-screen-share", {"roomId": place.id}) == failure(
        "Screen sharing is disabled"
    )
