"""From a token to the account behind it: the only source of identity that there is."""

from __future__ import annotations

from neuron_meet.auth.tokens import InvalidTokenError, Tokens
from neuron_meet.errors import UNAUTHORIZED, Refused
from neuron_meet.store.users import Account, Users

__all__ = ["Account", "Identities"]


class Identities:
    """Resolves tokens. Raises StoreError when the database cannot be asked."""

    def __init__(self, tokens: Tokens, users: Users) -> None:
        self._tokens = tokens
        self._users = users

    async def authenticate(self, token: str) -> Account:
        """The account that a bearer token speaks for.

        Raises :class:`Refused` (`UNAUTHORIZED`) for a bad token, and for a good one whose account is gone or disabled.
        """
        try:
            claims = self._tokens.verify(token)
        except InvalidTokenError:
            raise Refused(UNAUTHORIZED) from None
        account = await self._users.find(claims.sub)
        if account is None or account.disabled:
            raise Refused(UNAUTHORIZED)
        return account

    async def account(self, user_id: str) -> Account | None:
        """The account of a verified token's subject, None when it is gone."""
        return await self._users.find(user_id)
