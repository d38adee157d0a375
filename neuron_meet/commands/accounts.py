"""`token` and `users`: accounts from the command line, through the database."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from neuron_meet.commands.ending import run, settings_or_end
from neuron_meet.commands.serving import told_a_server
from neuron_meet.commands.storing import stored
from neuron_meet.failure import ForeseenFailure
from neuron_meet.jwt_secret import with_secret
from neuron_meet.settings import Settings

if TYPE_CHECKING:
    from neuron_meet.store.users import Account, Users

FEWEST_CHARACTERS = 8


@click.command(short_help="Issue an access token for an account.")
@click.argument("email")
def token(email: str) -> None:
    """Issue an access token for the account with that e-mail address, as a sign-in does, and print it.

    It holds for JWT_EXPIRES_IN. Whoever has it is that account: keep it as a password.
    """

    async def issue(users: Users, settings: Settings) -> None:
        from neuron_meet.auth.tokens import Tokens  # noqa: PLC0415

        account = await _account(users, email)
        if account.disabled:
            raise ForeseenFailure(f"The account {account.id} is disabled: neuron-meet users enable {email}")
        tokens = Tokens(with_secret(settings).signing_key, settings.token_life_seconds)
        click.echo(tokens.issue(account.id, account.email))

    _with_users(issue)


@click.group()
def users() -> None:
    """Accounts: create, reset-password, disable, enable, delete.

    Tokens end when their time is up. Those of one account are refused while it is disabled and once it is deleted; all
    tokens of all accounts end with another JWT_SECRET.
    """


@users.command(short_help="Make an account; the password comes by standard input.")
@click.argument("email")
@click.option("--name", required=True, help="The name that others see.")
def create(email: str, name: str) -> None:
    """Make an account. The password is asked for, or is the first line of standard input."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    from neuron_meet.rest.rules import DISPLAY_NAME, Email  # noqa: PLC0415

    shown = DISPLAY_NAME.clean(name)
    if problems := DISPLAY_NAME.violations(shown):
        raise click.BadParameter("; ".join(problems).format(field="It") + ".", param_hint="--name")
    if Email().violations(email):
        raise click.BadParameter("It must be an email address, such as ada@example.com.", param_hint="EMAIL")
    try:
        address = validate_email(email, check_deliverability=False).normalized.lower()
    except EmailNotValidError as error:
        raise click.BadParameter(str(error), param_hint="EMAIL") from None

    async def make(users: Users, settings: Settings) -> None:
        from neuron_meet.store.errors import UniqueViolationError  # noqa: PLC0415

        if await users.credentials_in_any_case(address) is not None:
            raise ForeseenFailure(f"There is an account with {address} already.")
        try:
            account = await users.create(
                email=address, display_name=shown, password_hash=await _hash(settings, password)
            )
        except UniqueViolationError:
            raise ForeseenFailure(f"There is an account with {address} already.") from None
        click.echo(f"Made the account {account.id}.")

    password = _password()
    _with_users(make)


@users.command("reset-password", short_help="Give an account another password.")
@click.argument("email")
def reset_password(email: str) -> None:
    """Give an account another password, which is asked for, or the first line of standard input.

    Tokens that were issued before stay valid until they expire. A disabled account is enabled by it.
    """

    async def reset(users: Users, settings: Settings) -> None:
        account = await _account(users, email)
        await users.set_password(account.id, await _hash(settings, password))
        click.echo(f"The account {account.id} has another password.")

    password = _password()
    _with_users(reset)


@users.command(short_help="Refuse an account, its tokens too; enable or reset-password undo it.")
@click.argument("email")
def disable(email: str) -> None:
    """Refuse an account: its password, its tokens over REST, and its joins, which are a guest's from then on.

    With ADMIN_PORT and ADMIN_TOKEN the server there also closes its sockets, on all nodes. Otherwise those stay that
    are in a meeting already. Nothing of it is deleted, rooms that it hosts stay open.
    """

    async def refuse(users: Users, settings: Settings) -> None:
        account = await _account(users, email)
        if await told_a_server(settings, f"/accounts/{account.id}/disable", f"disable {account.id}"):
            click.echo(f"The account {account.id} is disabled, and its sockets are closed.")
            return
        await users.set_disabled(account.id, disabled=True)
        click.echo(f"The account {account.id} is disabled in the database. No server was told.")

    _with_users(refuse)


@users.command(short_help="Have a disabled account as it was before.")
@click.argument("email")
def enable(email: str) -> None:
    """Have a disabled account as it was before: with its password, and with tokens that have not expired."""

    async def readmit(users: Users, settings: Settings) -> None:
        account = await _account(users, email)
        await users.set_disabled(account.id, disabled=False)
        click.echo(f"The account {account.id} is enabled.")

    _with_users(readmit)


@users.command(short_help="Delete an account and its personal data.")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(email: str, yes: bool) -> None:
    """Delete an account with its personal data: addresses, names, picture, password.

    Messages and attendance stay as others' history, under "Deleted account"; rooms that it hosts end. Its tokens
    prove nothing any more. Take it out of running meetings first (`kick` at the admin address).
    """
    settings = settings_or_end()
    if not yes:
        click.confirm(f"Delete the account {email}, which cannot be undone?", abort=True)

    async def erase_and_say() -> int:
        from neuron_meet.store.erasure import erase  # noqa: PLC0415
        from neuron_meet.store.provision import opened  # noqa: PLC0415

        async with opened(settings) as url:
            if not await erase(url, email):
                raise ForeseenFailure(f"There is no account with {email}.")
        click.echo("The account is deleted.")
        return 0

    run(erase_and_say)


def _password() -> str:
    """Asked for twice on a terminal, else the first line of standard input."""
    from neuron_meet.auth.passwords import BYTES_READ  # noqa: PLC0415

    if sys.stdin.isatty():
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < FEWEST_CHARACTERS or len(password.encode()) > BYTES_READ:
        raise click.BadParameter(
            f"must have {FEWEST_CHARACTERS} characters at least, and {BYTES_READ} bytes at most",
            param_hint="password",
        )
    return password


async def _hash(settings: Settings, password: str) -> str:
    from neuron_meet.auth.passwords import Passwords  # noqa: PLC0415

    passwords = Passwords(settings.bcrypt_threads)
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()


async def _account(users: Users, email: str) -> Account:
    known = await users.credentials(email) or await users.credentials_in_any_case(email)
    if known is None:
        raise ForeseenFailure(f"There is no account with {email}.")
    return known.account


def _with_users(action: Callable[[Any, Settings], Awaitable[None]]) -> None:
    settings = settings_or_end()

    async def act() -> int:
        from neuron_meet.store.users import Users  # noqa: PLC0415

        async with stored(settings) as database:
            await action(Users(database), settings)
        return 0

    run(act)
