"""Turns: what one node at a time does for a room."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from neuron_meet.cluster.link import Link
from neuron_meet.errors import PresenceUnavailable

LEASE_SECONDS = 2.0
"""A turn ends by itself after so long, for nodes that die with it; those who live extend it."""
EXTEND_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
PAUSE_SECONDS = 0.005
LONGEST_HOLD_SECONDS = 0.2
"""A node that goes on having work passes the turn on after so long."""


class TurnTaken(PresenceUnavailable):
    """Another node has had the turn for too long."""


class Turns:
    """Takes turns with the other nodes. Those of this node who want the same turn have it together."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._shared: dict[str, _Shared] = {}

    @asynccontextmanager
    async def alone(self, code: str, what: str) -> AsyncGenerator[int]:
        """Have the turn alone. Gives the version that the room had then.

        Raises TurnTaken; PresenceUnavailable.
        """
        token = secrets.token_hex(8)
        version = await self._take(code, what, token)
        extending = asyncio.create_task(self._extend(code, what, token), name="cluster-turn")
        try:
            yield version
        finally:
            extending.cancel()
            with suppress(PresenceUnavailable):
                await self._link.end_turn([self._link.keys.room_turn(code, what)], [token])

    @asynccontextmanager
    async def together(self, code: str, what: str) -> AsyncGenerator[int]:
        """Have the turn, together with others of this node. Gives the version. Raises PresenceUnavailable."""
        shared = self._shared.get(code)
        if shared is None or shared.over:
            shared = self._shared[code] = _Shared(self.alone(code, what), shared)
        version = await shared.join()
        try:
            yield version
        finally:
            await shared.leave()
            if not shared.users and self._shared.get(code) is shared:
                del self._shared[code]

    async def _take(self, code: str, what: str, token: str) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        turn = [self._link.keys.room_turn(code, what), self._link.keys.room_state(code)]
        while True:
            found = await self._link.take_turn(turn, [token, int(LEASE_SECONDS * 1000)])
            if found:
                try:
                    return int(found)
                except ValueError:  # no node has written that: it is mended where the room is loaded
                    raise PresenceUnavailable from None
            if time.monotonic() > deadline:
                raise TurnTaken
            await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret

    async def _extend(self, code: str, what: str, token: str) -> None:
        while True:
            await asyncio.sleep(EXTEND_SECONDS)
            with suppress(PresenceUnavailable):
                turn = self._link.keys.room_turn(code, what)
                await self._link.extend_turn([turn], [token, int(LEASE_SECONDS * 1000)])


class _Shared:
    """One turn that several have: the first takes it, the last ends it; after a while nobody joins it any more."""

    def __init__(self, turn: AbstractAsyncContextManager[int], former: _Shared | None) -> None:
        self._turn = turn
        self._former = former
        self.users = 0
        self._opened: asyncio.Future[int] | None = None
        self._since = 0.0
        self._ended = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nobody may join any more."""
        return self._ended.is_set() or (
            self._since > 0 and time.monotonic() - self._since > LONGEST_HOLD_SECONDS
        )

    async def join(self) -> int:
        """Have the turn. Raises PresenceUnavailable."""
        self.users += 1
        if self._opened is not None:
            try:
                return await asyncio.shield(self._opened)
            except BaseException:
                self.users -= 1
                raise
        self._opened = asyncio.get_running_loop().create_future()
        try:
            if self._former is not None:
                await self._former._ended.wait()
                self._former = None
            version = await self._turn.__aenter__()
        except BaseException as error:
            self.users -= 1
            self._ended.set()
            self._opened.set_exception(
                type(error)() if isinstance(error, PresenceUnavailable) else PresenceUnavailable()
            )
            self._opened.exception()  # looked at, even where nobody else waits
            raise
        self._since = time.monotonic()
        self._opened.set_result(version)
        return version

    async def leave(self) -> None:
        """Have it no longer."""
        self.users -= 1
        if not self.users:
            self._ended.set()
            await self._turn.__aexit__(None, None, None)
