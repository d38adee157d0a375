"""A real coturn takes the credentials that this server issues, and no others.

coturn runs with the lines that docs/protocol.md shows, and what keeps it on this machine and this test.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import UNSET

from neuron_meet.app import Server, running
from neuron_meet.ice.servers import IceServer, IceServers
from neuron_meet.settings import Settings
from tests.process.visitor import visiting
from tests.turn.stun import Allocation, TurnClient
from tests.wire.meeting import settings_for

SECRET = "the secret of coturn and of the server"
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


@dataclass(frozen=True)
class Relay:
    """A coturn that runs, and the settings with which a server gives it to its members."""

    host: str
    port: int

    @property
    def settings(self) -> dict[str, object]:
        return {"turn_server_url": f"turn:{self.host}:{self.port}", "turn_secret": SECRET}

    async def allocate(self, server: dict[str, object]) -> Allocation:
        """Use an `RTCIceServer` as a browser does."""
        (url,) = server["urls"]  # type: ignore[misc]
        _, host, port = url.split(":")
        assert (host, int(port)) == (self.host, self.port)
        client = TurnClient(host, int(port))
        try:
            return await asyncio.to_thread(
                client.allocate, str(server["username"]), str(server["credential"])
            )
        finally:
            client.close()


def documented() -> str:
    """coturn's lines in docs/protocol.md, their places filled in."""
    found = re.search(r"```ini\n(\s*use-auth-secret\n.*?)```", PROTOCOL.read_text(), re.DOTALL)
    assert found is not None
    lines = [line.strip() for line in found[1].splitlines()]
    text = (
        "\n".join(lines).replace("<the same as TURN_SECRET>", SECRET).replace("<your domain>", "example.org")
    )
    assert "<" not in text
    return text


@pytest.fixture(scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    """coturn on a loopback address of this process's own, so that its port is free."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("no coturn is installed: apt-get install coturn")
    folder = tmp_path_factory.mktemp("coturn")
    pid = os.getpid()
    relay = Relay(f"127.{pid >> 16 & 255}.{pid >> 8 & 255}.{pid & 255 or 1}", 3478)
    only_here = [
        f"listening-ip={relay.host}",
        f"relay-ip={relay.host}",
        f"listening-port={relay.port}",
        f"userdb={folder / 'users'}",
        f"pidfile={folder / 'pid'}",
        "log-file=stdout",
        "no-cli",
        "no-tls",
        "no-dtls",
    ]
    configuration = folder / "turnserver.conf"
    configuration.write_text("\n".join([documented(), *only_here, ""]))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-c", configuration, stdout=log, stderr=log)
    try:
        yield relay
        assert process.returncode is None, (folder / "log").read_text()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def server(relay: Relay, database_url: str) -> AsyncIterator[Server]:
    """A whole server that knows the relay."""
    async with running(settings_for(**relay.settings), database_url) as server:
        yield server


async def test_members_and_guests_get_a_relayed_address(relay: Relay, server: Server) -> None:
    async with visiting(server.url) as ada:
        await ada.register()
        status, body = await ada.call("GET", "/api/ice-servers")
        assert status == 200
        room = await ada.room()
        guest = await ada.socket(guest=True)
        reply = await guest.ask("join-room", {"roomCode": room["code"], "displayName": "Gus"})
    for (given,) in (body["iceServers"], reply["iceServers"]):
        allocation = await relay.allocate(given)
        assert allocation.error is None
        assert allocation.relayed is not None
        assert allocation.relayed[0] == relay.host
        assert allocation.lifetime_seconds >= 60


async def test_an_expired_credential_is_refused(relay: Relay) -> None:
    settings = Settings.model_validate({"node_env": "test", "turn_ttl_seconds": 60, **relay.settings})
    fresh, expired = (
        IceServers(settings, now=lambda ago=ago: time.time() - ago).for_member("ada") for ago in (0, 61)
    )
    assert (await relay.allocate(as_browser(fresh))).relayed is not None
    assert await relay.allocate(as_browser(expired)) == Allocation(error=401)


async def test_a_changed_credential_is_refused(relay: Relay) -> None:
    """An expiry moved by hand, or the secret of another server: the HMAC does not fit."""
    settings = Settings.model_validate({"node_env": "test", **relay.settings})
    given = as_browser(IceServers(settings).for_member("ada"))
    expiry, _, name = str(given["username"]).partition(":")
    later = given | {"username": f"{int(expiry) + 3600}:{name}"}
    assert await relay.allocate(later) == Allocation(error=401)
    other = Settings.model_validate({"node_env": "test", **relay.settings, "turn_secret": "another secret"})
    assert await relay.allocate(as_browser(IceServers(other).for_member("ada"))) == Allocation(error=401)


def as_browser(servers: list[IceServer]) -> dict[str, object]:
    """The only one, as JSON has it."""
    (server,) = servers
    assert server.username is not UNSET
    return {"urls": server.urls, "username": server.username, "credential": server.credential}
