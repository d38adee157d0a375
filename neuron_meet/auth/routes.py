"""`/api/auth`: register, log in, who am I."""

from __future__ import annotations

from typing import Annotated, Any

from neuron_meet.auth.service import Accounts
from neuron_meet.errors import EMAIL_TAKEN, INVALID_CREDENTIALS, TOO_MANY_REQUESTS, UNAVAILABLE
from neuron_meet.rest.routing import Access, Call, Route
from neuron_meet.rest.rules import DISPLAY_NAME, Email, LoginEmail, Password, Text
from neuron_meet.rest.validation import Input
from neuron_meet.rest.views import Timestamp, View


class Registration(Input):
    """A new account (contract/rest.md, Bodies)."""

    email: Annotated[str, Email()]
    password: Annotated[str, Password(8, 100)]
    display_name: Annotated[str, DISPLAY_NAME]


class Login(Input):
    """An account's address and password. Only their types are checked: what is wrong is a 401."""

    email: Annotated[str, LoginEmail()]
    password: Annotated[str, Text(0, 4096)]


class LoggedInUser(View):
    """The account as login shows it."""

    id: str
    email: str
    display_name: str | None
    avatar_url: str | None
    created_at: Timestamp


class Me(LoggedInUser):
    """The account as registration and `me` show it."""

    name: str


class Registered(View):
    """Answer to a registration."""

    user: Me
    access_token: str


class LoggedIn(View):
    """Answer to a login."""

    user: LoggedInUser
    access_token: str


def auth_routes(accounts: Accounts) -> list[Route[Any]]:
    """The routes of `/api/auth`."""

    async def before_registration(address: str) -> None:
        await accounts.before_registration(address)

    async def before_sign_in(address: str) -> None:
        await accounts.before_sign_in(address)

    async def register(call: Call[Registration]) -> Registered:
        given = call.input
        signed_in = await accounts.register(
            email=given.email,
            password=given.password,
            display_name=given.display_name,
            client=call.address,
        )
        return Registered.model_validate(signed_in)

    async def login(call: Call[Login]) -> LoggedIn:
        signed_in = await accounts.login(
            email=call.input.email, password=call.input.password, client=call.address
        )
        return LoggedIn.model_validate(signed_in)

    async def me(call: Call[None]) -> Me:
        return Me.model_validate(call.caller)

    return [
        Route(
            method="POST",
            path="/api/auth/register",
            summary="Create an account and sign it in",
            handler=register,
            input=Registration,
            guard=before_registration,
            output=Registered,
            status=201,
            refusals=(EMAIL_TAKEN, TOO_MANY_REQUESTS, UNAVAILABLE),
        ),
        Route(
            method="POST",
            path="/api/auth/login",
            summary="Sign in",
            handler=login,
            input=Login,
            guard=before_sign_in,
            output=LoggedIn,
            status=201,
            refusals=(INVALID_CREDENTIALS, TOO_MANY_REQUESTS, UNAVAILABLE),
        ),
        Route(
            method="GET",
            path="/api/auth/me",
            summary="The account that calls",
            handler=me,
            output=Me,
            access=Access.BEARER,
        ),
    ]
