"""Registering and signing in."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from neuron_meet.audit import DONE, NOWHERE, Audit
from neuron_meet.auth.limits import SignInLimits
from neuron_meet.auth.passwords import Passwords
from neuron_meet.auth.tokens import Tokens
from neuron_meet.errors import EMAIL_TAKEN, INVALID_CREDENTIALS, Refused
from neuron_meet.store.errors import UniqueViolationError
from neuron_meet.store.users import Account, Credentials, Users

REFUSAL_SECONDS = 0.25
"""No refused login is answered sooner: four times what a hash takes, so that it does not show which way the
address was looked for (64 ms with a known one, 69 ms with an unknown one among 20,000, 84 ms with one in
another casing, as measured on two cores)."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An account and a new access token for it."""

    user: Account
    access_token: str


@dataclass(slots=True)
class _Record:
    """What is known of a sign-in for the audit."""

    account: Account | None = None


class Accounts:
    """Registers accounts and signs them in, within the limits. `client` is the client's network address.

    Raises StoreError when the database cannot be asked, and :class:`Refused` (`UNAVAILABLE`) at once, before the
    database is asked, while as many passwords wait to be hashed as may wait.
    """

    def __init__(
        self,
        users: Users,
        passwords: Passwords,
        tokens: Tokens,
        limits: SignInLimits,
        audit: Audit = NOWHERE,
    ) -> None:
        self._audit = audit
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self.limits = limits

    async def before_registration(self, client: str) -> None:
        """Refuse what its address may not do now, before it is read. Raises TooManyRequests."""
        with self._refused("register", client):
            await self.limits.before_registration(client)

    async def before_sign_in(self, client: str) -> None:
        """As `before_registration`."""
        with self._refused("login", client):
            await self.limits.before_sign_in(client)

    async def register(self, *, email: str, password: str, display_name: str, client: str) -> SignedIn:
        """A new account, signed in. The address is stored in lower case.

        Raises :class:`Refused` (`EMAIL_TAKEN`) when it is taken in any casing, also by a request that runs at
        the same time; TooManyRequests.
        """
        with self._recorded("register", email, client) as record:
            record.account = await self._register(email, password, display_name, client)
            return self._sign_in(record.account)

    async def _register(self, email: str, password: str, display_name: str, client: str) -> Account:
        await self.limits.register(client)
        self._passwords.refuse_if_full(client)
        stored = email.lower()
        if await self._users.credentials_in_any_case(stored) is not None:
            raise Refused(EMAIL_TAKEN)
        password_hash = await self._passwords.hash(password, client)
        try:
            return await self._users.create(
                email=stored, display_name=display_name, password_hash=password_hash
            )
        except UniqueViolationError:
            raise Refused(EMAIL_TAKEN) from None

    async def login(self, *, email: str, password: str, client: str) -> SignedIn:
        """The account with that address and password, signed in.

        Raises :class:`Refused` (`INVALID_CREDENTIALS`), after the same time for an address that is not
        registered as for a wrong password; TooManyRequests, at once, without looking at the password.
        """
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            with self._recorded("login", email, client) as record:
                async with self.limits.sign_in(email, client):
                    record.account = await self._verified(email, password, client)
        except Refused as refused:
            if refused.refusal == INVALID_CREDENTIALS:
                await asyncio.sleep(begun + REFUSAL_SECONDS - clock())
            raise
        return self._sign_in(record.account)

    @contextmanager
    def _recorded(self, action: str, email: str, client: str) -> Generator[_Record]:
        """Record how the block ends: with an account, or refused."""
        record, outcome = _Record(), "FAILED"
        try:
            yield record
            outcome = DONE
        except Refused as refused:
            outcome = refused.refusal.code
            raise
        finally:
            actor = record.account.id if record.account else None
            self._audit.record(action, outcome=outcome, actor=actor, subject=email, address=client)

    @contextmanager
    def _refused(self, action: str, client: str) -> Generator[None]:
        """Record where the block refuses: whose account it is about has not been read."""
        try:
            yield
        except Refused as refused:
            self._audit.record(action, outcome=refused.refusal.code, address=client)
            raise

    async def _verified(self, email: str, password: str, client: str) -> Account:
        """The account that both fit. Raises :class:`Refused` (`INVALID_CREDENTIALS`)."""
        self._passwords.refuse_if_full(client)
        known = await self._users.credentials(email)
        if known is not None:
            matches = await self._passwords.verify(password, known.password_hash, client)
        else:
            known, matches = await self._login_in_any_case(email, password, client)
        if known is None or not matches:
            raise Refused(INVALID_CREDENTIALS)
        return known.account

    async def _login_in_any_case(
        self, email: str, password: str, client: str
    ) -> tuple[Credentials | None, bool]:
        """Look for another casing of the address while a hash is computed for the clock's sake alone.

        An address that is not there takes one hash, as a known one does, however much else goes on. One that is
        there does not wait for the idle hash but starts its own.
        """
        idle = asyncio.ensure_future(self._passwords.verify_nobody(password, client))
        try:
            known = await self._users.credentials_in_any_case(email)
            if known is None:
                return None, await idle
        finally:
            if not idle.cancel() and not idle.cancelled():
                idle.exception()  # seen: asyncio would report it as forgotten
        return known, await self._passwords.verify(password, known.password_hash, client)

    def _sign_in(self, account: Account) -> SignedIn:
        return SignedIn(account, self._tokens.issue(account.id, account.email))
