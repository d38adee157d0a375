"""Accounts: queries on the User model. The password hash leaves this file only as :class:`Credentials`.

Only signing in reads it. All others read the columns in `_ACCOUNT`, and whether the account is disabled.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from neuron_meet.store.client import Database
from neuron_meet.store.ids import new_id
from neuron_meet.store.sql import DISABLED, NOW, is_disabled, moment
from neuron_meet.store.text import is_storable

_ACCOUNT = f"""a.id, a.email, a.name, a."displayName", a."avatarUrl", {moment('a."createdAt"')} AS "createdAt",
  {is_disabled("a")} AS disabled"""
_FIND = f"SELECT row_to_json(found)::text AS found FROM (SELECT {_ACCOUNT} FROM {{User}} a WHERE a.id = $1) AS found"
_CREATE = f"""
WITH made AS (
  INSERT INTO {{User}} AS a (id, email, name, "displayName", password, "createdAt", "updatedAt")
  VALUES ($1, $2, $3, $3, $4, {NOW}, {NOW}) RETURNING {_ACCOUNT})
SELECT row_to_json(made)::text AS found FROM made
"""
_UPDATE = f"""
WITH changed AS (
  UPDATE {{User}} AS a SET "displayName" = coalesce($2, a."displayName"),
    "avatarUrl" = CASE WHEN $3::text::boolean THEN $4 ELSE a."avatarUrl" END, "updatedAt" = {NOW}
  WHERE a.id = $1 RETURNING {_ACCOUNT})
SELECT row_to_json(changed)::text AS found FROM changed
"""
_SIGN_IN = (
    f"SELECT row_to_json(found)::text AS found FROM (SELECT {_ACCOUNT}, a.password FROM {{User}} a WHERE "
)
_BY_EITHER_SPELLING = _SIGN_IN + "a.email IN ($1, $2)) AS found"
_IN_ANY_CASE = _SIGN_IN + 'lower(a.email) = lower($1) ORDER BY a."createdAt", a.id LIMIT 10) AS found'
_SET_PASSWORD = f"""
UPDATE {{User}} AS a SET password = $2, "updatedAt" = {NOW} WHERE a.id = $1 RETURNING to_json(a.id)::text AS found
"""
_SET_DISABLED = f"""
UPDATE {{User}} AS a SET
  "updatedAt" = CASE WHEN {is_disabled("a")} = $2::text::boolean THEN a."updatedAt" ELSE {NOW} END,
  password = CASE WHEN {is_disabled("a")} = $2::text::boolean THEN a.password
    WHEN $2::text::boolean THEN '{DISABLED}' || a.password ELSE substr(a.password, 2) END
WHERE a.id = $1 RETURNING to_json(a.id)::text AS found
"""


class Account(Struct, frozen=True, rename="camel"):
    """A registered user, without the password's hash. `created_at` is in UTC; `disabled`: nobody may be it now."""

    id: str
    email: str
    name: str
    display_name: str | None
    avatar_url: str | None
    created_at: datetime
    disabled: bool = False


class Credentials(Struct, frozen=True):
    """An account and the bcrypt hash of its password; for `auth` alone. The hash is not in its repr."""

    account: Account
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials(account={self.account.id!r})"


class _WithHash(Account, frozen=True, rename="camel", kw_only=True):
    password: str


_account = msgspec.json.Decoder(Account).decode
_with_hash = msgspec.json.Decoder(_WithHash).decode


class Users:
    """Queries on the User model. All may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, *, email: str, display_name: str, password_hash: str) -> Account:
        """A new account; `email` is stored as given (in lower case by its caller).

        `name`, which the contract's body does not have, is the display name. Raises UniqueViolationError when
        the address is taken.
        """
        [row] = await self._database.write(
            _CREATE, new_id(), email, display_name, password_hash, operation="create", model="User"
        )
        return _account(row)

    async def find(self, user_id: str) -> Account | None:
        """The account with that id."""
        if not is_storable(user_id):
            return None
        rows = await self._database.read(_FIND, user_id, operation="find", model="User")
        return _account(rows[0]) if rows else None

    async def credentials(self, email: str) -> Credentials | None:
        """The credentials of the address as typed or in lower case; both by the unique index, in one query.

        Where the former server left both, the one as typed wins.
        """
        if not is_storable(email):
            return None
        rows = await self._database.read(
            _BY_EITHER_SPELLING, email, email.lower(), operation="credentials", model="User"
        )
        return _best([_with_hash(row) for row in rows], email)

    async def credentials_in_any_case(self, email: str) -> Credentials | None:
        """The credentials of an address that the former server stored in yet another casing.

        By the index on `lower(email)`, which a large database may not have yet; ask :meth:`credentials` first.
        """
        if not is_storable(email):
            return None
        rows = await self._database.read(
            _IN_ANY_CASE, email, operation="credentials_in_any_case", model="User"
        )
        # The database's idea of casing may go further than ours, for example beyond ASCII.
        found = [_with_hash(row) for row in rows]
        return _best([user for user in found if user.email.lower() == email.lower()], email)

    async def set_password(self, user_id: str, password_hash: str) -> bool:
        """Replace the password's hash. False where there is no account with that id."""
        return bool(
            await self._database.write(
                _SET_PASSWORD, user_id, password_hash, operation="set_password", model="User"
            )
        )

    async def set_disabled(self, user_id: str, *, disabled: bool) -> bool:
        """Disable an account, or have it as it was before. False where there is none with that id.

        Its password, its tokens and its sockets' joins are refused meanwhile. Another password enables it too.
        """
        if not is_storable(user_id):
            return False
        return bool(
            await self._database.write(
                _SET_DISABLED, user_id, str(disabled), operation="set_disabled", model="User"
            )
        )

    async def update(
        self, user_id: str, *, display_name: str | None = None, avatar_url: str | None, set_avatar: bool
    ) -> Account | None:
        """Change what is given: `display_name` unless None, `avatar_url` (None clears) if `set_avatar`.

        Returns the account as it is then, None when there is none with that id.
        """
        if display_name is None and not set_avatar:
            return await self.find(user_id)
        rows = await self._database.write(
            _UPDATE, user_id, display_name, str(set_avatar), avatar_url, operation="update", model="User"
        )
        return _account(rows[0]) if rows else None


def _best(users: list[_WithHash], email: str) -> Credentials | None:
    """Of several spellings of one address: the one as typed, else the first."""
    if not users:
        return None
    user = next((user for user in users if user.email == email), users[0])
    account = Account(
        user.id, user.email, user.name, user.display_name, user.avatar_url, user.created_at, user.disabled
    )
    return Credentials(account, user.password)
