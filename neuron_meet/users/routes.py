"""`/api/users`: profiles, and the rooms of the account that calls."""

from __future__ import annotations

from typing import Annotated, Any

from neuron_meet.errors import USER_NOT_FOUND
from neuron_meet.rest.routing import Access, Call, Route
from neuron_meet.rest.rules import DISPLAY_NAME, HttpUrl
from neuron_meet.rest.validation import Input
from neuron_meet.rest.views import Timestamp, View
from neuron_meet.users.service import Profiles


class ProfileChange(Input):
    """What an account may change about itself. Null or absent leaves a display name; null clears an avatar."""

    display_name: Annotated[str | None, DISPLAY_NAME] = None
    avatar_url: Annotated[str | None, HttpUrl(2048)] = None


class Profile(View):
    """An account as others see it: without its e-mail address."""

    id: str
    display_name: str | None
    avatar_url: str | None
    created_at: Timestamp


class OwnProfile(Profile):
    """An account as it sees itself."""

    email: str


def users_routes(profiles: Profiles) -> list[Route[Any]]:
    """The routes of `/api/users`, but for `/api/users/me/rooms`, which belongs to rooms."""

    async def find(call: Call[None]) -> Profile:
        account = await profiles.find(call.path["id"])
        view = OwnProfile if account.id == call.caller.id else Profile
        return view.model_validate(account)

    async def change(call: Call[ProfileChange]) -> OwnProfile:
        account = await profiles.change(
            call.caller.id,
            display_name=call.input.display_name,
            avatar_url=call.input.avatar_url,
            set_avatar="avatar_url" in call.input.model_fields_set,
        )
        return OwnProfile.model_validate(account)

    return [
        Route(
            method="GET",
            path="/api/users/{id}",
            summary="An account's profile; with its e-mail address only for itself",
            handler=find,
            output=OwnProfile | Profile,
            access=Access.BEARER,
            refusals=(USER_NOT_FOUND,),
        ),
        Route(
            method="PATCH",
            path="/api/users/me",
            summary="Change one's own profile",
            handler=change,
            input=ProfileChange,
            output=OwnProfile,
            access=Access.BEARER,
        ),
    ]
