"""`/api/ice-servers`."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from neuron_meet.ice.servers import IceServer, IceServers
from neuron_meet.rest.routing import Access, Call, Route
from neuron_meet.rest.views import View


class IceServerView(View):
    """An `RTCIceServer`; the credentials are null where it needs none."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None

    @classmethod
    def of(cls, server: IceServer) -> IceServerView:
        """As REST shows it."""
        return cls(
            urls=server.urls,
            username=None if server.username is UNSET else server.username,
            credential=None if server.credential is UNSET else server.credential,
        )


class IceServersView(View):
    """What goes into `new RTCPeerConnection({ iceServers })`."""

    ice_servers: list[IceServerView]


def ice_routes(servers: IceServers) -> list[Route[Any]]:
    """The route of the ICE servers. Guests, who have no token, get theirs with `room-joined`."""

    async def ice_servers(call: Call[None]) -> IceServersView:
        return IceServersView(
            ice_servers=[IceServerView.of(server) for server in servers.for_member(call.caller.id)]
        )

    return [
        Route(
            method="GET",
            path="/api/ice-servers",
            summary="STUN and TURN servers for a member, with credentials that expire",
            handler=ice_servers,
            output=IceServersView,
            access=Access.BEARER,
        )
    ]
