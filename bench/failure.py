"""What ends a benchmark with a sentence instead of a traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class BenchFailed(Exception):
    """The benchmark cannot go on. The message says why and what to do."""


class Alarm:
    """How a callback, which nobody awaits, ends the run."""

    def __init__(self) -> None:
        self._raised: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ring(self, error: Exception) -> None:
        """End what `guard` watches over. Only the first reason counts."""
        if not self._raised.done():
            self._raised.set_exception(error)
            self._raised.exception()  # seen, also where nobody guards any more

    async def guard(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work`; raises what `ring` was called with, if it is, before or meanwhile."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({working, self._raised}, return_when=asyncio.FIRST_COMPLETED)
            if self._raised.done():
                self._raised.result()
            return working.result()
        finally:
            working.cancel()
