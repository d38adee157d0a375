"""Profiles: reading an account, changing one's own."""

from __future__ import annotations

from neuron_meet.errors import UNAUTHORIZED, USER_NOT_FOUND, Refused
from neuron_meet.store.users import Account, Users


class Profiles:
    """Reads and changes profiles. Raises StoreError when the database cannot be asked."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def find(self, user_id: str) -> Account:
        """The account with that id. Raises :class:`Refused` (`USER_NOT_FOUND`)."""
        account = await self._users.find(user_id)
        if account is None:
            raise Refused(USER_NOT_FOUND)
        return account

    async def change(
        self, user_id: str, *, display_name: str | None, avatar_url: str | None, set_avatar: bool
    ) -> Account:
        """The account after a change: `display_name` unless None, `avatar_url` (None clears) if `set_avatar`.

        Raises :class:`Refused` (`UNAUTHORIZED`) when the account has gone meanwhile.
        """
        account = await self._users.update(
            user_id, display_name=display_name, avatar_url=avatar_url, set_avatar=set_avatar
        )
        if account is None:
            raise Refused(UNAUTHORIZED)
        return account
