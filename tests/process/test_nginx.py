"""nginx in front of three nodes by the documented configuration, and the command that starts such a cluster."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from local_cluster.children import free_port
from local_cluster.nginx import CONFIGURATION, DOCUMENTED_NODES, nginx, nginx_with
from local_cluster.redis import redis
from neuron_meet.store.assets import project_dir
from tests.process.program import Program, gone, serving
from tests.process.visitor import Visitor, visiting
from tests.wire.clients import Client, Driver, driving

PLACES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")
"""Addresses that polling clients come from: nginx gives each a node of its own choice."""


class Front:
    """Three nodes and nginx before them."""

    def __init__(self, url: str, nodes: list[Program]) -> None:
        self.url, self.nodes = url, nodes

    async def people(self) -> list[int]:
        """Connections of clients to each node, from nginx."""
        counts: list[int] = []
        for node in self.nodes:
            port = int(node.url.rpartition(":")[2])
            connections = psutil.Process(node.pid).net_connections("tcp")
            counts.append(
                sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in connections)
            )
        return counts


@pytest.fixture
async def front(folder: Path, database_url: str) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(redis(folder))
        nodes = [
            await stack.enter_async_context(
                serving(
                    folder,
                    DATABASE_URL=database_url,
                    REDIS_URL=server.url,
                    TRUSTED_PROXIES="127.0.0.1",
                    JWT_SECRET="a-secret-of-these-tests-of-32-bytes-or-more",
                )
            )
            for _ in range(3)
        ]
        port = free_port()
        addresses = [node.url.removeprefix("http://") for node in nodes]
        await stack.enter_async_context(nginx(folder, addresses, port))
        yield Front(f"http://127.0.0.1:{port}", nodes)


async def join(client: Client, room: dict[str, str], name: str) -> dict[str, object]:
    joined = await client.ask("join-room", {"roomCode": room["code"], "displayName": name})
    assert joined["success"], joined
    return joined


async def everybody(driver: Driver, front: Front, ada: Visitor) -> dict[str, Client]:
    """Three by websocket alone, six by polling alone from different addresses, one that upgrades."""
    clients = {f"websocket {n}": await driver.connect(front.url) for n in range(3)}
    for place in PLACES:
        clients[f"polling {place}"] = await driver.connect(
            front.url, transports=["polling"], localAddress=place
        )
    both = clients["both"] = await driver.connect(
        front.url, transports=["polling", "websocket"], localAddress=PLACES[1], auth={"token": ada.token}
    )
    assert await both.next("$upgraded") == "websocket"
    return clients


async def test_websocket_and_polling_clients_meet(front: Front) -> None:
    async with visiting(front.url) as ada, driving() as driver:
        await ada.register()
        room = await ada.room()
        clients = await everybody(driver, front, ada)
        assert all(await front.people()), "each node has somebody"
        assert all(node.maps("hiredis") for node in front.nodes)
        for number, (name, client) in enumerate(clients.items()):
            joined = await join(client, room, name)
            assert len(joined["participants"]) == number  # type: ignore[arg-type]
        names = list(clients)
        for number, name in enumerate(names):
            for later in names[number + 1 :]:
                assert (await clients[name].next("user-joined"))["participant"]["displayName"] == later
        for name, client in clients.items():
            said = await client.ask("chat-message", {"roomId": room["id"], "content": name})
            assert said["success"]
        for client in clients.values():
            heard = [(await client.next("chat-message"))["content"] for _ in names]
            assert heard == names
        polling = [client for name, client in clients.items() if name.startswith("polling")]
        for client in polling:
            target = clients["websocket 0"]
            client.emit("ice-candidate", {"targetId": target.sid, "candidate": {"candidate": client.sid}})
            got = await target.next("ice-candidate")
            assert (got["fromId"] if "fromId" in got else got["senderId"]) == client.sid
            target.emit("offer", {"targetId": client.sid, "sdp": {"type": "offer", "sdp": "v=0"}})
            assert (await client.next("offer"))["sdp"]["sdp"] == "v=0"


async def test_a_node_that_is_stopped_costs_nobody_the_way_in(front: Front) -> None:
    async with visiting(front.url) as ada, driving() as driver:
        await ada.register()
        room = await ada.room()
        assert await front.nodes[1].stop() == 0
        for place in PLACES:
            client = await driver.connect(front.url, transports=["polling"], localAddress=place)
            await join(client, room, place)
        for number in range(6):
            await join(await driver.connect(front.url), room, f"websocket {number}")
            assert (await ada.call("GET", "/api/health"))[0] == 200


NOTATIONS = {
    "plain": "proxy_set_header Host $http_host;",
    "without-the-port": "proxy_set_header Host $host;",
    "with-the-default-port": "proxy_set_header Host $host:443;",
    "capitals": "proxy_set_header Host Meet.Example.com;",
    "trailing-dot": "proxy_set_header Host meet.example.com.;",
    "forwarded-host": "proxy_set_header X-Forwarded-Host $http_host;",
    "forwarded-host-with-port": "proxy_set_header X-Forwarded-Host $host:443;",
    "two-forwarded-hosts": 'proxy_set_header X-Forwarded-Host "$http_host, edge.internal";',
    "forwarded": "proxy_set_header Forwarded 'for=192.0.2.1;host=\"$host:443\";proto=https';",
}
"""Ways in which proxies tell the server by which name it was asked. Without Host, nginx sends the node's own."""
OWN, STRANGER = "https://meet.example.com", "https://meet.example.com.evil.example"


async def test_the_servers_own_page_behind_every_notation(folder: Path, database_url: str) -> None:
    """In production, without CORS_ORIGINS: the own page connects, whatever the proxy writes; a stranger's does not."""
    async with serving(
        folder, DATABASE_URL=database_url, NODE_ENV="production", JWT_SECRET="s" * 40, HOST="127.0.0.1"
    ) as server:
        port = free_port()
        upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        places = "".join(
            f"location /{name}/ {{ {upgrade} {lines} proxy_pass {server.url}/; }}\n"
            for name, lines in NOTATIONS.items()
        )
        text = f"server {{ listen 127.0.0.1:{port}; {places} }}"
        async with nginx_with(folder, text, port), ClientSession() as session:
            seen: dict[tuple[str, str], int] = {}
            for name in NOTATIONS:
                for origin in (OWN, STRANGER):
                    headers = {"Origin": origin, "Host": "meet.example.com"}
                    url = f"http://127.0.0.1:{port}/{name}/socket.io/?EIO=4&transport="
                    async with session.get(url + "polling", headers=headers) as response:
                        seen[name, origin] = response.status
                    try:
                        async with session.ws_connect(url + "websocket", headers=headers):
                            assert response.status == 200
                    except WSServerHandshakeError as refused:
                        assert refused.status == response.status
        assert seen == {(name, origin): 200 if origin == OWN else 400 for name, origin in seen}
        assert len(seen) == 2 * len(NOTATIONS)


def test_the_configuration_says_what_the_document_says() -> None:
    text = CONFIGURATION.read_text()
    for node in DOCUMENTED_NODES:
        assert text.count(f"server {node} ") == 2
    document = (project_dir() / "docs" / "scaling.md").read_text()
    assert "deploy/nginx/neuron-meet.conf" in document


async def test_make_cluster(folder: Path) -> None:
    """One command, one Ctrl-C."""
    environment = {
        "NEURON_MEET_DATA_DIR": str(folder),
        "PYTHONPATH": str(project_dir()),
        "DRAIN_SECONDS": "0",
    }
    command = (sys.executable, "-m", "local_cluster", "--port", "0", "--node-port", "0")
    program = await Program.run(command, folder, environment)
    try:
        url = (await program.says(r"by way of nginx: (http://[\d.:]+)"))[1]
        await program.says("Ctrl-C ends all")
        nodes = re.findall(r"node \d: (http://[\d.:]+)", program.output)
        assert len(nodes) == 3
        async with visiting(url) as ada, driving() as driver:
            await ada.register()
            room = await ada.room()
            first = await driver.connect(nodes[0])
            await join(first, room, "first")
            await join(await driver.connect(nodes[2]), room, "third")
            assert (await first.next("user-joined"))["participant"]["displayName"] == "third"
        postgres = psutil.Process(int((folder / "cluster/postgres/postmaster.pid").read_text().split()[0]))
        started = [*program.descendants(), postgres]
        assert len(started) >= 7  # nodes, Redis, nginx and its worker, PostgreSQL
        os.kill(program.pid, 2)
        assert await program.ended(40) == 0
        assert await gone(started, 0.5)
        assert "Traceback" not in program.output
    finally:
        await program.clean_up()
