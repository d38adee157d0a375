"""Whether a pooler stands between this process and PostgreSQL, and what a connection through it is worth.

PostgreSQL tells each connection the process id of its server at the start (protocol, "BackendKeyData"), and again when
asked (`pg_backend_pid()`). A pooler answers the start itself, with a number of its own: the two differ. What is behind
it is seen with a second connection: in session mode a server belongs to one connection until that is closed, in
transaction mode the next transaction of anybody may get it (https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

import asyncpg

from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.errors import DatabaseUnreachable
from neuron_meet.store.session import session

_ROUNDS = 4
"""How often both connections are looked at. A pooler that gives out its servers in turn would show the same one after
as many transactions as it has servers: so the second connection makes one more transaction in each round."""
_SECONDS = 6.0
"""How long the second connection may wait for a server of the pooler."""
_STATEMENT_MODE = "transaction blocks not allowed in statement pooling mode"
"""PgBouncer's words, with which it closes the connection."""


class Pooling(Enum):
    """What stands before the database."""

    NONE = "no pooler"
    SESSION = "a pooler in session mode"
    TRANSACTION = "a pooler in transaction mode"
    STATEMENT = "a pooler in statement mode"


async def is_pooled(connection: Any) -> bool:
    """Whether a pooler stands before an `asyncpg.Connection` that has no transaction open.

    Four messages there and back. Raises what asyncpg raises.
    """
    return await _server(connection) != connection.get_server_pid()


async def pooling(address: DatabaseAddress, connection: Any) -> Pooling:
    """What stands before `connection`, an idle `asyncpg.Connection` to `address`; it stays as it is.

    Where there is a pooler, a second connection is opened, for some 20 transactions. Raises DatabaseUnreachable, also
    where the pooler has no second connection to give; and what asyncpg raises.
    """
    try:
        mine = await _server(connection)
    except asyncpg.PostgresError as error:
        if _STATEMENT_MODE in str(error):
            return Pooling.STATEMENT
        raise
    if mine == connection.get_server_pid():
        return Pooling.NONE
    try:
        async with asyncio.timeout(_SECONDS):
            return await _mode(address, connection, mine)
    except TimeoutError:
        raise DatabaseUnreachable(
            f"The pooler before the database {address} gave no second connection in {_SECONDS:.0f} s: raise the "
            "size of its pool (PgBouncer: default_pool_size) over DATABASE_POOL_SIZE + 2."
        ) from None


async def require_session(address: DatabaseAddress, connection: Any) -> None:
    """See that `connection` keeps its server: what it locks stays locked. Raises DatabaseUnreachable if not."""
    found = await pooling(address, connection)
    if found in (Pooling.TRANSACTION, Pooling.STATEMENT):
        raise DatabaseUnreachable(
            f"The database {address} is reached through {found.value}, where a lock does not last: set DIRECT_URL to "
            "PostgreSQL itself, or to a pooler in session mode. DATABASE_URL may stay as it is."
        )


async def _mode(address: DatabaseAddress, connection: Any, mine: int) -> Pooling:
    async with session(address) as other:
        for number in range(1, _ROUNDS + 1):
            for _ in range(number):
                if await _server(other) == mine:
                    return Pooling.TRANSACTION
            if await _server(connection) != mine:
                return Pooling.TRANSACTION
    return Pooling.SESSION


async def _server(connection: Any) -> int:
    """The process id of the server that a transaction of `connection` gets now."""
    # In a transaction: asyncpg prepares and runs a statement in two messages, which must go to one server.
    async with connection.transaction():
        return int(await connection.fetchval("SELECT pg_backend_pid()"))
