"""The database for a command: reached, and let go at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from neuron_meet.commands.ending import importing
from neuron_meet.settings import Settings

if TYPE_CHECKING:
    from neuron_meet.store.client import Database


@asynccontextmanager
async def stored(settings: Settings) -> AsyncGenerator[Database]:
    """A started client of the database of the settings. Raises DatabaseUnreachable."""
    with importing():
        from neuron_meet.store.client import IDLE_SECONDS, Database  # noqa: PLC0415 -- needs the generated client
        from neuron_meet.store.provision import opened  # noqa: PLC0415

    async with opened(settings) as url:
        # Four are the fewest of which two are this process's own: no command waits for Node.js to start.
        database = Database(
            url,
            pool_size=4,
            timeout_seconds=settings.database_timeout_seconds,
            host_idle_seconds=IDLE_SECONDS,
        )
        await database.start()
        try:
            yield database
        finally:
            await database.stop()
