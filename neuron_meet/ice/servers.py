"""The ICE servers that a member is given, TURN with credentials that end by themselves where a secret is set."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from msgspec import UNSET, Struct, UnsetType

from neuron_meet.settings import Settings


class IceServer(Struct):
    """An `RTCIceServer`, as `new RTCPeerConnection({ iceServers })` takes it (W3C WebRTC §4.2.2)."""

    urls: list[str]
    username: str | UnsetType = UNSET
    credential: str | UnsetType = UNSET


class IceServers:
    """STUN and TURN by the settings.

    With `TURN_SECRET` the credentials are those of the TURN REST scheme (draft-uberti-behave-turn-rest-00), which
    coturn's `use-auth-secret` reads: the user name is the moment of expiry in Unix seconds and a name, the
    credential its HMAC-SHA1. Otherwise they are `TURN_SERVER_USERNAME` and `TURN_SERVER_PASSWORD`, for ever.
    """

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._stun = list(settings.stun_urls)
        self._turn = [url.strip() for url in (settings.turn_server_url or "").split(",") if url.strip()]
        self._username = settings.turn_server_username
        self._password = settings.turn_server_password
        self._secret = settings.turn_secret
        self._ttl_seconds = settings.turn_ttl_seconds
        self._now = now

    def for_member(self, name: str) -> list[IceServer]:
        """The servers for one who is known as `name` (an id; it tells relays whose allocation it is)."""
        servers = [IceServer(urls=self._stun)] if self._stun else []
        if not self._turn:
            return servers
        if self._secret is not None:
            username = f"{int(self._now()) + self._ttl_seconds}:{name}"
            digest = hmac.digest(self._secret.get_secret_value().encode(), username.encode(), hashlib.sha1)
            servers.append(IceServer(self._turn, username, base64.b64encode(digest).decode()))
        elif self._username is not None and self._password is not None:
            servers.append(IceServer(self._turn, self._username, self._password.get_secret_value()))
        else:
            servers.append(IceServer(urls=self._turn))
        return servers
