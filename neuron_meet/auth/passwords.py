"""Password hashes: bcrypt, as the former server made them (`$2b$`, cost 10), off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from neuron_meet.errors import UNAVAILABLE, Refused

COST = 10
"""2^10 rounds (contract/rest.md, "JWT"), about 60 ms on one core."""
BYTES_READ = 72
"""How much of a password bcrypt reads. A new one is never longer (rest/rules.py, `Password`)."""
WAITING_PER_THREAD = 32
"""How many jobs may wait for each thread: two seconds of work, after which a client has no use for the answer."""

_NOBODYS_HASH = "$2b$10$9O9zO8q1GIBf3L.81gM/neqSByBRoE4RAYW1Aw0DyNU9BYFuKMSuu"
"""The hash of 32 random bytes that nobody kept, for addresses that nobody has registered."""

T = TypeVar("T")


class Passwords:
    """Hashes and verifies, at most `threads` at the same time; bcrypt releases the GIL meanwhile.

    Raises :class:`Refused` (`UNAVAILABLE`) instead of queueing without bound.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._most = threads * (1 + WAITING_PER_THREAD)
        self._jobs = 0
        self._counting = threading.Lock()

    async def hash(self, password: str) -> str:
        """A new `$2b$` hash. `password` has at most :data:`BYTES_READ` bytes in UTF-8, else ValueError."""
        return await self._run(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode())

    async def verify(self, password: str, password_hash: str) -> bool:
        """Whether `password_hash` is of `password`. False, too, for a hash that is not bcrypt's.

        Of a longer password the first 72 bytes count, as they did in the former server.
        """
        return await self._run(lambda: _matches(password, password_hash))

    async def verify_nobody(self, password: str) -> bool:
        """False, after as much time as :meth:`verify` takes: a stopwatch must not tell who has an account."""
        await self.verify(password, _NOBODYS_HASH)
        return False

    def refuse_if_full(self) -> None:
        """Raises :class:`Refused` (`UNAVAILABLE`) when a job would find no place now."""
        with self._counting:
            if self._jobs >= self._most:
                raise Refused(UNAVAILABLE)

    def close(self) -> None:
        """Let go of the threads. Nothing can be hashed afterwards."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, job: Callable[[], T]) -> T:
        with self._counting:
            if self._jobs >= self._most:
                raise Refused(UNAVAILABLE)
            self._jobs += 1
        future = self._pool.submit(job)
        # Counted until the thread is done with it, not only until the caller stops waiting.
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _future: object) -> None:
        with self._counting:
            self._jobs -= 1


def _matches(password: str, password_hash: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode("utf-8", "surrogatepass")[:BYTES_READ], password_hash.encode())
    except ValueError:  # not a bcrypt hash
        return False
