"""`/api/rooms/:id/messages`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from neuron_meet.chat.history import History, UnknownMessageError
from neuron_meet.errors import ROOM_NOT_FOUND
from neuron_meet.rest.problems import HttpError
from neuron_meet.rest.routing import Access, Call, Route
from neuron_meet.rest.rules import QueryInteger, Text
from neuron_meet.rest.validation import Input
from neuron_meet.rest.views import ShownName, ShownPicture, Timestamp, View


class Page(Input):
    """Which messages: the newest `limit`, or those just older than the message `before`."""

    before: Annotated[str | None, Text(1, 64)] = None
    limit: Annotated[int, QueryInteger(1, 200)] = 100


class Author(View):
    """The account that wrote a message."""

    id: str
    name: ShownName
    display_name: ShownName | None
    avatar_url: ShownPicture


class MessageView(View):
    """A Message row with its author's account (null for a guest or a deleted account)."""

    id: str
    room_id: str
    user_id: str | None
    sender_name: ShownName | None
    content: str
    type: Literal["TEXT", "SYSTEM", "FILE"]
    created_at: Timestamp
    user: Author | None


def chat_routes(history: History) -> list[Route[Any]]:
    """The route of a room's messages."""

    async def messages(call: Call[Page]) -> list[MessageView]:
        try:
            rows = await history.page(
                call.path["id"], call.caller.id, limit=call.input.limit, before=call.input.before
            )
        except UnknownMessageError:
            raise HttpError(400, ["before must be the id of a message in this room"]) from None
        return [MessageView.model_validate(row) for row in rows]

    return [
        Route(
            method="GET",
            path="/api/rooms/{id}/messages",
            summary="A room's messages, ascending, for the host and attendees; for who has left, those until then",
            handler=messages,
            input=Page,
            output=list[MessageView],
            access=Access.BEARER,
            refusals=(ROOM_NOT_FOUND,),
        )
    ]
