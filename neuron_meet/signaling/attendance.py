"""Attendance: the Participant rows that follow presence. A row is opened by a join and closed by any way of going."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import structlog

from neuron_meet.store.errors import EngineUnavailable, StoreError
from neuron_meet.store.ids import participant_id, participant_prefix
from neuron_meet.store.participants import Participants, Person

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0
MAX_ELSEWHERE = 50_000
LARGEST_GROUP = 1000
"""Rows closed in one statement at most; PostgreSQL takes 32,767 parameters."""


class Attendance:
    """Opens rows at once and closes them in the background, in groups, until the database has taken them."""

    def __init__(
        self,
        participants: Participants,
        instance: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now` is the clock of the rows."""
        self._now = now
        self._participants = participants
        self._instance = instance
        self._closing: dict[str, datetime] = {}
        self._opening: dict[str, str] = {}
        self._in_doubt: set[str] = set()
        self._rooms: set[str] = set()
        self._touched: set[str] = set()
        self._elsewhere: dict[str, None] = {}
        self._writer: asyncio.Task[None] | None = None

    def new_record_id(self) -> str:
        """An id for the row of a join; it names this run of this server."""
        return participant_id(self._instance)

    async def open(
        self,
        *,
        record_id: str,
        room_id: str,
        user_id: str | None,
        guest_name: str,
        is_host: bool,
        joined_at: datetime,
    ) -> Person | None:
        """Write the row of a join. Returns its account, None for a guest.

        Raises StoreError; the row may then exist all the same (the answer was lost), so `close` it.
        """
        self._opening[record_id] = room_id
        self._touched.add(record_id)
        self._rooms.add(room_id)
        try:
            return await self._participants.open(
                record_id=record_id,
                room_id=room_id,
                user_id=user_id,
                guest_name=guest_name,
                is_host=is_host,
                joined_at=joined_at,
            )
        except EngineUnavailable:
            self._in_doubt.add(record_id)  # it may be written even after it was closed
            raise
        finally:
            del self._opening[record_id]

    def close(self, record_id: str, left_at: datetime | None = None) -> None:
        """Close a row, now or as soon as the database is there. Never fails, never waits."""
        self._closing.setdefault(record_id, left_at or self._now())
        self._touched.add(record_id)
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write(), name="attendance")

    def went_elsewhere(self, record_id: str) -> None:
        """The participant of a row has another node now, which closes it."""
        self._elsewhere[record_id] = None
        while len(self._elsewhere) > MAX_ELSEWHERE:
            del self._elsewhere[next(iter(self._elsewhere))]

    # -- for reconciliation
    def elsewhere(self) -> set[str]:
        """Rows of this run whose participants have another node: no business of this one."""
        return set(self._elsewhere)

    @property
    def run_prefix(self) -> str:
        """What the ids of all rows of this run begin with."""
        return participant_prefix(self._instance)

    def touched(self) -> set[str]:
        """Rows that began to be opened or closed since this was last asked."""
        touched, self._touched = self._touched, set()
        return touched

    def rooms_to_compare(self) -> set[str]:
        """Rooms in which rows were opened since `compared` last dropped them."""
        return set(self._rooms)

    def unsettled(self) -> set[str]:
        """Rows that are being opened or closed now: what the database says about them is no difference."""
        return self._opening.keys() | self._closing.keys()

    def rooms_opening(self) -> set[str]:
        """Rooms in which a row is being opened now."""
        return set(self._opening.values())

    def in_doubt(self) -> set[str]:
        """Rows whose opening got no answer: to be closed wherever they turn up."""
        return set(self._in_doubt)

    def compared(self, rooms: set[str], in_doubt: set[str]) -> None:
        """These rooms, in which nobody is any more, and these rows need no further look."""
        self._rooms -= rooms
        self._in_doubt -= in_doubt

    @property
    def unwritten(self) -> int:
        """Rows whose closing the database has not taken yet."""
        return len(self._closing)

    async def drain(self, seconds: float) -> int:
        """Wait until every row is closed, `seconds` at most. Returns how many are not."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=seconds)
        return len(self._closing)

    async def stop(self) -> None:
        """Give up what is not written; the next start closes it (store/lease.py)."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        pause = FIRST_RETRY_SECONDS
        try:
            while self._closing:
                moment, record_ids = self._next_group()
                try:
                    await self._participants.close(record_ids, moment)
                except StoreError as error:
                    log.warning(
                        "participant rows not closed yet", rows=len(self._closing), error=type(error).__name__
                    )
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_RETRY_SECONDS)
                else:
                    pause = FIRST_RETRY_SECONDS
                    for record_id in record_ids:
                        self._closing.pop(record_id, None)
        finally:
            self._writer = None

    def _next_group(self) -> tuple[datetime, list[str]]:
        # One statement writes one moment: those who left within the same second go together.
        second = next(iter(self._closing.values())).replace(microsecond=0)
        same = ((left, row) for row, left in self._closing.items() if left.replace(microsecond=0) == second)
        group = list(islice(same, LARGEST_GROUP))
        return max(left for left, _ in group), [row for _, row in group]
