"""Accounts: queries on the User model. The password hash leaves this file only as :class:`Credentials`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from neuron_meet.store.client import Database
from neuron_meet.store.ids import new_id
from neuron_meet.store.models import User
from neuron_meet.store.text import is_storable

if TYPE_CHECKING:
    from neuron_meet.store.generated.types import UserUpdateInput


DISABLED = "!"
"""What a disabled account's hash begins with, as in /etc/shadow: no password fits it, here or in the former server,
and without it the hash is what it was."""


@dataclass(frozen=True, slots=True)
class Account:
    """A registered user, without the password's hash. `created_at` is in UTC; `disabled`: nobody may be it now."""

    id: str
    email: str
    name: str
    display_name: str | None
    avatar_url: str | None
    created_at: datetime
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and the bcrypt hash of its password; for `auth` alone. The hash is not in its repr."""

    account: Account
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials(account={self.account.id!r})"


class Users:
    """Queries on the User model. All may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, *, email: str, display_name: str, password_hash: str) -> Account:
        """A new account; `email` is stored as given (in lower case by its caller).

        `name`, which the contract's body does not have, is the display name. Raises UniqueViolationError when
        the address is taken.
        """
        user = await self._database.prisma.user.create(
            data={
                "id": new_id(),  # with an id of Prisma's the host would have to run this
                "email": email,
                "name": display_name,
                "displayName": display_name,
                "password": password_hash,
            }
        )
        return _account(user)

    async def find(self, user_id: str) -> Account | None:
        """The account with that id."""
        if not is_storable(user_id):
            return None
        user = await self._database.prisma.user.find_unique(where={"id": user_id})
        return None if user is None else _account(user)

    async def credentials(self, email: str) -> Credentials | None:
        """The credentials of the address as typed or in lower case; both by the unique index, in one query.

        Where the former server left both, the one as typed wins.
        """
        if not is_storable(email):
            return None
        spellings = list({email, email.lower()})
        users = await self._database.prisma.user.find_many(where={"email": {"in": spellings}}, take=2)
        return _best(users, email)

    async def credentials_in_any_case(self, email: str) -> Credentials | None:
        """The credentials of an address that the former server stored in yet another casing.

        No index helps, so this reads the whole table; ask :meth:`credentials` first.
        """
        if not is_storable(email):
            return None
        users = await self._database.prisma.user.find_many(
            where={"email": {"in": [email], "mode": "insensitive"}},
            order={"createdAt": "asc"},
            take=10,
        )
        # The database's idea of casing may go further than ours, for example beyond ASCII.
        return _best([user for user in users if user.email.lower() == email.lower()], email)

    async def set_password(self, user_id: str, password_hash: str) -> bool:
        """Replace the password's hash. False where there is no account with that id."""
        user = await self._database.prisma.user.update(
            where={"id": user_id}, data={"password": password_hash}
        )
        return user is not None

    async def set_disabled(self, user_id: str, *, disabled: bool) -> bool:
        """Disable an account, or have it as it was before. False where there is none with that id.

        Its password, its tokens and its sockets' joins are refused meanwhile. Another password enables it too.
        """
        if not is_storable(user_id):
            return False
        user = await self._database.prisma.user.find_unique(where={"id": user_id})
        if user is None:
            return False
        if is_disabled(user) == disabled:
            return True
        changed = DISABLED + user.password if disabled else user.password.removeprefix(DISABLED)
        return await self.set_password(user_id, changed)

    async def update(
        self, user_id: str, *, display_name: str | None = None, avatar_url: str | None, set_avatar: bool
    ) -> Account | None:
        """Change what is given: `display_name` unless None, `avatar_url` (None clears) if `set_avatar`.

        Returns the account as it is then, None when there is none with that id.
        """
        changes: UserUpdateInput = {}
        if display_name is not None:
            changes["displayName"] = display_name
        if set_avatar:
            changes["avatarUrl"] = avatar_url
        if not changes:
            return await self.find(user_id)
        user = await self._database.prisma.user.update(where={"id": user_id}, data=changes)
        return None if user is None else _account(user)


def _best(users: list[User], email: str) -> Credentials | None:
    """Of several spellings of one address: the one as typed, else the first."""
    if not users:
        return None
    user = next((user for user in users if user.email == email), users[0])
    return Credentials(_account(user), user.password)


def _account(user: User) -> Account:
    return Account(
        id=user.id,
        email=user.email,
        name=user.name,
        display_name=user.displayName,
        avatar_url=user.avatarUrl,
        created_at=user.createdAt,
        disabled=is_disabled(user),
    )


def is_disabled(user: User) -> bool:
    """Whether nobody may be that account now."""
    return user.password.startswith(DISABLED)


def without_hash(user: User) -> User:
    """The same row with its password hash blanked, for rows that came along with another one.

    Prisma Client Python cannot select columns of an included row.
    """
    user.password = ""
    return user
