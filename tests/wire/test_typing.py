"""Typing indicators: the others see them, and see them end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, failure, gone


def typing(client: Client, name: str, is_typing: bool) -> tuple[str, dict[str, Any]]:
    """What the others get."""
    return "user-typing", {"socketId": client.sid, "displayName": name, "isTyping": is_typing}


async def test_start_and_stop(meet: Meet) -> None:
    place = await meet.place()
    elsewhere = await meet.join(await meet.place())
    host, member, guest = await meet.company(place)
    await guest.unread()
    assert await guest.ask("typing-start", {"roomId": place.id}) == OK
    assert await guest.ask("typing-stop", {"roomId": place.id}) == OK
    for other in (host, member):
        assert await other.unread() == [typing(guest, "Gus", True), typing(guest, "Gus", False)]
    assert await guest.unread() == []
    assert await elsewhere.unread() == []


async def test_it_ends_by_itself_after_three_seconds_without_a_new_start(meet: Meet) -> None:
    place = await meet.place()
    host, _, guest = await meet.company(place)
    clock = asyncio.get_running_loop()
    started = clock.time()
    await guest.ask("typing-start", {"roomId": place.id})
    assert await host.next("user-typing") == typing(guest, "Gus", True)[1]
    assert await host.next("user-typing") == typing(guest, "Gus", False)[1]
    assert 2.9 <= clock.time() - started < 6
    assert await host.unread() == []


async def test_a_new_start_puts_the_end_off(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    clock = asyncio.get_running_loop()
    await guest.ask("typing-start", {"roomId": place.id})
    await member.ask("typing-start", {"roomId": place.id})
    seen: list[tuple[str, Any]] = []
    while typing(member, "Mina", False) not in seen:  # whose indicator is the clock: it is not renewed
        renewed = clock.time()
        await guest.ask("typing-start", {"roomId": place.id})
        seen += await host.unread()
    assert typing(guest, "Gus", False) not in seen
    assert await host.next("user-typing") == typing(guest, "Gus", False)[1]
    assert clock.time() - renewed >= 2.9


async def test_it_ends_with_a_message(meet: Meet) -> None:
    place = await meet.place()
    host, _, guest = await meet.company(place)
    await guest.unread()
    await guest.ask("typing-start", {"roomId": place.id})
    await guest.ask("chat-message", {"roomId": place.id, "content": "done"})
    events = await host.unread()
    assert [name for name, _ in events] == ["user-typing", "chat-message", "user-typing"]
    assert events[2] == typing(guest, "Gus", False)
    assert [name for name, _ in await guest.unread()] == ["chat-message"]
    await guest.ask("chat-message", {"roomId": place.id, "content": "not typing now"})
    assert [name for name, _ in await host.unread()] == ["chat-message"]


@pytest.mark.parametrize("way", ["leave", "disconnect", "kill", "remove"])
async def test_it_ends_on_leaving(meet: Meet, way: str) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.ask("typing-start", {"roomId": place.id})
    await meet.quiet(guest)  # the node that takes them out knows that they type
    match way:
        case "leave":
            guest.emit("leave-room", {"roomId": place.id})
        case "disconnect":
            guest.disconnect()
        case "kill":
            guest.kill()
        case _:
            host.emit("remove-participant", {"roomId": place.id, "targetId": guest.sid})
    for other in (host, member):
        assert await other.next("user-left") == gone(guest)[1]
        assert await other.unread() == [typing(guest, "Gus", True), typing(guest, "Gus", False)]


async def test_who_only_looks_ends_nothing(meet: Meet) -> None:
    place = await meet.place()
    host, _, guest = await meet.company(place)
    await guest.ask("leave-room", {"roomId": place.id})
    assert await host.unread() == [gone(guest)]


@pytest.mark.parametrize("event", ["typing-start", "typing-stop"])
async def test_a_foreign_room_is_refused(meet: Meet, event: str) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    stranger = await meet.join(other)
    outside = await meet.connect()
    for client in (stranger, outside):
        assert await client.ask(event, {"roomId": place.id}) == failure("Not in this room")
    assert await host.unread() == []
