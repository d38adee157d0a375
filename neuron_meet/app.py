"""The composition root: the only module that knows all others. Start and stop order stand here."""

from __future__ import annotations

import resource
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from neuron_meet import __version__, repeats
from neuron_meet.api import build_api
from neuron_meet.audit import Audit
from neuron_meet.ceilings import AtOnce
from neuron_meet.chat.journal import Journal
from neuron_meet.failure import ForeseenFailure
from neuron_meet.holdings import Holdings
from neuron_meet.ice.servers import IceServers
from neuron_meet.listening import BACKLOG, listeners, url_of
from neuron_meet.operating import Parts, operated
from neuron_meet.ops.health import Health
from neuron_meet.ops.logs import name_everywhere
from neuron_meet.ops.stalls import StallWatch
from neuron_meet.ops.tracing import traced
from neuron_meet.pace import Pace
from neuron_meet.realtime.bounds import HALF_MESSAGES, KEPT, UNFETCHED, Bounds
from neuron_meet.realtime.server import MeetingServer
from neuron_meet.rest.address import ClientAddresses
from neuron_meet.rest.connections import BoundedRunner, Connections
from neuron_meet.rest.malformed import Door
from neuron_meet.rest.origins import Origins
from neuron_meet.rooms.removals import DENIED_SECONDS, MAX_REMOVALS, Removals
from neuron_meet.settings import Settings
from neuron_meet.shares import Shares
from neuron_meet.signaling.attendance import Attendance
from neuron_meet.signaling.bans import Bans
from neuron_meet.signaling.chat import typing_expired
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.dispatch import Dispatcher
from neuron_meet.signaling.expulsion import Expulsion
from neuron_meet.signaling.handshake import Handshake
from neuron_meet.signaling.limits import EventLimits
from neuron_meet.signaling.live import LiveMeetings
from neuron_meet.signaling.presence.interface import Presence
from neuron_meet.signaling.presence.memory import MemoryPresence
from neuron_meet.signaling.presence.room import REPLAYED_MESSAGES
from neuron_meet.signaling.reconciliation import Reconciliation
from neuron_meet.signaling.typing import TypingIndicators
from neuron_meet.store.client import IDLE_SECONDS, Database
from neuron_meet.store.clock import DatabaseClock
from neuron_meet.store.entrance import Entrance
from neuron_meet.store.ids import new_instance
from neuron_meet.store.indexes import IndexBuilder
from neuron_meet.store.lease import Lease
from neuron_meet.store.messages import Messages
from neuron_meet.store.participants import Participants
from neuron_meet.store.rehearsal import rehearse
from neuron_meet.store.removals import StoredRemovals, active_removals
from neuron_meet.store.rooms import Rooms

if TYPE_CHECKING:
    from neuron_meet.signaling.node import ClusterNode

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 5.0
MAX_BUFFERED_BYTES = 4_000_000
"""What may wait for one client that is slow to read: twice what a join is answered with at most, event and ack together
(each 256 kB of messages, 100 participants with pictures of 4 kB, 200 who wait: 0.9 MB)."""
KEPT_FILES = 128
"""Of the files that the process may open, those for itself: database, Redis, logs, its children's pipes."""


def max_buffered_bytes(settings: Settings) -> int:
    """What may wait for one client before it is called slow: no single thing that the server sends comes near it."""
    return max(MAX_BUFFERED_BYTES, 2 * settings.max_payload_bytes)


class PortTakenError(ForeseenFailure):
    """The port cannot be listened on. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server. `url` is where it listens, if it does, `admin_url` the admin address, if there is one; the parts are
    for tests and operation."""

    url: str
    admin_url: str | None
    signaling: Signaling
    sockets: MeetingServer
    dispatcher: Dispatcher
    database: Database
    health: Health
    reconciliation: Reconciliation
    stalls: StallWatch
    patience: Patience
    runner: web.AppRunner
    parts: Parts
    node: ClusterNode | None = None
    """Its part in the cluster; None for the only server."""

    def hurry(self) -> None:
        """Wait for nothing more when stopping."""
        self.patience.seconds = 0.0


@dataclass(slots=True)
class Patience:
    """How long a stop waits for rows that are still being written; the next start closes the rest."""

    seconds: float = DRAIN_SECONDS


@asynccontextmanager
async def running(
    settings: Settings,
    database_url: str,
    listener: socket.socket | None = None,
    *,
    stop: Callable[[], None] | None = None,
) -> AsyncGenerator[Server]:
    """A server on a database that is there and migrated, for as long as the block lasts.

    `stop` is called when an operator wants it to drain and end.

    Start: database, lease, rows of the dead, signaling, port. Stop, in the reverse order: sockets, port, rows,
    lease, database. `listener`: a socket that listens already, instead of HOST and PORT.

    Raises DatabaseUnreachable, PortTakenError, AdminPortTaken, ClientMissingError, RedisUnreachable,
    TracingMissing.
    """
    async with (
        assembled(settings, database_url) as server,
        operated(settings, server.parts, stop) as admin_url,
    ):
        url = await _listen(server.runner, settings, listener)
        yield replace(server, url=url, admin_url=admin_url)


@asynccontextmanager
async def assembled(settings: Settings, database_url: str) -> AsyncGenerator[Server]:
    """All of a server but a port: its application is started, and answers who calls it (neuron_meet/mounting.py).

    Raises DatabaseUnreachable, ClientMissingError, TracingMissing.
    """
    async with AsyncExitStack() as stack:
        instance = new_instance()
        await stack.enter_async_context(traced(settings, instance))
        database = Database(
            database_url,
            pool_size=settings.database_pool_size,
            timeout_seconds=settings.database_timeout_seconds,
            host_idle_seconds=IDLE_SECONDS,
            slow_seconds=settings.slow_seconds,
        )
        await database.start()
        stack.push_async_callback(database.stop)
        await rehearse(database, newest_messages=REPLAYED_MESSAGES)
        direct = _direct(settings) or database_url
        lease = Lease(direct, instance)
        stack.push_async_callback(lease.stop)
        await lease.start(alone=settings.redis_url is None)
        indexes = await _indexes(stack, direct)

        node = _cluster_node(settings, instance, direct, database.clock)
        if node:
            name_everywhere(node=instance)
        presence: Presence = node.presence if node else await _only_presence(direct, database.clock)
        checks = {"database": database.ping} | ({"redis": node.check} if node else {})
        health = Health(__version__, checks, missing_indexes=lambda: indexes.missing)
        signaling = _signaling(settings, database, instance, presence)
        patience = Patience()
        stack.push_async_callback(_finish_writing, signaling, patience)
        reconciliation = Reconciliation(signaling.presence, Participants(database), signaling.attendance)
        reconciliation.start()
        stack.push_async_callback(reconciliation.stop)
        stalls = StallWatch()
        stalls.start()
        stack.callback(stalls.stop)
        counts = node.counts if node else None
        audit = stack.enter_context(_audited(settings, instance if node else ""))
        shared = counts and counts.windows
        addresses = ClientAddresses(settings.trusted_proxies)
        bounds = stack.enter_context(closing(_bounds(settings, addresses)))
        api = build_api(
            settings,
            database,
            LiveMeetings(signaling),
            health,
            addresses=addresses,
            audit=audit,
            shared=shared,
            pace=bounds.pace,
        )
        limits = EventLimits(settings, counts)
        sockets = _sockets(settings, Handshake(api.tokens), limits, addresses, bounds)
        dispatcher = Dispatcher(
            signaling,
            limits,
            max_sdp_bytes=settings.max_payload_bytes,
            audit=audit,
            slow_seconds=settings.slow_seconds,
        )
        sockets.serve(dispatcher)
        signaling.deliver = signaling.deliver_here = sockets.deliver
        sockets.attach(api.application)
        expulsion = Expulsion(signaling, sockets.sockets_of, node)
        if node is not None:
            await _join_cluster(stack, node, signaling, sockets, lease)

        runner = _runner(api.application, settings, addresses, bounds, sockets.eio.admit)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(sockets.close_all)
        parts = Parts(
            signaling,
            sockets,
            dispatcher,
            limits,
            database,
            health,
            reconciliation,
            stalls,
            node,
            audit,
            expulsion,
        )
        yield Server(
            url="",
            admin_url=None,
            signaling=signaling,
            sockets=sockets,
            dispatcher=dispatcher,
            database=database,
            health=health,
            reconciliation=reconciliation,
            stalls=stalls,
            patience=patience,
            runner=runner,
            parts=parts,
            node=node,
        )
        health.draining = True


def _direct(settings: Settings) -> str | None:
    url = settings.direct_url if settings.database_url else None
    return url.get_secret_value() if url else None


async def _indexes(stack: AsyncExitStack, url: str) -> IndexBuilder:
    """The builder of what is missing, at work until the server stops."""
    indexes = IndexBuilder(url)
    stack.push_async_callback(indexes.stop)
    await indexes.start()
    return indexes


@contextmanager
def _audited(settings: Settings, node: str) -> Generator[Audit]:
    """The audit; what it and the log have only counted is said when the block ends."""
    audit = Audit(settings.audit_log, node)
    try:
        yield audit
    finally:
        repeats.LOG.flush()
        audit.close()


async def _only_presence(url: str, clock: DatabaseClock) -> MemoryPresence:
    """Presence that knows which accounts were removed before this server began. Raises DatabaseUnreachable."""
    removals, now = Removals(), clock.now()
    for removal in await active_removals(url, now, MAX_REMOVALS):
        seconds = (removal.until - now).total_seconds()
        removals.record_account(removal.code, removal.user_id, removal.host_id, seconds)
    return MemoryPresence(removals, Removals(account_seconds=DENIED_SECONDS, guest_seconds=DENIED_SECONDS))


def _cluster_node(
    settings: Settings, instance: str, database_url: str, clock: DatabaseClock
) -> ClusterNode | None:
    """This server as one of many, where REDIS_URL says that there are others; else Redis is not even imported."""
    if settings.redis_url is None:
        return None
    from neuron_meet.signaling.node import ClusterNode  # noqa: PLC0415

    return ClusterNode(
        settings.redis_url.get_secret_value(),
        instance,
        lambda: active_removals(database_url, clock.now(), MAX_REMOVALS),
    )


async def _join_cluster(
    stack: AsyncExitStack, node: ClusterNode, signaling: Signaling, sockets: MeetingServer, lease: Lease
) -> None:
    from neuron_meet.realtime.handover import Handover  # noqa: PLC0415

    async def close_rows() -> None:
        closed = await lease.close_rows_of_the_dead(signaling.now(), still_there)
        log.info("closed participant rows of servers that are no more", rows=closed)

    async def still_there(code: str) -> list[str]:
        return [member.record_id for member in await node.presence.members(code)]

    node.presence.hosting.connected = sockets.connected
    signaling.deliver = node.serve(signaling).deliver
    node.on_death = close_rows
    await node.start()
    stack.push_async_callback(node.stop)
    if node.moves is not None:
        sockets.handover = Handover(sockets, node.moves, node.name, node.presence.whereabouts.inside)
    await close_rows()


def _signaling(settings: Settings, database: Database, instance: str, presence: Presence) -> Signaling:
    def expired(sid: str) -> None:
        typing_expired(signaling, sid)

    def undelivered(_effects: object) -> None:
        raise RuntimeError("the transport is not attached yet")

    signaling = Signaling(
        presence=presence,
        entrance=Entrance(database),
        rooms=Rooms(database),
        attendance=Attendance(Participants(database), instance, database.clock.now),
        bans=Bans(StoredRemovals(database)),
        journal=Journal(Messages(database)),
        typing=TypingIndicators(expired),
        ice=IceServers(settings),
        deliver=undelivered,
        deliver_here=undelivered,
        max_message_length=settings.max_message_length,
        now=database.clock.now,
    )
    return signaling


async def _finish_writing(signaling: Signaling, patience: Patience) -> None:
    """Rows that are still being written, before the database goes."""
    await signaling.journal.drain(patience.seconds)
    if unstored := await signaling.bans.drain(patience.seconds):
        log.warning("removals not stored, they are forgotten", removals=unstored)
    left = await signaling.attendance.drain(patience.seconds)
    if left:
        log.warning("participant rows left open, the next start closes them", rows=left)
    await signaling.attendance.stop()


def _runner(
    app: web.Application, settings: Settings, addresses: ClientAddresses, bounds: Bounds, door: Door
) -> BoundedRunner:
    connections = Connections(
        _at_once(settings, addresses), addresses.is_proxy, bounds.half_messages, bounds.shares
    )
    return BoundedRunner(app, connections, door, handle_signals=False, shutdown_timeout=2)


def _at_once(settings: Settings, addresses: ClientAddresses) -> AtOnce:
    """What there may be at once: of an address, and in all, as far as files may be opened."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = settings.max_connections
    if files != resource.RLIM_INFINITY:
        most = max(1, min(most, files - KEPT_FILES))
    each = settings.max_connections_address if settings.rate_limit_enabled else None
    return AtOnce(each, most, addresses.is_proxy)


def _bounds(settings: Settings, addresses: ClientAddresses) -> Bounds:
    limited = settings.rate_limit_enabled

    def holdings(most_each: int, most: int) -> Holdings:
        return Holdings(most_each if limited else most, most, addresses.is_proxy)

    shares = Shares()
    return Bounds(
        shares=shares,
        at_once=_at_once(settings, addresses),
        pace=Pace(settings.limit_requests_address if limited else None, shares, addresses.is_proxy),
        frame_rate=settings.limit_frames if limited else None,
        max_buffered_bytes=max_buffered_bytes(settings),
        half_messages=holdings(*HALF_MESSAGES),
        unfetched=holdings(*UNFETCHED),
        kept=holdings(*KEPT),
    )


def _sockets(
    settings: Settings, handshake: Handshake, limits: EventLimits, addresses: ClientAddresses, bounds: Bounds
) -> MeetingServer:
    return MeetingServer(
        handshake=handshake,
        allow_connection_from=limits.allow_connection_from,
        allow_connection_anywhere=limits.allow_connection_anywhere if limits.shared is not None else None,
        client_address=addresses,
        bounds=bounds,
        max_packet_bytes=max(1_000_000, 4 * settings.max_payload_bytes),
        ping_interval=settings.ping_interval_seconds,
        ping_timeout=settings.ping_timeout_seconds,
        recovery_grace=settings.recovery_grace_seconds,
        cors_allowed_origins=Origins(settings).allow_connection,
    )


async def _listen(runner: web.AppRunner, settings: Settings, listener: socket.socket | None) -> str:
    host = settings.bind_host
    try:
        sockets = listeners(host, settings.port) if listener is None else [listener]
    except OSError as error:
        raise PortTakenError(
            f"Port {settings.port} on {host} cannot be used ({error.strerror}). "
            "Stop what listens there, or choose another with PORT or --port."
        ) from error
    for each in sockets:
        await web.SockSite(runner, each, backlog=BACKLOG).start()
    return url_of(host, sockets[0].getsockname()[1])
