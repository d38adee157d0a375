"""What the other nodes say: channels of Redis, listened to on connections that never die silently."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine

import structlog

from neuron_meet.cluster.line import Heard, Line
from neuron_meet.cluster.link import LINK_ERRORS, Link
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.failure import place

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
WATCH_SECONDS = 1.0
MOST_UNANSWERED = 3
"""A shard that has answered so many pings with nothing is lost. One Redis is watched by the node's own heartbeat."""

Listener = Callable[[bytes], None]


class Channels:
    """Subscriptions of this node. A message is handed over in the order in which it came, never two at a time.

    One connection (`Line`) for one Redis, one for each shard of a cluster. `lost` is called when one is lost: all are
    given up then, and nothing is heard until `resubscribed` is called, when all channels are listened to again; what
    was said in between was missed.
    """

    def __init__(self, link: Link, *, lost: Callable[[], None], resubscribed: Callable[[], None]) -> None:
        self._link = link
        self._lost = lost
        self._resubscribed = resubscribed
        self._listeners: dict[str, Listener] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._leaving: Counter[str] = Counter()
        self._lines: dict[str, Line] = {}
        self._readers: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._forgetting: set[asyncio.Task[None]] = set()

    async def start(self, channel: str, listener: Listener) -> None:
        """Listen from now on, to `channel` first of all. Raises PresenceUnavailable."""
        self._listeners[channel] = listener
        confirmed = self._confirmed[channel] = asyncio.Event()
        self._task = asyncio.create_task(self._listen(), name="cluster-channels")
        try:
            await self._link.within(confirmed.wait())
        except PresenceUnavailable:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Listen no more."""
        tasks = [task for task in (self._task, *self._forgetting) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def subscribe(self, channel: str, listener: Listener) -> None:
        """Return when everything said on the channel from now on reaches `listener`. Raises PresenceUnavailable."""
        self._listeners[channel] = listener
        confirmed = self._confirmed.setdefault(channel, asyncio.Event())
        async with self._writing:
            if (readers := self._readers) is None:
                raise PresenceUnavailable
            await self._ask_for(self._link.place(channel), [channel], readers)
        await self._link.within(confirmed.wait())

    def forget(self, channel: str) -> None:
        """Listen no longer."""
        if self._listeners.pop(channel, None) is None:
            return
        self._confirmed.pop(channel, None)
        task = asyncio.ensure_future(self._unsubscribe(channel))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def ready(self) -> None:
        """Return when all channels are listened to. Raises PresenceUnavailable."""
        for confirmed in list(self._confirmed.values()):
            await self._link.within(confirmed.wait())

    async def reset(self) -> None:
        """Begin with new connections: these are deaf."""
        for line in list(self._lines.values()):
            await line.drop()

    async def _unsubscribe(self, channel: str) -> None:
        async with self._writing:
            try:
                line = self._lines.get(self._link.place(channel))
                if line is not None and channel not in self._listeners:
                    self._leaving[channel] += 1
                    await self._link.within(line.unsubscribe(channel))
            except PresenceUnavailable:
                return  # nothing is listened to now

    async def _listen(self) -> None:
        pause, first = FIRST_PAUSE_SECONDS, True
        while True:
            began = False
            try:
                async with asyncio.TaskGroup() as readers:  # it ends when one of them does
                    await self._begin(readers)
                    self._readers, began = readers, True
                    if not first:
                        self._resubscribed()
                    first, pause = False, FIRST_PAUSE_SECONDS
            except* (*LINK_ERRORS, PresenceUnavailable) as errors:
                log.warning("channels of the cluster lost", error=type(errors.exceptions[0]).__name__)
            except* Exception as errors:  # a listener must not die silently, whatever it is
                log.error("channels of the cluster failed", **place(errors.exceptions[0]))  # noqa: TRY400
            finally:
                self._readers = None
                self._lost()
                for confirmed in self._confirmed.values():
                    confirmed.clear()
                lines, self._lines = self._lines, {}
                self._leaving.clear()
                for line in lines.values():
                    await line.close()
            pause = 0.0 if began else pause
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    async def _begin(self, readers: asyncio.TaskGroup) -> None:
        await self._link.find_places()
        by_place: defaultdict[str, list[str]] = defaultdict(list)
        for channel in self._listeners:
            by_place[self._link.place(channel)].append(channel)
        for name, channels in by_place.items():
            await self._ask_for(name, channels, readers)
        if self._link.sharded:
            readers.create_task(self._until_lost(self._watch()))

    async def _ask_for(self, name: str, channels: list[str], readers: asyncio.TaskGroup) -> None:
        if (line := self._lines.get(name)) is not None:
            await self._link.within(line.subscribe(channels))
            return
        line = self._link.line(name)
        try:
            await self._link.within(line.subscribe(channels))
        except PresenceUnavailable:
            await line.close()
            raise
        self._lines[name] = line
        readers.create_task(self._until_lost(self._read(line)))

    async def _until_lost(self, listening: Coroutine[None, None, None]) -> None:
        try:
            await listening
        finally:
            self._readers = None  # from this moment on; the others are about to end

    async def _read(self, line: Line) -> None:
        while True:
            self._take(await line.read())

    def _take(self, heard: Heard) -> None:
        listener = self._listeners.get(heard.channel)
        if heard.kind == b"message":
            if listener is not None:
                self._hand_over(listener, heard.data)
        elif heard.kind == b"subscribe" and (confirmed := self._confirmed.get(heard.channel)):
            confirmed.set()
        elif heard.kind == b"unsubscribe":
            if self._leaving[heard.channel]:
                self._leaving[heard.channel] -= 1
                if not self._leaving[heard.channel]:
                    del self._leaving[heard.channel]
            elif listener is not None:
                raise ConnectionError(
                    "a channel has another place now"
                )  # its slot was moved to another shard

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for line in list(self._lines.values()):
                if line.unanswered >= MOST_UNANSWERED:
                    raise ConnectionError("a shard does not answer")
                await self._link.within(line.ping())

    def _hand_over(self, listener: Listener, data: bytes) -> None:
        try:
            listener(data)
        except Exception as error:
            log.error("message of another node not understood", **place(error))  # noqa: TRY400 -- may quote content
