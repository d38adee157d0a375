"""The operator's half of the composition: what is seen of a running server, and done to it, at the admin address."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuron_meet import __version__
from neuron_meet.audit import Audit
from neuron_meet.ops.admin import admin_server, metrics_route
from neuron_meet.ops.administration import Administration, Stop
from neuron_meet.ops.health import Health
from neuron_meet.ops.metrics import Metrics
from neuron_meet.ops.observed import Observed
from neuron_meet.ops.stalls import StallWatch
from neuron_meet.realtime.server import MeetingServer
from neuron_meet.settings import Settings
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.dispatch import Dispatcher
from neuron_meet.signaling.expulsion import Expulsion
from neuron_meet.signaling.limits import EventLimits
from neuron_meet.signaling.live import LiveMeetings
from neuron_meet.signaling.operator import Operator
from neuron_meet.signaling.reconciliation import Reconciliation
from neuron_meet.store.client import Database
from neuron_meet.store.errors import StoreError
from neuron_meet.store.participants import Participants
from neuron_meet.store.rooms import Rooms
from neuron_meet.store.users import Users

if TYPE_CHECKING:
    from neuron_meet.realtime.admin_ui import AdminUi
    from neuron_meet.signaling.node import ClusterNode


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running server that an operator looks at and acts on. `node` is None for the only one."""

    signaling: Signaling
    sockets: MeetingServer
    dispatcher: Dispatcher
    limits: EventLimits
    database: Database
    health: Health
    reconciliation: Reconciliation
    stalls: StallWatch
    node: ClusterNode | None
    audit: Audit
    expulsion: Expulsion


@asynccontextmanager
async def operated(settings: Settings, parts: Parts, stop: Stop | None = None) -> AsyncGenerator[str | None]:
    """Have a server seen at the admin address for the length of the block. Gives its URL, None where there is none.

    With a token it can be administered there too; `stop` has it drain and end, None where that is not for it to do.
    Raises AdminPortTaken.
    """
    routes = [metrics_route(Metrics(_observed(parts)))]
    if settings.admin_token is not None:
        operator = Operator(
            parts.signaling,
            LiveMeetings(parts.signaling),
            Participants(parts.database),
            Rooms(parts.database),
            Users(parts.database),
            parts.expulsion,
        )
        routes += Administration(settings, operator, parts.health, parts.audit, stop).routes()
    ui = _admin_ui(settings, parts)
    async with admin_server(settings, routes, (StoreError,), ui.attach if ui else None) as url:
        if ui is None or url is None:
            yield url
            return
        async with ui.watched():
            yield url


def _admin_ui(settings: Settings, parts: Parts) -> AdminUi | None:
    name, password = settings.admin_ui_username, settings.admin_ui_password_hash
    if settings.admin_port is None or name is None or password is None:
        return None
    from neuron_meet.realtime.admin_ui import Access, AdminUi  # noqa: PLC0415 -- for few

    access = Access(name, password.get_secret_value(), settings.admin_ui_origins)
    return AdminUi(parts.sockets, parts.signaling.presence, access, parts.audit, parts.audit.node)


def _observed(parts: Parts) -> Observed:
    return Observed(
        version=__version__,
        health=parts.health,
        sockets=parts.sockets,
        dispatcher=parts.dispatcher,
        limits=parts.limits,
        presence=parts.signaling.presence,
        unwritten=parts.signaling.attendance,
        audit=parts.audit,
        reconciliation=parts.reconciliation,
        stalls=parts.stalls,
        database=parts.database,
        link=parts.node,
    )
