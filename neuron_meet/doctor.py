"""Can a server with these settings work here? Each thing that it needs is tried, and changes nothing."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from neuron_meet import jwt_secret
from neuron_meet.failure import ForeseenFailure
from neuron_meet.ice.allocation import NoAllocation, allocate, udp_address
from neuron_meet.ice.servers import IceServers
from neuron_meet.listening import listeners
from neuron_meet.ops.configuration import UNNAMED_PROXIES
from neuron_meet.ops.stopping import NotServing, serving_process
from neuron_meet.ops.tracing import try_receiver
from neuron_meet.settings import Settings
from neuron_meet.store.client import IDLE_SECONDS, Database
from neuron_meet.store.embedded import EmbeddedPostgres
from neuron_meet.store.indexes import missing_names
from neuron_meet.store.messages import AHEAD_SECONDS
from neuron_meet.store.migrations import status
from neuron_meet.store.pooler import Pooling, pooling
from neuron_meet.store.session import address_of, session

MOST_SKEW_SECONDS = 2.0
"""Tokens and TURN credentials are by this machine's clock, moments in rows by the database's."""
MOST_COUNTED = 100_000
"""So many messages that are ahead of the clock are counted; the index on their moment finds them."""
FEWEST_FILES = 4096
"""A connection takes one file; below this a few thousand people use them up."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing: it works, does not (with what to do), or was not looked at."""

    subject: str
    state: Literal["ok", "failed", "skipped"]
    text: str


Check = Callable[[], Awaitable[str]]
"""Returns what works, raises ForeseenFailure with what does not and what to do, or Skipped."""


class Skipped(Exception):
    """There is nothing to look at, for the reason given."""


async def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order in which a server needs things. Takes at most some 10 s for each that hangs."""
    return [await _finding(subject, check) for subject, check in _checks(settings)]


def _checks(settings: Settings) -> Iterator[tuple[str, Check]]:
    checkup = _Checkup(settings)
    yield "JWT_SECRET", checkup.secret
    yield "PostgreSQL", checkup.database
    yield "clock", checkup.clock
    yield "connections", checkup.connections
    yield "migrations", checkup.migrations
    yield "indexes", checkup.indexes
    yield "messages", checkup.messages
    yield "query engine", checkup.engine
    yield "DIRECT_URL", checkup.direct
    yield "Redis", checkup.redis
    yield "TURN", checkup.turn
    yield "port", checkup.port
    yield "admin port", checkup.admin_port
    yield "proxies", checkup.proxies
    yield "open files", checkup.files
    yield "data folder", checkup.folder
    yield "audit log", checkup.audit
    yield "tracing", checkup.tracing


async def _finding(subject: str, check: Check) -> Finding:
    try:
        return Finding(subject, "ok", await check())
    except Skipped as skipped:
        return Finding(subject, "skipped", str(skipped))
    except ForeseenFailure as failure:
        return Finding(subject, "failed", str(failure))


class _Checkup:
    """The checks; what one has found out the next ones use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url: str | None = None

    async def secret(self) -> str:
        """What signs the tokens."""
        settings = self._settings
        if settings.jwt_secret is None and not jwt_secret.is_made(settings):
            _writable(settings.neuron_meet_data_dir, "NEURON_MEET_DATA_DIR")
        return jwt_secret.source(settings)

    async def database(self) -> str:
        settings = self._settings
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            running = await EmbeddedPostgres.running(settings.neuron_meet_data_dir)
            if running is None:
                raise Skipped(f"embedded, in {settings.neuron_meet_data_dir}: `neuron-meet serve` starts it")
            url = running
        address = address_of(url)
        async with session(address) as connection:
            before = await pooling(address, connection)
            if before is Pooling.STATEMENT:
                raise ForeseenFailure(
                    "DATABASE_URL goes through a pooler in statement mode, which takes no transactions: have it pool "
                    "by transaction or by session."
                )
            # One transaction, here and below: a pooler may give each its own server.
            async with connection.transaction():
                version = await connection.fetchval("SHOW server_version")
                if await connection.fetchval("SHOW transaction_read_only") == "on":
                    raise ForeseenFailure(
                        "The database takes no writes: name the primary in DATABASE_URL, not a standby."
                    )
            if before is Pooling.TRANSACTION and settings.direct_url is None:
                raise ForeseenFailure(
                    f"DATABASE_URL goes through {before.value}, where a lock does not last: set DIRECT_URL as well, to "
                    "PostgreSQL itself or to a pooler in session mode."
                )
        self._url = url
        through = "" if before is Pooling.NONE else f", through {before.value}"
        return f"{address}, version {version}{through}"

    async def clock(self) -> str:
        async with session(address_of(self._reached)) as connection, connection.transaction():
            before = time.time()
            theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
            after = time.time()
        skew = theirs.astimezone(UTC).timestamp() - (before + after) / 2
        if abs(skew) > MOST_SKEW_SECONDS:
            direction = "ahead of" if skew > 0 else "behind"
            raise ForeseenFailure(
                f"The database's clock is {abs(skew):.0f} s {direction} this machine's: "
                "have both set theirs by NTP (timedatectl set-ntp true)."
            )
        return f"{abs(skew) * 1000:.0f} ms between this machine and the database"

    async def connections(self) -> str:
        wanted = self._settings.database_pool_size + 1
        async with session(address_of(self._reached)) as connection, connection.transaction():
            most = int(await connection.fetchval("SHOW max_connections"))
            used: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL"
            )
        if most - used < wanted:
            raise ForeseenFailure(
                f"PostgreSQL has {most - used} of {most} connections left, this server wants {wanted}: "
                "lower DATABASE_POOL_SIZE, or raise max_connections."
            )
        return f"{wanted} wanted, {most - used} of {most} free"

    async def migrations(self) -> str:
        said: list[str] = []
        if not await status(self._direct_or_reached, said.append):
            raise ForeseenFailure(said[-1])
        return "current"

    async def indexes(self) -> str:
        names = await missing_names(self._direct_or_reached)
        if names is None:
            raise Skipped("there are no tables yet")
        if names:
            raise ForeseenFailure(
                f"Indexes are missing, and queries are slow without them: {', '.join(names)}. A server builds them "
                "while it serves, and `neuron-meet db deploy` at once."
            )
        return "all there"

    async def messages(self) -> str:
        address = address_of(self._reached)
        async with session(address) as connection, connection.transaction():
            table = f'{address.quoted_schema}."Message"'
            if await connection.fetchval("SELECT to_regclass($1)", table) is None:
                raise Skipped("there is no table of messages yet")
            rows, rooms = await connection.fetchrow(
                f"""SELECT count(*), count(DISTINCT "roomId") FROM (SELECT "roomId" FROM {table}
                    WHERE "createdAt" > statement_timestamp() AT TIME ZONE 'UTC' + interval '{AHEAD_SECONDS} s'
                    LIMIT {MOST_COUNTED}) AS ahead"""
            )
        if rows:
            raise ForeseenFailure(
                f"{rows}{' or more' if rows == MOST_COUNTED else ''} messages in {rooms} room(s) are more than "
                f"{AHEAD_SECONDS} s ahead of the database's clock: who joins is not shown them until then. Give them "
                'the moments at which they were said ("Message"."createdAt", in UTC).'
            )
        return "none is ahead of the clock"

    async def engine(self) -> str:
        database = Database(
            self._reached,
            pool_size=self._settings.database_pool_size,
            timeout_seconds=self._settings.database_timeout_seconds,
            host_idle_seconds=IDLE_SECONDS,  # as the server: Node.js only where it is needed
        )
        try:
            await database.start()
            begun = time.monotonic()
            await database.ping()
            return f"answers in {(time.monotonic() - begun) * 1000:.0f} ms"
        finally:
            await database.stop()

    async def direct(self) -> str:
        settings = self._settings
        if settings.direct_url is None:
            raise Skipped("not set: DATABASE_URL is used")
        if settings.database_url is None:
            raise ForeseenFailure("DIRECT_URL counts only beside DATABASE_URL: set that as well, or neither.")
        address = address_of(settings.direct_url.get_secret_value())
        async with session(address) as connection:
            # The lease is a lock of the session: behind a pooler in transaction mode the session is another each time.
            before = await pooling(address, connection)
            if before in (Pooling.TRANSACTION, Pooling.STATEMENT):
                raise ForeseenFailure(
                    f"DIRECT_URL goes through {before.value}, where a lock does not last: name PostgreSQL itself "
                    "there, or a pooler in session mode."
                )
        return f"{address}" + ("" if before is Pooling.NONE else f", through {before.value}")

    async def redis(self) -> str:
        if self._settings.redis_url is None:
            raise Skipped("REDIS_URL is not set: this is the only server")
        try:
            from neuron_meet.cluster.link import Link  # noqa: PLC0415 -- an extra
        except ModuleNotFoundError:
            raise ForeseenFailure(
                "The package redis is missing: pip install 'neuron-meet[cluster]', or unset REDIS_URL."
            ) from None
        link = Link(self._settings.redis_url.get_secret_value())
        try:
            await link.check()
            begun = time.monotonic()
            await link.do("PING")
            return f"answers in {(time.monotonic() - begun) * 1000:.1f} ms"
        finally:
            await link.close()

    async def turn(self) -> str:
        settings = self._settings
        if not settings.turn_server_url:
            if settings.turn_secret or settings.turn_server_username:
                raise ForeseenFailure("TURN credentials are set, but TURN_SERVER_URL is not.")
            raise Skipped("TURN_SERVER_URL is not set: members behind strict firewalls cannot be reached")
        server = IceServers(settings).for_member("doctor")[-1]
        if not isinstance(server.username, str) or not isinstance(server.credential, str):
            raise ForeseenFailure(
                "TURN_SERVER_URL is set without credentials: set TURN_SECRET, or TURN_SERVER_USERNAME and "
                "TURN_SERVER_PASSWORD."
            )
        tried: list[str] = []
        for url in server.urls:
            if (address := udp_address(url)) is None:
                continue
            try:
                await allocate(*address, server.username, server.credential)
            except NoAllocation as error:
                raise ForeseenFailure(
                    f"{url} gives no allocation: {error}. Check the relay and TURN_SECRET (or name and password)."
                ) from None
            tried.append(url)
        if not tried:
            raise Skipped("only TURN over TCP or TLS is configured, which is not tried")
        return f"allocation given by {', '.join(tried)}"

    async def port(self) -> str:
        settings = self._settings
        with suppress(NotServing):
            return f"process {serving_process(settings)} serves on {settings.port}"
        return _free(settings.bind_host, settings.port, "PORT")

    async def admin_port(self) -> str:
        settings = self._settings
        if settings.admin_port is None:
            raise Skipped("ADMIN_PORT is not set: there are no metrics")
        with suppress(NotServing):
            return f"process {serving_process(settings)} has it"
        return _free(settings.admin_host, settings.admin_port, "ADMIN_PORT")

    async def proxies(self) -> str:
        named = self._settings.trusted_proxies
        if not named:
            raise Skipped(UNNAMED_PROXIES)
        return f"what {', '.join(map(str, named))} say of their clients' addresses is believed"

    async def files(self) -> str:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < FEWEST_FILES:
            raise ForeseenFailure(
                f"This process may open {soft} files, and each connection takes one: raise it "
                "(ulimit -n 65536; LimitNOFILE=65536 in a systemd unit)."
            )
        return "no limit" if soft == resource.RLIM_INFINITY else f"{soft} allowed"

    async def folder(self) -> str:
        settings = self._settings
        if settings.database_url is not None:
            raise Skipped("DATABASE_URL is set: there is no embedded PostgreSQL")
        return _writable(settings.neuron_meet_data_dir, "NEURON_MEET_DATA_DIR")

    async def audit(self) -> str:
        path = self._settings.audit_log
        if path is None or path == "stdout":
            raise Skipped("AUDIT_LOG names no file")
        return _appendable(Path(path))

    async def tracing(self) -> str:
        endpoint = self._settings.otel_exporter_otlp_endpoint
        if endpoint is None:
            raise Skipped("OTEL_EXPORTER_OTLP_ENDPOINT is not set")
        await try_receiver(endpoint)
        return f"{endpoint} takes traces"

    @property
    def _reached(self) -> str:
        if self._url is None:
            raise Skipped("without PostgreSQL this cannot be told")
        return self._url

    @property
    def _direct_or_reached(self) -> str:
        direct = self._settings.direct_url if self._settings.database_url else None
        return direct.get_secret_value() if direct else self._reached


def _free(host: str, port: int, variable: str) -> str:
    try:
        for each in listeners(host, port):
            each.close()
    except OSError as error:
        raise ForeseenFailure(
            f"{variable} {port} on {host} cannot be used ({error.strerror}): "
            "stop what listens there, or choose another."
        ) from None
    return f"{port} on {host} is free"


def _appendable(file: Path) -> str:
    if file.is_dir() or (file.exists() and not os.access(file, os.W_OK)):
        raise ForeseenFailure(f"{file} cannot be written: grant that, or name another with AUDIT_LOG.")
    return _writable(file.parent, "AUDIT_LOG")


def _writable(folder: Path, variable: str) -> str:
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ForeseenFailure(
            f"{nearest} cannot be written: grant that, or name another place with {variable}."
        )
    return f"{folder} can be written"
