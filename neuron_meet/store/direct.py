"""A direct connection to PostgreSQL, for the two things that Prisma's engine has no word for.

Those are a lock that lives as long as a session (store/lease.py) and a look at the catalog that starts no
Node.js (store/migrations.py). Everything else goes through the Prisma client.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from neuron_meet.store.engine.address import DatabaseAddress

CONNECT_TIMEOUT_SECONDS = 5
DIRECT_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What a direct connection raises when the database is away or refuses."""


async def connect(address: DatabaseAddress) -> Any:
    """An `asyncpg.Connection` to the database (asyncpg ships no types). Raises DIRECT_ERRORS."""
    return await asyncpg.connect(
        **address.for_asyncpg(),
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=CONNECT_TIMEOUT_SECONDS,
        statement_cache_size=0,  # works through a pooler too
        # No setting more: a pooler refuses those that it does not know. Whoever asks names the schema.
        server_settings={"application_name": address.application_name},
    )
