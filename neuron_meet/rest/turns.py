"""How many requests may be under way at once, of one address and of one account. The others wait, within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import hdrs, web

from neuron_meet.rates import address_key
from neuron_meet.rest.limits import TooManyRequests

MOST_OF_ACCOUNT, WAITING_OF_ACCOUNT = 4, 32
"""A browser has six connections to a server, and each answer of messages may take 10 ms of the process's time."""
MOST_OF_ADDRESS, WAITING_OF_ADDRESS = 64, 512
"""A company of 500 that begins to work may ask all at once."""
SENT_AT_ONCE = 65_536
"""An answer of up to so many bytes leaves at once; a longer one is under way until its client has taken it."""
RETRY_AFTER_SECONDS = 1

Release = Callable[[], None]


class Turns:
    """At most `most` of a key at once; up to `waiting` more wait for their turn, first come, first served."""

    def __init__(self, most: int, waiting: int) -> None:
        self._most, self._most_waiting = most, waiting
        self._busy: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, key: str) -> Release:
        """A turn of `key`, and how it ends, to be called once. Raises :class:`TooManyRequests`."""
        busy = self._busy.get(key, 0)
        if busy < self._most:
            self._busy[key] = busy + 1
        else:
            await self._wait(key)
        return lambda: self._end(key)

    @property
    def keys(self) -> int:
        """How many keys have something under way."""
        return len(self._busy)

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(map(len, self._waiting.values()))

    async def _wait(self, key: str) -> None:
        queue = self._waiting.setdefault(key, deque())
        if len(queue) >= self._most_waiting:
            raise TooManyRequests(RETRY_AFTER_SECONDS)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end(key)  # it was this one's already
            elif turn in queue:
                queue.remove(turn)
                if not queue and self._waiting.get(key) is queue:
                    del self._waiting[key]
            raise

    def _end(self, key: str) -> None:
        queue = self._waiting.get(key)
        while queue:
            turn = queue.popleft()
            if not queue:
                del self._waiting[key]
            if not turn.done():
                turn.set_result(None)
                return
        left = self._busy[key] - 1
        if left:
            self._busy[key] = left
        else:
            del self._busy[key]


class RequestTurns:
    """The turns of REST requests. With `enabled` off there is no bound."""

    def __init__(self, is_proxy: Callable[[str], bool], *, enabled: bool) -> None:
        """`is_proxy`: whether many clients have an address, for which the bound of one is not."""
        self._is_proxy = is_proxy
        self._enabled = enabled
        self._addresses = Turns(MOST_OF_ADDRESS, WAITING_OF_ADDRESS)
        self._accounts = Turns(MOST_OF_ACCOUNT, WAITING_OF_ACCOUNT)

    async def of_address(self, address: str, held: Held) -> None:
        """Wait for a turn of the address. Raises :class:`TooManyRequests`."""
        if self._enabled and not self._is_proxy(address):
            held.add(await self._addresses.take(address_key(address)))

    async def of_account(self, account_id: str, held: Held) -> None:
        """Wait for a turn of the account. Raises :class:`TooManyRequests`."""
        if self._enabled:
            held.add(await self._accounts.take(account_id))


class Held:
    """The turns of one request, for the length of a block."""

    __slots__ = ("_releases",)

    def __init__(self) -> None:
        self._releases: list[Release] = []

    def add(self, release: Release) -> None:
        """One more, which ends with the block."""
        self._releases.append(release)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        for release in self._releases:
            release()


async def sent(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The response; a long one when its client has taken it."""
    if _is_long(request, response):
        with suppress(ConnectionError):  # aiohttp finds that out for itself, and says nothing of it
            await response.prepare(request)
            await response.write_eof()
    return response


def _is_long(request: web.Request, response: web.StreamResponse) -> bool:
    if not isinstance(response, web.Response) or request.method == hdrs.METH_HEAD:
        return False
    return isinstance(response.body, bytes) and len(response.body) > SENT_AT_ONCE
