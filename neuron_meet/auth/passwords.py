"""Password hashes: bcrypt, as the former server made them (`$2b$`, cost 10), off the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import bcrypt

from neuron_meet.errors import UNAVAILABLE, Refused
from neuron_meet.rates import widest

COST = 10
"""2^10 rounds (docs/protocol.md), about 60 ms on one core."""
BYTES_READ = 72
"""How much of a password bcrypt reads. A new one is never longer (rest/rules.py, `Password`)."""
WAITING_PER_THREAD = 32
"""How many jobs may wait for each thread: two seconds of work, after which a client has no use for the answer."""

_NOBODYS_HASH = "$2b$10$9O9zO8q1GIBf3L.81gM/neqSByBRoE4RAYW1Aw0DyNU9BYFuKMSuu"
"""The hash of 32 random bytes that nobody kept, for addresses that nobody has registered."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    """Work that waits for a thread, and who is told when it begins (or that it never will: Refused)."""

    network: str
    begins: asyncio.Future[None]


class Passwords:
    """Hashes and verifies, at most `threads` at the same time; bcrypt releases the GIL meanwhile.

    What waits is served network by network in turn, by the client's address (rates.py), "" for none. When the queue is
    full, the newest job of the network that has most waiting makes room for one of a network that has fewer: strangers
    delay and push out each other, and who comes from elsewhere waits for one job of each of them at most.

    Raises :class:`Refused` (`UNAVAILABLE`) instead of queueing without bound.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._threads = threads
        self._most = threads * WAITING_PER_THREAD
        self._running = 0
        self._waiting = 0
        self._queues: dict[str, deque[_Job]] = {}
        """What waits, by network; the network that is served next is the first."""

    async def hash(self, password: str, address: str = "") -> str:
        """A new `$2b$` hash, for a client at `address`. `password` has at most :data:`BYTES_READ` bytes in UTF-8, else
        ValueError.
        """
        return await self._run(
            lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode(), address
        )

    async def verify(self, password: str, password_hash: str, address: str = "") -> bool:
        """Whether `password_hash` is of `password`. False, too, for a hash that is not bcrypt's.

        Of a longer password the first 72 bytes count, as they did in the former server.
        """
        return await self._run(lambda: _matches(password, password_hash), address)

    async def verify_nobody(self, password: str, address: str = "") -> bool:
        """False, after as much time as :meth:`verify` takes: a stopwatch must not tell who has an account."""
        await self.verify(password, _NOBODYS_HASH, address)
        return False

    def refuse_if_full(self, address: str = "") -> None:
        """Raises :class:`Refused` (`UNAVAILABLE`) when a job for a client at `address` would find no place now."""
        self._victim(widest(address))

    def close(self) -> None:
        """Let go of the threads. Nothing can be hashed afterwards; what waits is cancelled."""
        for queue in self._queues.values():
            for job in queue:
                job.begins.cancel()
        self._queues.clear()
        self._waiting = 0
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, job: Callable[[], T], address: str) -> T:
        if self._running >= self._threads:
            await self._turn(widest(address))
        else:
            self._running += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, job)
        except BaseException:  # closed meanwhile
            self._next()
            raise
        # Counted until the thread is done with it, not only until the caller stops waiting.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def _turn(self, network: str) -> None:
        """Wait for a thread, which is this job's then. Raises Refused."""
        victim = self._victim(network)
        if victim is not None:
            _refuse(self._queues[victim].pop())
            self._waiting -= 1
        job = _Job(network, asyncio.get_running_loop().create_future())
        self._queues.setdefault(network, deque()).append(job)
        self._waiting += 1
        try:
            await job.begins
        except asyncio.CancelledError:
            if job.begins.done() and not job.begins.cancelled() and job.begins.exception() is None:
                self._next()  # the thread was this job's already
            elif (queue := self._queues.get(network)) is not None and job in queue:
                queue.remove(job)
                self._waiting -= 1
                if not queue:
                    del self._queues[network]
            raise

    def _victim(self, network: str) -> str | None:
        """The network whose newest job goes for one of `network`; None where there is room. Raises Refused."""
        own = len(self._queues.get(network, ()))
        if self._waiting < self._most:
            return None
        longest = max(self._queues, key=lambda each: len(self._queues[each]))
        if len(self._queues[longest]) <= own + 1:
            raise Refused(UNAVAILABLE)
        return longest

    def _done(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled():
            future.exception()  # seen: asyncio would report it as forgotten
        self._next()

    def _next(self) -> None:
        """A thread is free: it is the next network's, or nobody's."""
        while self._queues:
            network, queue = next(iter(self._queues.items()))
            job = queue.popleft()
            self._waiting -= 1
            del self._queues[network]
            if queue:
                self._queues[network] = queue  # last: its turn comes after the others'
            if not job.begins.done():
                job.begins.set_result(None)
                return
        self._running -= 1


def _refuse(job: _Job) -> None:
    if not job.begins.done():
        job.begins.set_exception(Refused(UNAVAILABLE))


def _matches(password: str, password_hash: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode("utf-8", "surrogatepass")[:BYTES_READ], password_hash.encode())
    except ValueError:  # not a bcrypt hash
        return False
