"""deploy/caddy/Caddyfile as it is, with a certificate of ours and this test's ports."""

from __future__ import annotations

import uuid
from pathlib import Path

from local_cluster.children import free_port
from neuron_meet.store.assets import project_dir
from tests.process.program import Program
from tests.proxies.fronts import Certificate, Front, started
from tests.proxies.people import WAYS, come, make_room, say
from tests.recovery.proxy import proxied
from tests.wire.clients import Driver

SITE = "meet.example.com {\n"
SERVER = "127.0.0.1:3001"


async def test_a_meeting_behind_it(
    place: Path, certificate: Certificate, server: Program, js: Driver
) -> None:
    text = (project_dir() / "deploy" / "caddy" / "Caddyfile").read_text()
    assert (text.count(SITE), text.count(SERVER)) == (1, 1)
    port = free_port()
    options = "{\n\tadmin off\n\tauto_https off\n\tgrace_period 1s\n\tlog {\n\t\toutput discard\n\t}\n}\n"
    ours = f"\tbind 127.0.0.1\n\ttls {certificate.chain} {certificate.key}\n"
    async with proxied(server.url) as (upstream, url):
        text = text.replace(SITE, f"{options}https://meet.example.com:{port} {{\n{ours}")
        text = text.replace(SERVER, url.removeprefix("http://"))
        async with started("caddy", place, text, port):
            front = Front("caddy", port, certificate, upstream)
            room = await make_room(front, f"{uuid.uuid4().hex}@example.com")
            clients = [await come(js, front, room, way) for way in WAYS]
            await say(clients[1], room, "hello")
            for client in clients:
                assert (await client.next("chat-message"))["content"] == "hello"
                client.disconnect()
