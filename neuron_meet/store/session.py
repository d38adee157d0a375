"""A plain connection to PostgreSQL, for what Prisma's engine has no word for.

That is a lock which lives as long as a session (store/lease.py), and a look at the migrations that starts no
Node.js (store/migrations.py). Everything else goes through the Prisma client. asyncpg ships no types: hence Any.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.errors import DatabaseUnreachable

CONNECT_SECONDS = 6.0
"""How long to wait for a connection, in seconds: a start that fails ends within 10 s (issue 2, "Bad input")."""


def address_of(url: str) -> DatabaseAddress:
    """The parts of a connection URL. Raises DatabaseUnreachable for one that is none; it never quotes the URL."""
    try:
        return DatabaseAddress.parse(url)
    except ValueError as error:
        raise DatabaseUnreachable(str(error)) from None


async def connect(address: DatabaseAddress) -> Any:
    """An `asyncpg.Connection`. Raises DatabaseUnreachable with a sentence that says what to do."""
    try:
        return await cast("Any", asyncpg.connect)(
            **address.for_asyncpg(),
            timeout=CONNECT_SECONDS,
            statement_cache_size=0,  # a pooler may give each statement another connection
            server_settings={"application_name": address.application_name},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(f"The database {address} {complaint(address, error)}") from None


@asynccontextmanager
async def session(address: DatabaseAddress) -> AsyncGenerator[Any]:
    """A connection for a block. Raises DatabaseUnreachable, also for what the block's statements raise."""
    connection = await connect(address)
    try:
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError, TimeoutError) as error:
        raise DatabaseUnreachable(f"The database {address} {complaint(address, error)}") from None
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=CONNECT_SECONDS)


def complaint(  # noqa: PLR0911 - one return for each reason
    address: DatabaseAddress, error: Exception
) -> str:
    """What is wrong and what to do, after "The database … "; never the password."""
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    match getattr(error, "sqlstate", None):  # PostgreSQL's manual, appendix A
        case "28P01" | "28000":
            return f"refuses the user {address.user} ({reason}): check the user and the password in DATABASE_URL."
        case "3D000":
            return f"does not exist: create it (createdb {address.database}), or correct the name in DATABASE_URL."
        case "42501":
            return f"does not let the user {address.user} see its migrations ({reason}): grant that, or be its owner."
        case "53300" | "53400":
            return (
                f"has no connection left ({reason}): raise PostgreSQL's max_connections, or the user's CONNECTION "
                "LIMIT, or lower DATABASE_POOL_SIZE."
            )
        case "08P01":
            return (
                f"was not reached ({reason}): a pooler stands before it that takes no such setting. Take it out of the "
                "URL's options (ALTER ROLE … SET does the same), or have the pooler pass over it (PgBouncer: "
                "ignore_startup_parameters)."
            )
        case _ if isinstance(error, TimeoutError):
            return (
                f"did not answer in {CONNECT_SECONDS:.0f} s: check DATABASE_URL, and that PostgreSQL runs there and "
                "can be reached from here."
            )
        case _:
            return f"cannot be reached ({reason}): check DATABASE_URL, and that PostgreSQL runs there."
