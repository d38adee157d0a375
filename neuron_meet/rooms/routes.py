"""`/api/rooms`, and the rooms of the account that calls."""

from __future__ import annotations

from typing import Annotated, Any

from neuron_meet.errors import (
    ONLY_HOST_END,
    ONLY_HOST_SETTINGS,
    ROOM_NOT_FOUND,
    TOO_MANY_REQUESTS,
    TOO_MANY_ROOMS,
)
from neuron_meet.rates import counted
from neuron_meet.rest.limits import FailureLimit
from neuron_meet.rest.routing import Access, Call, Route
from neuron_meet.rest.rules import Boolean, Integer, Name
from neuron_meet.rest.validation import Input
from neuron_meet.rooms.service import RoomService
from neuron_meet.rooms.views import DoorView, LiveParticipantView, ParticipantView, RoomView


class NewRoom(Input):
    """A room to make (contract/rest.md, Bodies)."""

    name: Annotated[str, Name(1, 100)] = "Meeting Room"
    waiting_room: Annotated[bool, Boolean()] = False
    max_participants: Annotated[int, Integer(2, 100)] = 50


class SettingsChange(Input):
    """Settings to change; what is absent or null stays as it is."""

    allow_screen_share: Annotated[bool | None, Boolean()] = None
    allow_chat: Annotated[bool | None, Boolean()] = None
    waiting_room: Annotated[bool | None, Boolean()] = None
    is_locked: Annotated[bool | None, Boolean()] = None
    allow_guest_access: Annotated[bool | None, Boolean()] = None
    mute_participants_on_join: Annotated[bool | None, Boolean()] = None
    max_participants: Annotated[int | None, Integer(2, 100)] = None


def rooms_routes(rooms: RoomService, lookups: FailureLimit) -> list[Route[Any]]:
    """The routes of `/api/rooms` (but for messages, which belong to chat) and `/api/users/me/rooms`.

    `lookups`, by address, slows down who guesses codes: what they get is mostly nothing (`ROOM_NOT_FOUND`).
    """

    async def create(call: Call[NewRoom]) -> RoomView:
        room = await rooms.create(
            call.caller.id,
            name=call.input.name,
            waiting_room=call.input.waiting_room,
            max_participants=call.input.max_participants,
        )
        return RoomView.model_validate(room)

    async def mine(call: Call[None]) -> list[RoomView]:
        return [RoomView.model_validate(room) for room in await rooms.newest_of(call.caller.id)]

    async def find(call: Call[None]) -> RoomView:
        return RoomView.model_validate(await rooms.find(call.path["id"]))

    async def find_by_code(call: Call[None]) -> DoorView:
        async with lookups.attempt(*counted(call.address)):
            return DoorView.model_validate(await rooms.find_by_code(call.path["code"]))

    async def live_participants(call: Call[None]) -> list[LiveParticipantView]:
        async with lookups.attempt(*counted(call.address)) as attempt:
            people = await rooms.live_participants(call.path["code"])
            attempt.failed = not people
        return [LiveParticipantView.model_validate(person) for person in people]

    async def open_participants(call: Call[None]) -> list[ParticipantView]:
        rows = await rooms.open_participants(call.path["id"], call.caller.id)
        return [ParticipantView.model_validate(row) for row in rows]

    async def change_settings(call: Call[SettingsChange]) -> RoomView:
        changes: dict[str, bool | int] = call.input.model_dump(by_alias=True, exclude_none=True)
        is_locked = changes.pop("isLocked", None)
        room = await rooms.change_settings(
            call.path["id"], call.caller.id, changes, is_locked=None if is_locked is None else bool(is_locked)
        )
        return RoomView.model_validate(room)

    async def end(call: Call[None]) -> RoomView:
        return RoomView.model_validate(await rooms.end(call.path["id"], call.caller.id))

    bearer = Access.BEARER
    missing = (ROOM_NOT_FOUND,)
    return [
        Route(
            method="POST",
            path="/api/rooms",
            summary="Make a room",
            handler=create,
            input=NewRoom,
            output=RoomView,
            access=bearer,
            status=201,
            refusals=(TOO_MANY_ROOMS,),
        ),
        Route(
            method="GET",
            path="/api/users/me/rooms",
            summary="The 20 newest rooms that the account hosts or attended, as other answers show a room",
            handler=mine,
            output=list[RoomView],
            access=bearer,
        ),
        Route(
            method="GET",
            path="/api/rooms/code/{code}",
            summary="A room as anybody with its code sees it",
            handler=find_by_code,
            output=DoorView,
            refusals=(ROOM_NOT_FOUND, TOO_MANY_REQUESTS),
        ),
        Route(
            method="GET",
            path="/api/rooms/code/{code}/participants",
            summary="Those in the room now; an empty list for an unknown code",
            handler=live_participants,
            output=list[LiveParticipantView],
            refusals=(TOO_MANY_REQUESTS,),
        ),
        Route(
            method="GET",
            path="/api/rooms/{id}",
            summary="A room with its settings and host",
            handler=find,
            output=RoomView,
            access=bearer,
            refusals=missing,
        ),
        Route(
            method="PATCH",
            path="/api/rooms/{id}/settings",
            summary="Change a room's settings, at once in the meeting too",
            handler=change_settings,
            input=SettingsChange,
            output=RoomView,
            access=bearer,
            refusals=(ROOM_NOT_FOUND, ONLY_HOST_SETTINGS),
        ),
        Route(
            method="DELETE",
            path="/api/rooms/{id}",
            summary="End a room: everybody in it is told and leaves",
            handler=end,
            output=RoomView,
            access=bearer,
            refusals=(ROOM_NOT_FOUND, ONLY_HOST_END),
        ),
        Route(
            method="GET",
            path="/api/rooms/{id}/participants",
            summary="Open Participant rows, for the host and attendees; none for who has left",
            handler=open_participants,
            output=list[ParticipantView],
            access=bearer,
            refusals=missing,
        ),
    ]
