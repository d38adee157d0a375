"""The REST half of the composition: from settings, a database and the live meetings to an aiohttp application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from neuron_meet.audit import NOWHERE, Audit
from neuron_meet.auth.identity import Identities
from neuron_meet.auth.limits import SignInLimits
from neuron_meet.auth.passwords import Passwords
from neuron_meet.auth.routes import auth_routes
from neuron_meet.auth.service import Accounts
from neuron_meet.auth.tokens import Tokens
from neuron_meet.chat.history import History
from neuron_meet.chat.routes import chat_routes
from neuron_meet.contract.routes import contract_routes
from neuron_meet.errors import ROOM_NOT_FOUND
from neuron_meet.ice.routes import ice_routes
from neuron_meet.ice.servers import IceServers
from neuron_meet.ops.health import Health
from neuron_meet.pace import UNPACED, Pace
from neuron_meet.rest.address import ClientAddresses
from neuron_meet.rest.application import build_application
from neuron_meet.rest.limits import FailureLimit, Shared
from neuron_meet.rest.routing import Route
from neuron_meet.rooms.live import LiveRooms
from neuron_meet.rooms.reading import Reading
from neuron_meet.rooms.routes import rooms_routes
from neuron_meet.rooms.service import RoomService
from neuron_meet.settings import Settings
from neuron_meet.store.assets import npm_package
from neuron_meet.store.attendance import Attendance
from neuron_meet.store.client import Database
from neuron_meet.store.engine.pool import in_background
from neuron_meet.store.errors import StoreError
from neuron_meet.store.rooms import Rooms
from neuron_meet.store.users import Users
from neuron_meet.users.routes import users_routes
from neuron_meet.users.service import Profiles
from neuron_meet.web_client import add_web_client


@dataclass(frozen=True, slots=True)
class Api:
    """The application, and what signaling shares with it."""

    application: web.Application
    tokens: Tokens
    identities: Identities


def build_api(
    settings: Settings,
    database: Database,
    live: LiveRooms,
    health: Health,
    *,
    addresses: ClientAddresses | None = None,
    audit: Audit = NOWHERE,
    shared: Shared | None = None,
    pace: Pace = UNPACED,
) -> Api:
    """Everything under `/api`, and the front end: the built-in page, or the one in `CLIENT_DIST`.

    The application may get more routes (Socket.IO's) before it starts, and lets go of its threads at its cleanup.
    `addresses`: from a request to its client's address (by TRUSTED_PROXIES unless given). `shared`: where limits are
    counted by all nodes. `pace`: of requests (pace.py). Raises :class:`~neuron_meet.web_client.ClientMissingError`.
    """
    users = Users(database)
    attendance = Attendance(database)
    tokens = Tokens(settings.signing_key, settings.token_life_seconds, settings.former_signing_keys)
    passwords = Passwords(settings.bcrypt_threads)
    identities = Identities(tokens, users)
    limited = settings.rate_limit_enabled
    routes: list[Route[Any]] = [
        *health.routes(),
        *auth_routes(Accounts(users, passwords, tokens, SignInLimits(settings, shared=shared), audit)),
        *rooms_routes(
            RoomService(
                Rooms(database),
                attendance,
                live,
                most_open=settings.max_open_rooms if limited else None,
                audit=audit,
            ),
            FailureLimit(
                settings.limit_lookups_address if limited else None,
                ROOM_NOT_FOUND,
                shared=shared and shared("look-ups"),
            ),
        ),
        *chat_routes(History(attendance, Reading(attendance, live))),
        *ice_routes(IceServers(settings)),
        *users_routes(Profiles(users)),
    ]
    application = build_application(
        settings,
        [*routes, *contract_routes(routes, npm_package("swagger-ui-dist"))],
        authenticate=identities.authenticate,
        unavailable=(StoreError,),
        addresses=addresses,
        in_background=in_background,
        pace=pace,
    )
    add_web_client(application, settings, npm_package("socket.io-client"))

    async def close(_app: web.Application) -> None:
        passwords.close()

    application.on_cleanup.append(close)
    return Api(application, tokens, identities)
