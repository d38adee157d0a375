"""How often one may register and try passwords (issue 3, "Limits")."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from neuron_meet.errors import INVALID_CREDENTIALS
from neuron_meet.rates import Counted, Rate, address_key, counted
from neuron_meet.rest.limits import FailureLimit, RequestLimit, Shared, TooManyRequests
from neuron_meet.settings import Settings

KNOWN_PLACE = Rate.parse("1 per 30 days")
"""For how long an address from which an account was signed in to counts as the account owner's place."""


class SignInLimits:
    """Registrations and sign-ins by address, failed sign-ins by account.

    An address that nobody registered has the same limit as an account, so that the limit tells nobody which
    accounts exist. Only failures count against an account, and those made elsewhere do not count against an
    address from which its owner signed in during the last 30 days, which has a window of its own: who knows
    somebody's e-mail address cannot keep them out of their account from afar by failing on purpose. (OWASP
    calls the idea device cookies; addresses do without a cookie, which front ends would have to keep.)
    """

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, shared: Shared | None = None
    ) -> None:
        enabled = settings.rate_limit_enabled

        def limit(rate: Rate, name: str, *, forgets: bool = False) -> RequestLimit:
            return RequestLimit(rate if enabled else None, clock, shared and shared(name), forgets=forgets)

        self._registrations = limit(settings.limit_register_address, "registrations")
        self._sign_ins = limit(settings.limit_login_address, "sign-ins")
        self._failures = FailureLimit(
            settings.limit_login_account if enabled else None,
            INVALID_CREDENTIALS,
            clock,
            shared and shared("failed-sign-ins"),
        )
        self._places = limit(KNOWN_PLACE, "places", forgets=True)

    async def before_registration(self, address: str) -> None:
        """Look, and count nothing, before what was sent is read. Raises TooManyRequests."""
        await self._registrations.refuse_if_full(*counted(address))

    async def before_sign_in(self, address: str) -> None:
        """Look, and count nothing, before what was sent is read. Raises TooManyRequests."""
        await self._sign_ins.refuse_if_full(*counted(address))

    async def register(self, address: str) -> None:
        """Count a registration from the client's address. Raises TooManyRequests."""
        await self._registrations.take(*counted(address))

    @asynccontextmanager
    async def sign_in(self, email: str, address: str) -> AsyncGenerator[None]:
        """Let the block try a password. It fails by raising `INVALID_CREDENTIALS`, else it has succeeded.

        Raises TooManyRequests instead of entering it.
        """
        await self._sign_ins.take(*counted(address))
        account = Counted(_account_key(email))
        place = Counted(f"{account.key} {address_key(address)}")
        at_home = not await self._places.has_room(place)
        async with self._failures.attempt(place if at_home else account):
            yield
            if not at_home:
                with suppress(TooManyRequests):  # a sign-in at the same time has made the place known
                    await self._places.take(place)


def _account_key(email: str) -> str:
    """One key for all casings of an address, short, and without the address in it."""
    return hashlib.sha256(email.lower().encode("utf-8", "surrogatepass")).hexdigest()[:32]
