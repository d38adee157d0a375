"""Metrics for Prometheus, read at the scrape from counters that are there anyway: nothing is paid in between.

Names and labels by Prometheus' conventions (https://prometheus.io/docs/practices/naming/). Labels have few values:
events, codes of refusals, operations of the database client; never an id, a code of a room, an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from neuron_meet.durations import Durations
from neuron_meet.ops.logs import STDERR
from neuron_meet.ops.observed import Observed

TOO_FAST = frozenset({"TOO_MANY_REQUESTS", "TOO_MANY_MESSAGES"})
RELAYED = frozenset({"offer", "answer", "ice-candidate"})
JOIN = "join-room"
NO_EVENT = "(unknown)"
"""The label of what is no event of the contract."""


class Metrics:
    """All metrics of one server, and of its process."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: names need not be known before the first scrape (`prometheus_client`'s Collector)."""
        return []

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """The metrics as text, and its content type, in the form that the header `Accept` prefers.

        Called on the event loop, whose tasks it counts.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Every metric as it is now (`prometheus_client`'s Collector)."""
        yield from self._people()
        yield from self._events()
        yield from self._transport()
        yield from self._loop()
        yield from self._logs()
        yield from self._database()
        yield from self._link()

    def _people(self) -> Iterator[Metric]:
        seen = self._observed
        yield _gauge("build_info", "The version that runs; always 1.", 1, version=seen.version)
        yield _gauge("draining", "1 while the server is being stopped.", int(seen.health.draining))
        yield _gauge(
            "connections",
            "Sockets connected, those held for a return included.",
            seen.sockets.connection_count,
        )
        yield _gauge("held_connections", "Dropped sockets whose place is held.", seen.sockets.recovery.held)
        rooms = list(seen.presence.rooms())
        yield _gauge("rooms", "Rooms in use at this node.", sum(1 for room in rooms if room.members))
        yield _gauge(
            "participants",
            "People in rooms whose socket is at this node.",
            sum(1 for _ in seen.presence.participants()),
        )
        yield _gauge(
            "waiting_participants",
            "People who wait for a host to let them in, in rooms in use here.",
            sum(len(room.waiting) for room in rooms),
        )

    def _events(self) -> Iterator[Metric]:
        dispatcher = self._observed.dispatcher
        handled, refusals = dict(dispatcher.handled), dict(dispatcher.refusals)
        yield _counter(
            "events", "Events handled, by event.", {(name,): n for name, n in handled.items()}, "event"
        )
        refused = {(name or NO_EVENT, code): n for (name, code), n in refusals.items()}
        yield _counter("events_refused", "Events refused, by event and reason.", refused, "event", "reason")
        joins = {("OK",): handled.get(JOIN, 0)} | {(c,): n for (e, c), n in refusals.items() if e == JOIN}
        yield _counter("joins", "Joins by result: OK, or the reason of the refusal.", joins, "result")
        relayed = sum(handled.get(name, 0) for name in RELAYED)
        yield _counter("relays", "Offers, answers and candidates handed on.", {(): relayed})
        limited = {
            ("event",): sum(n for (_, code), n in refusals.items() if code in TOO_FAST),
            ("connection",): self._observed.limits.refused_connections,
            ("at once",): self._observed.sockets.refused_at_once,
        }
        yield _counter("rate_limited", "Refused for going too fast.", limited, "kind")
        waited = {(name,): times for name, times in dispatcher.durations.items()}
        yield _histogram(
            "event_duration_seconds",
            "From an event's arrival to its acknowledgement, where it waits for the database or other nodes.",
            waited,
            "event",
        )

    def _transport(self) -> Iterator[Metric]:
        sockets = self._observed.sockets
        yield _counter(
            "malformed_packets",
            "Packets that are no event.",
            {(kind,): n for kind, n in sockets.malformed.items()},
            "kind",
        )
        yield _counter("fanout_messages", "Frames that events to rooms came to.", {(): sockets.fanned_out})
        yield _gauge("queued_bytes", "What waits to be taken by clients.", sockets.queued_bytes)
        yield _counter(
            "slow_clients_dropped",
            "Clients dropped for not taking what was sent.",
            {(): sockets.slow_dropped},
        )
        yield _counter(
            "flooding_clients_dropped",
            "Clients dropped for sending too much that means nothing.",
            {(): sockets.flooding_dropped},
        )
        yield _counter(
            "held_bytes_given_up",
            "Clients that had to give up bytes held for them, of what they were.",
            {(what,): held.given_up for what, held in sockets.held.items()},
            "what",
        )
        outcomes = {(kind,): sockets.recovery.outcomes.get(kind, 0) for kind in ("held", "recovered", "lost")}
        yield _counter("recoveries", "Dropped sockets: held, then recovered or lost.", outcomes, "outcome")

    def _loop(self) -> Iterator[Metric]:
        seen = self._observed
        yield _histogram(
            "event_loop_lag_seconds",
            "How long the event loop took to answer, asked ten times a second.",
            {(): seen.stalls.lag},
        )
        yield _counter(
            "event_loop_stalls",
            "Times that the event loop was held for 0.1 s or more.",
            {(): seen.stalls.stalls},
        )
        yield _gauge("tasks", "Tasks of the event loop that have not ended.", len(asyncio.all_tasks()))
        found = {
            ("ghost",): seen.reconciliation.found.ghosts,
            ("missing",): seen.reconciliation.found.missing,
        }
        yield _counter(
            "reconciliation_differences", "Participant rows that differed from presence.", found, "kind"
        )
        yield _gauge(
            "unclosed_rows",
            "Participant rows whose closing the database has not taken yet.",
            seen.unwritten.unwritten,
        )

    def _logs(self) -> Iterator[Metric]:
        lost = {("audit",): self._observed.audit.lost, ("log",): STDERR.lost}
        yield _counter("log_lines_lost", "Lines that could not be written, as on a full disk.", lost, "sink")

    def _database(self) -> Iterator[Metric]:
        database = self._observed.database
        calls, pool = database.calls, database.pool_use
        yield _histogram(
            "database_call_duration_seconds",
            "Calls of the database client, failed ones included.",
            dict(calls.durations),
            "operation",
            "model",
        )
        yield _counter(
            "database_errors",
            "Calls of the database client that failed.",
            dict(calls.errors),
            "operation",
            "model",
            "error",
        )
        yield _counter(
            "engine_restarts",
            "How often the query engine died and was started again.",
            {(): database.engine_restarts},
        )
        states = {"busy": pool.busy, "idle": max(0, pool.open - pool.busy)}
        family = GaugeMetricFamily(
            _named("database_connections"), "This process's connections to PostgreSQL.", labels=["state"]
        )
        for state, count in states.items():
            family.add_metric([state], count)
        yield family
        yield _gauge("database_waiting", "Calls that wait for a connection.", pool.waiting)

    def _link(self) -> Iterator[Metric]:
        link = self._observed.link
        if link is None:
            return
        yield _gauge("redis_up", "1 while the other nodes can be reached.", int(link.up))
        yield _gauge(
            "redis_lag_seconds", "How long the newest heartbeat was on its way through Redis.", link.lag
        )
        yield _counter(
            "redis_conflicts", "Steps tried again because another node's came first.", {(): link.conflicts}
        )


def _named(name: str) -> str:
    return f"neuron_meet_{name}"


def _gauge(name: str, meaning: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(_named(name), meaning, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _counter(name: str, meaning: str, values: Mapping[tuple[str, ...], int], *labels: str) -> Metric:
    """A counter; the library adds `_total`."""
    family = CounterMetricFamily(_named(name), meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _histogram(name: str, meaning: str, values: Mapping[tuple[str, ...], Durations], *labels: str) -> Metric:
    family = HistogramMetricFamily(_named(name), meaning, labels=labels)
    for key, durations in values.items():
        family.add_metric(list(key), durations.cumulative(), durations.sum)
    return family
