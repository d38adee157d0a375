"""Reconciliation: the open Participant rows are compared with presence, and differences are mended and counted.

There should be none: a difference is a bug, or a hand in the database.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from neuron_meet.failure import place
from neuron_meet.signaling.attendance import Attendance
from neuron_meet.signaling.presence.interface import Presence
from neuron_meet.store.errors import StoreError
from neuron_meet.store.participants import Participants

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 60.0
LOGGED_ROWS = 5
"""Ids of so many rows that differ are in the log, to be looked at in the database."""


@dataclass(slots=True)
class Differences:
    """What was found since the start: rows open without a participant, participants without an open row."""

    ghosts: int = 0
    missing: int = 0


class Reconciliation:
    """Compares, every minute, the rooms that this server has had people in since it last found them equal."""

    def __init__(self, presence: Presence, participants: Participants, attendance: Attendance) -> None:
        self._presence = presence
        self._participants = participants
        self._attendance = attendance
        self._task: asyncio.Task[None] | None = None
        self.found = Differences()

    def start(self, period_seconds: float = PERIOD_SECONDS) -> None:
        """Compare every `period_seconds` from now on."""
        self._task = asyncio.create_task(self._run(period_seconds), name="reconciliation")

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def compare(self) -> Differences:
        """Compare once, mend what differs, return what was found this time. Raises StoreError.

        A row that is being opened or closed right now is not a difference: what is asked of presence and of
        attendance after the query, and again in between, decides.
        """
        in_doubt = self._attendance.in_doubt()
        rooms = self._attendance.rooms_to_compare() | self._rooms_in_use()
        if not rooms:
            return Differences()
        before, unsettled = self._present(), self._attendance.unsettled()
        self._attendance.touched()
        rows = set(await self._participants.open_ids(rooms, self._attendance.run_prefix))
        # Whoever came and went while the database was asked is in neither picture, and no difference.
        after, unsettled = self._present(), unsettled | self._attendance.touched()
        for record_id in rows & in_doubt:
            self._attendance.close(record_id)
        ghosts = rows - before - after - unsettled - in_doubt - self._attendance.elsewhere()
        # Rows of those who came from another node are that one's, by their ids.
        missing = (
            {row for row in before & after if row.startswith(self._attendance.run_prefix)} - rows - unsettled
        )
        for record_id in ghosts:
            self._attendance.close(record_id)
        if missing:
            await self._participants.reopen(missing)
        if not ghosts:
            self._attendance.compared(
                rooms - self._rooms_in_use() - self._attendance.rooms_opening(), in_doubt
            )
        if ghosts or missing:
            log.error(
                "participant rows differed from presence",
                ghosts=len(ghosts),
                missing=len(missing),
                rows=sorted(ghosts | missing)[:LOGGED_ROWS],
            )
        self.found.ghosts += len(ghosts)
        self.found.missing += len(missing)
        return Differences(len(ghosts), len(missing))

    def _present(self) -> set[str]:
        return {participant.record_id for participant in self._presence.participants()}

    def _rooms_in_use(self) -> set[str]:
        return {participant.room_id for participant in self._presence.participants()}

    async def _run(self, period_seconds: float) -> None:
        while True:
            await asyncio.sleep(period_seconds)
            try:
                await self.compare()
            except StoreError as error:
                log.warning("participant rows not compared", error=type(error).__name__)
            except Exception as error:  # the next round compares again
                log.error("participant rows not compared", **place(error))  # noqa: TRY400 -- may quote content
