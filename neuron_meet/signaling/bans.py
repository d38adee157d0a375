"""Removals of accounts on their way into the database: presence keeps them out at once, rows after a restart."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from neuron_meet.failure import place
from neuron_meet.rooms.removals import REMOVED_ACCOUNT_SECONDS
from neuron_meet.store.errors import EngineUnavailable, ForeignKeyViolationError, StoreError, code_of
from neuron_meet.store.removals import StoredRemovals

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 10.0
MAX_UNWRITTEN = 10_000
"""Removals that wait for a database that is away; the oldest are given up, and hold in presence only."""


class Bans:
    """Stores removals: at once, or in the background until the database has taken them."""

    def __init__(self, stored: StoredRemovals) -> None:
        self._stored = stored
        self._unwritten: dict[tuple[str, str], datetime] = {}
        self._writer: asyncio.Task[None] | None = None

    @property
    def unwritten(self) -> int:
        """Removals that the database has not taken yet."""
        return len(self._unwritten)

    async def record(self, room_id: str, user_id: str, removed_at: datetime) -> None:
        """Return when the removal of an account outlives a restart; or when the database has not taken it.

        It is tried again then, and the log says so. Never raises StoreError.
        """
        self._unwritten.pop((room_id, user_id), None)  # this one is newer
        if not await self._write(room_id, user_id, removed_at):
            log.warning("a removal is not stored yet: it holds in presence only", room=room_id, user=user_id)
            self._unwritten[room_id, user_id] = removed_at
            while len(self._unwritten) > MAX_UNWRITTEN:
                del self._unwritten[next(iter(self._unwritten))]
            if self._writer is None:
                self._writer = asyncio.get_running_loop().create_task(self._try_again(), name="bans")

    async def drain(self, seconds: float) -> int:
        """Wait until all are stored, `seconds` at most. Returns how many are not; they are given up."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=seconds)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        return len(self._unwritten)

    async def _write(self, room_id: str, user_id: str, removed_at: datetime) -> bool:
        """Whether it needs no further try."""
        until = removed_at + timedelta(seconds=REMOVED_ACCOUNT_SECONDS)
        try:
            await self._stored.record(room_id, user_id, removed_at, until)
        except EngineUnavailable:
            return False
        except ForeignKeyViolationError:
            return True  # the room or the account is no more
        except StoreError as error:
            log.error(  # noqa: TRY400 -- may quote content
                "a removal cannot be stored",
                room=room_id,
                user=user_id,
                error=type(error).__name__,
                code=code_of(error),
            )
        return True

    async def _try_again(self) -> None:
        pause = FIRST_RETRY_SECONDS
        try:
            while self._unwritten:
                await asyncio.sleep(pause)
                for (room_id, user_id), removed_at in list(self._unwritten.items()):
                    if self._unwritten.get((room_id, user_id)) is not removed_at:
                        continue
                    if not await self._write(room_id, user_id, removed_at):
                        pause = min(pause * 2, LONGEST_RETRY_SECONDS)
                        break
                    if self._unwritten.get((room_id, user_id)) is removed_at:
                        del self._unwritten[room_id, user_id]
        except Exception as error:  # the next removal begins anew
            log.error("removals not stored", **place(error))  # noqa: TRY400 -- may quote content
        finally:
            self._writer = None
