"""The built-in meeting page in Chromium with fake camera, microphone and screen."""

from __future__ import annotations

import shutil

import pytest

from neuron_meet.app import running
from neuron_meet.ops.logs import STATE, set_level
from tests.browser.conftest import play
from tests.store.password_server import free_port
from tests.wire.meeting import settings_for


@pytest.mark.parametrize(
    ("scenarios", "grace"),
    [
        ("meet.test.mjs", 15),
        ("host.test.mjs", 15),
        ("network.test.mjs", 15),
        ("network_anew.test.mjs", 0),
        ("trouble.test.mjs", 15),
        ("access.test.mjs", 15),
        ("layout.test.mjs", 15),
        ("teams.test.mjs", 0),
    ],
    ids=lambda value: str(value).removesuffix(".test.mjs"),
)
async def test_the_page(scenarios: str, grace: float, chromium: str, turn: None, database_url: str) -> None:
    """Each scenario of the file, on a server of its own. `grace`: how long a dropped place is held."""
    async with running(settings_for(recovery_grace_seconds=grace), database_url) as server:
        await play(scenarios, chromium, NEURON_MEET_URL=server.url)


def relayed() -> tuple[dict[str, str], dict[str, str]]:
    """The settings of a server whose members use a relay, and the environment of the scenarios that run it. Skips where
    no coturn is installed.
    """
    if shutil.which("turnserver") is None:
        pytest.skip("no coturn is installed: apt-get install coturn")
    relay = {"TURN_PORT": str(free_port()), "TURN_USERNAME": "relayed", "TURN_PASSWORD": "only-for-this-test"}
    settings = {
        "turn_server_url": f"turn:127.0.0.1:{relay['TURN_PORT']}?transport=tcp",
        "turn_server_username": relay["TURN_USERNAME"],
        "turn_server_password": relay["TURN_PASSWORD"],
    }
    return settings, relay


async def test_paths_of_media_come_back(chromium: str, turn: None, database_url: str) -> None:
    """Everything goes over a relay that is killed."""
    settings, relay = relayed()
    async with running(settings_for(**settings), database_url) as server:
        await play("paths.test.mjs", chromium, NEURON_MEET_URL=server.url, **relay)


async def test_the_operators_page(chromium: str, turn: None, database_url: str) -> None:
    token, level = "an-admin-token-of-at-least-32-bytes-in-length", STATE.level
    settings = settings_for(admin_port=0, admin_token=token)
    try:
        async with running(settings, database_url) as server:
            environment = {"NEURON_MEET_URL": server.url, "ADMIN_URL": str(server.admin_url)}
            await play("admin.test.mjs", chromium, ADMIN_TOKEN=token, **environment)
    finally:
        set_level(level)
