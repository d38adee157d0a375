"""A connection of this process's held for one transaction, which begins with a statement of SQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from neuron_meet.store.engine.engine import raise_failure
from neuron_meet.store.engine.failures import describe, is_broken
from neuron_meet.store.engine.pool import Pool
from neuron_meet.store.errors import EngineUnavailable, TransactionError


@asynccontextmanager
async def held(pool: Pool, seconds: float, statement: str, values: Sequence[str]) -> AsyncGenerator[Any]:
    """A connection of `pool` with a transaction on it, begun with `statement`, such as a lock.

    The transaction is committed at the end of the block, undone where the block raises, and over after `seconds` in any
    case. Raises the library's exceptions, EngineUnavailable, and TransactionError where a query in it has failed
    and the block has passed over that.
    """
    try:
        async with asyncio.timeout(seconds):
            connection = await _begun(pool, statement, values)
            try:
                yield connection
                status = await connection.execute("COMMIT")
            except BaseException:
                await _undone(pool, connection)
                raise
            pool.give_back(connection)
    except TimeoutError:
        raise EngineUnavailable(f"The database did not answer within {seconds:g} s.") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise_failure([describe(error)])
    if status != "COMMIT":  # PostgreSQL's way to say that a statement of it had failed
        raise TransactionError("The transaction was rolled back: a query in it had failed.")


async def _begun(pool: Pool, statement: str, values: Sequence[str]) -> Any:
    tried = False
    while True:
        connection = pool.take_idle() or await pool.take()
        try:
            await connection.execute("BEGIN")
            await connection.fetch(statement, *values)
        except BaseException as error:
            pool.discard(connection)
            if tried or not (isinstance(error, Exception) and is_broken(error)):
                raise
            pool.distrust()
            tried = True
        else:
            return connection


async def _undone(pool: Pool, connection: Any) -> None:
    """End a transaction that is not to be committed."""
    task = asyncio.current_task()
    if connection.is_closed() or (task and task.cancelling()):  # in the middle of anything
        pool.discard(connection)
        return
    try:
        await connection.execute("ROLLBACK")
    except BaseException:
        pool.discard(connection)
        raise
    pool.give_back(connection)
