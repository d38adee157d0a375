"""ICE servers: which a member is given, and TURN credentials that end by themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from msgspec import json, to_builtins

from neuron_meet.ice.servers import IceServers
from neuron_meet.settings import Settings

TURN = "turn:turn.example.org:3478, turns:turn.example.org:5349"
URLS = ["turn:turn.example.org:3478", "turns:turn.example.org:5349"]


def settings(**values: object) -> Settings:
    return Settings.model_validate({"node_env": "test", **values})


def test_none_where_none_is_set() -> None:
    assert IceServers(settings()).for_member("ada") == []


def test_stun_needs_no_credentials() -> None:
    servers = IceServers(settings(stun_urls="stun:a.example.org, stun:b.example.org")).for_member("ada")
    assert json.encode(servers) == b'[{"urls":["stun:a.example.org","stun:b.example.org"]}]'


def test_static_credentials_are_the_same_for_everybody() -> None:
    ice = IceServers(settings(turn_server_url=TURN, turn_server_username="u", turn_server_password="p"))
    expected = [{"urls": URLS, "username": "u", "credential": "p"}]
    assert to_builtins(ice.for_member("ada")) == to_builtins(ice.for_member("bob")) == expected


def test_credentials_from_a_secret_are_a_members_own_and_expire() -> None:
    ice = IceServers(
        settings(turn_server_url=TURN, turn_secret="s3cret", turn_ttl_seconds=60), now=lambda: 1000.9
    )
    (server,) = ice.for_member("ada")
    assert server.username == "1060:ada"
    digest = hmac.new(b"s3cret", b"1060:ada", hashlib.sha1).digest()
    assert server.credential == base64.b64encode(digest).decode()
    assert ice.for_member("bob")[0].credential != server.credential


@pytest.mark.parametrize("name", ["stun_urls", "turn_server_url"])
def test_other_addresses_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must start with"):
        settings(**{name: "https://example.org"})
