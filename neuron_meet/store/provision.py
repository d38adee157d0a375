"""A database ready for the server: the one that DATABASE_URL names, or the embedded one, with all migrations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import click
from pydantic import SecretStr

from neuron_meet.settings import Settings
from neuron_meet.store.embedded import EmbeddedPostgres
from neuron_meet.store.migrations import deploy

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A database ready for use: its URL (with the password), and how to let it go when the server stops."""

    url: str
    stop: Callable[[], Awaitable[None]]

    def __repr__(self) -> str:
        return "Provisioned(url=…)"


async def provide(settings: Settings, say: Say = click.echo) -> Provisioned:
    """Start the embedded PostgreSQL unless DATABASE_URL is set, and deploy migrations (over DIRECT_URL, if set).

    `stop` ends the embedded PostgreSQL, and does nothing for another. Says each step in a sentence.

    Raises EmbeddedPostgresError, or what `migrations.deploy` raises; nothing is left running then.
    """
    database, stop = await _open(settings, say)
    try:
        await deploy(_for_migrations(settings) or database, say)
    except BaseException:
        await stop()
        raise
    return Provisioned(database, stop)


@asynccontextmanager
async def opened(settings: Settings, say: Say = click.echo) -> AsyncGenerator[str]:
    """The URL for a `db` command: DIRECT_URL, DATABASE_URL, or the embedded PostgreSQL for as long as it is needed.

    An embedded PostgreSQL that a running server has started is used as it is. Raises EmbeddedPostgresError.
    """
    running = None if settings.database_url else await EmbeddedPostgres.running(settings.neuron_meet_data_dir)
    if running is not None:
        yield running
        return
    database, stop = await _open(settings, say)
    try:
        yield _for_migrations(settings) or database
    finally:
        await stop()


async def _open(settings: Settings, say: Say) -> tuple[str, Callable[[], Awaitable[None]]]:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value(), _nothing
    say(f"Starting the embedded PostgreSQL in {settings.neuron_meet_data_dir} (DATABASE_URL is not set).")
    embedded = EmbeddedPostgres(settings.neuron_meet_data_dir)
    return await embedded.start(), embedded.stop


def _for_migrations(settings: Settings) -> str | None:
    """DIRECT_URL, which counts only beside DATABASE_URL."""
    direct: SecretStr | None = settings.direct_url if settings.database_url else None
    return direct.get_secret_value() if direct else None


async def _nothing() -> None:
    """Let a database go that is not ours to stop."""
