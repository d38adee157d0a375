"""At the door of a room: knocking, and what is told about it."""

from __future__ import annotations

from typing import Any

from tests.wire.clients import Client, Event
from tests.wire.meeting import Meet, Person, Place, enter

WAITING = "Waiting for the host to let you in"
DENIED = "The host did not let you in"
WAITS = {"success": False, "waiting": True, "error": WAITING}
"""The acknowledgement of a knock."""


async def knock(
    meet: Meet,
    place: Place,
    who: Person | None = None,
    name: str | None = None,
    *,
    shows: bool = True,
    **options: Any,
) -> Client:
    """A socket that has been told to wait; `shows`: its front end says that it can show a knock."""
    auth: dict[str, Any] = {"token": who.token} if who else {}
    if shows:
        auth["capabilities"] = ["waiting-room"]
    client = await meet.connect(auth=auth, **options)
    assert await enter(client, place, name or (who.name if who else "Guest")) == WAITS
    return client


def knocked(client: Client, name: str, who: Person | None = None) -> Event:
    """What the host is told of a knock."""
    said = {"socketId": client.sid, "displayName": name, "userId": who.id if who else None}
    return "waiting-participant", said


def left_the_door(client: Client) -> Event:
    """What the host is told when somebody no longer waits."""
    return "waiting-participant-left", {"socketId": client.sid}


def told_to_wait(place: Place, position: int) -> Event:
    """What a front end is told that can show a knock."""
    return "waiting-room", {"roomId": place.id, "roomCode": place.code, "position": position}


async def admit(host: Client, place: Place, waiter: Client) -> dict[str, Any]:
    """Let somebody in; the acknowledgement."""
    return await host.ask("admit-participant", {"roomId": place.id, "targetId": waiter.sid})


async def deny(host: Client, place: Place, waiter: Client) -> dict[str, Any]:
    """Do not let somebody in; the acknowledgement."""
    return await host.ask("deny-participant", {"roomId": place.id, "targetId": waiter.sid})


def waiting_at(meet: Meet, place: Place) -> list[str]:
    """Socket ids that the server itself takes to be waiting, in order."""
    return meet.waiting(place)


def names(events: list[Event]) -> list[str]:
    """The names of events."""
    return [name for name, _ in events]


async def doors_tried(meet: Meet) -> None:
    """Return when everybody has been let in whom opened doors let in."""
    await meet.background_done()
