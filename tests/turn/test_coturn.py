"""A real coturn takes the credentials that this server issues, and no others.

coturn runs with the lines that docs/protocol.md shows, and what keeps it on this machine and this test.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import UNSET

from neuron_meet.app import Server, running
from neuron_meet.ice.servers import IceServer, IceServers
from neuron_meet.settings import Settings
from tests.process.visitor import visiting
from tests.turn.stun import IPV6, TCP, Allocation, TurnClient
from tests.wire.meeting import settings_for

SECRET = "the secret of coturn and of the server"
NEXT = "the one that both have next (docs/operations.md, Changing secrets)"
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


CONF = PROTOCOL.parents[1] / "deploy" / "coturn" / "conf.sh"


def has_ipv6() -> bool:
    """Whether this machine has it: a container may not."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


IPV6_TOO = ["relay-ip=::1"] if has_ipv6() else []
"""An address of IPv6 to relay from, which is not the one that stays allowed."""


def printed(address: str) -> list[str]:
    """The lines of deploy/coturn/conf.sh."""
    return subprocess.run(["sh", CONF, address], check=True, text=True, capture_output=True).stdout.split(
        "\n"
    )


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
        "allow-loopback-peers",  # else none on this machine: conf.sh's lines are to refuse them
        f"listening-port={relay.port}",
        f"userdb={folder / 'users'}",
        f"pidfile={folder / 'pid'}",
        f"static-auth-secret={NEXT}",
        "log-file=stdout",
        "no-tls",
        "no-dtls",
    ]
    configuration = folder / "turnserver.conf"
    configuration.write_text("\n".join([*printed(relay.host), documented(), *only_here, *IPV6_TOO, ""]))
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


async def test_the_secret_is_changed_without_anybody_being_refused(relay: Relay) -> None:
    """coturn knows both meanwhile; servers have the one or the other."""
    for secret in (SECRET, NEXT):
        settings = Settings.model_validate({"node_env": "test", **relay.settings, "turn_secret": secret})
        given = as_browser(IceServers(settings).for_member("ada"))
        assert (await relay.allocate(given)).relayed is not None, secret


async def test_a_changed_credential_is_refused(relay: Relay) -> None:
    """An expiry moved by hand, or the secret of another server: the HMAC does not fit."""
    settings = Settings.model_validate({"node_env": "test", **relay.settings})
    given = as_browser(IceServers(settings).for_member("ada"))
    expiry, _, name = str(given["username"]).partition(":")
    later = given | {"username": f"{int(expiry) + 3600}:{name}"}
    assert await relay.allocate(later) == Allocation(error=401)
    other = Settings.model_validate({"node_env": "test", **relay.settings, "turn_secret": "another secret"})
    assert await relay.allocate(as_browser(IceServers(other).for_member("ada"))) == Allocation(error=401)


INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.2",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.7",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.1.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
]
"""An address of each network of IANA's IPv4 special-purpose registry, and of multicast."""
INSIDE_IPV6 = [
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
"""The same of IPv6: with the ways to write an IPv4 address, and a cloud's metadata at fd00:ec2::254."""
REACHABLE = ["8.8.8.8", "2606:4700:4700::1111"]


@pytest.fixture
async def member(relay: Relay) -> AsyncIterator[Callable[..., TurnClient]]:
    """Makes clients with a member's credential: they have a relayed address where they did not ask otherwise."""
    settings = Settings.model_validate({"node_env": "test", **relay.settings})
    made: list[TurnClient] = []

    def make(*, family: bytes | None = None, over_tcp: bool = False) -> TurnClient:
        client = TurnClient(relay.host, relay.port, over_tcp=over_tcp)
        made.append(client)
        if not over_tcp:
            assert client.open(*credential(settings), family=family).error is None
        return client

    yield make
    for client in made:
        client.close()


def credential(settings: Settings) -> tuple[str, str]:
    given = as_browser(IceServers(settings).for_member("ada"))
    return str(given["username"]), str(given["credential"])


@pytest.mark.parametrize("address", INSIDE + (INSIDE_IPV6 if has_ipv6() else []))
async def test_what_is_inside_is_refused(member: Callable[..., TurnClient], address: str) -> None:
    """By permission and by channel; a Send indication without either goes nowhere (RFC 8656 §11.2)."""
    client = await asyncio.to_thread(member, family=IPV6 if ":" in address else None)
    assert await asyncio.to_thread(client.permit, address) == 403
    assert await asyncio.to_thread(client.bind, address, 80) == 403


@pytest.mark.parametrize("address", REACHABLE if has_ipv6() else REACHABLE[:1])
async def test_what_is_outside_is_not(member: Callable[..., TurnClient], address: str) -> None:
    """Else every address might be refused, for whatever reason."""
    client = await asyncio.to_thread(member, family=IPV6 if ":" in address else None)
    assert await asyncio.to_thread(client.permit, address) is None
    assert await asyncio.to_thread(client.bind, address, 80) is None


async def test_the_hosts_other_addresses_are_refused(member: Callable[..., TurnClient]) -> None:
    own = subprocess.run(["hostname", "-I"], check=True, text=True, capture_output=True).stdout.split()
    assert {f"denied-peer-ip={address}" for address in own} <= set(printed("127.0.0.1"))
    client = await asyncio.to_thread(member)
    for address in (each for each in own if ":" not in each):
        assert await asyncio.to_thread(client.permit, address) == 403


async def test_two_who_both_need_the_relay_meet(relay: Relay, member: Callable[..., TurnClient]) -> None:
    settings = Settings.model_validate({"node_env": "test", **relay.settings})

    def meet() -> None:
        ada, grace = (TurnClient(relay.host, relay.port) for _ in range(2))
        try:
            places = [each.open(*credential(settings)).relayed for each in (ada, grace)]
            assert places[0] is not None
            assert places[1] is not None
            assert (places[0][0], places[1][0]) == (relay.host, relay.host)
            assert ada.permit(places[1][0]) is None
            assert grace.permit(places[0][0]) is None
            for sender, receiver, to, source in ((ada, grace, *places[::-1]), (grace, ada, *places)):
                got = None
                while got is None:  # a datagram may be lost, where the machine is busy
                    sender.send(b"hello", *to)
                    got = receiver.receive()
                assert got == (b"hello", source)
        finally:
            ada.close()
            grace.close()

    await asyncio.wait_for(asyncio.to_thread(meet), 60)


async def test_tcp_is_not_relayed(relay: Relay, member: Callable[..., TurnClient]) -> None:
    """RFC 6062: an allocation of TCP over TCP. One of UDP over TCP is what clients behind strict firewalls ask for."""
    settings = Settings.model_validate({"node_env": "test", **relay.settings})
    await asyncio.to_thread(member)  # it is there
    client = await asyncio.to_thread(member, over_tcp=True)
    refused = await asyncio.to_thread(lambda: client.open(*credential(settings), transport=TCP))
    assert refused.error in (403, 442)
    client = await asyncio.to_thread(member, over_tcp=True)
    assert (await asyncio.to_thread(lambda: client.open(*credential(settings)))).relayed is not None


def as_browser(servers: list[IceServer]) -> dict[str, object]:
    """The only one, as JSON has it."""
    (server,) = servers
    assert server.username is not UNSET
    return {"urls": server.urls, "username": server.username, "credential": server.credential}
