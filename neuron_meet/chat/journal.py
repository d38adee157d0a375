"""The chat journal: messages become durable in the order in which they will be broadcast."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime

import structlog

from neuron_meet.failure import place
from neuron_meet.repeats import seldom
from neuron_meet.store.errors import EngineUnavailable, RecordNotFoundError, StoreError
from neuron_meet.store.messages import Messages, NewMessage, Said

log = structlog.get_logger(__name__)

LARGEST_GROUP = 64
"""Messages written in one statement at most: keeps one statement short when a backlog has built up."""

Waiting = tuple[NewMessage, "asyncio.Future[datetime | None]"]
"""A message to be written, and what becomes its moment."""


class Journal:
    """Writes messages in groups: an idle journal writes at once, a busy one takes all that came meanwhile.

    Nothing waits for company, so a single message costs no delay and sixteen at a time cost one statement.
    """

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._waiting: deque[Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def append(self, message: NewMessage) -> Said:
        """Return when `message` is durable. Callers come back in the order in which they called.

        Where a message of that id is stored already, by whichever node, that one is read and comes back as `repeated`,
        perhaps later than its turn. Raises the StoreError that kept it from being stored or read.
        """
        done: asyncio.Future[datetime | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="chat-journal")
        moment = await done
        return Said(message, moment) if moment is not None else await self._stored(message)

    async def _stored(self, message: NewMessage) -> Said:
        """What is stored by a message's id."""
        row = await self._messages.find(message.id)
        if row is None:  # deleted meanwhile, with its room or for its age
            raise RecordNotFoundError({}, message="The message is stored no more.")
        stored = NewMessage(row.id, row.roomId, row.userId, row.senderName or "", row.content)
        return Said(stored, row.createdAt, repeated=True)

    async def drain(self, seconds: float | None = None) -> None:
        """Return when nothing waits to be written any more; after `seconds`, if given, give up what does."""
        if self._writer is not None:
            _, late = await asyncio.wait([self._writer], timeout=seconds)
            for writer in late:
                writer.cancel()

    async def _write(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_GROUP))]
                try:
                    moments = await self._messages.append([message for message, _ in group])
                except EngineUnavailable as error:
                    # Whoever queued up behind a store that is away would only wait for the next deadline.
                    group.extend(self._waiting)
                    self._waiting.clear()
                    _fail(group, error)
                except StoreError as error:
                    await self._write_singly(group, error)
                except Exception as error:  # whatever it is, nobody is left waiting for ever
                    where = place(error)  # and not its text, which may quote content
                    seldom(log.error, "chat journal failed", by={"error": where.pop("error")}, **where)
                    _fail(group, error)
                else:
                    _finish(group, moments)
        finally:
            self._writer = None

    async def _write_singly(self, group: list[Waiting], error: StoreError) -> None:
        # One bad message (its room or account was deleted meanwhile) must not take its neighbours along.
        if len(group) == 1:
            _fail(group, error)
            return
        for entry in group:
            try:
                moments = await self._messages.append([entry[0]])
            except StoreError as single:
                _fail([entry], single)
            else:
                _finish([entry], moments)


def _finish(group: list[Waiting], moments: list[datetime | None]) -> None:
    for (_, done), moment in zip(group, moments, strict=True):
        if not done.done():  # else the caller was cancelled: the server is going down
            done.set_result(moment)


def _fail(group: list[Waiting], error: Exception) -> None:
    for _, done in group:
        if not done.done():
            done.set_exception(error)
