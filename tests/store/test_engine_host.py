"""The query-engine host as a process: whom it answers, what can be seen of it, how it ends."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest

from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.engine.process import HostProcess, Launch
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.generated.client import PACKAGED_SCHEMA_PATH
from neuron_meet.store.node import find_node


@pytest.fixture
async def host(database_url: str) -> AsyncIterator[HostProcess]:
    address = DatabaseAddress.parse(database_url)
    host = await HostProcess.start(Launch(find_node(), PACKAGED_SCHEMA_PATH, address, 2, 2.0))
    yield host
    await host.stop()


async def test_it_listens_on_loopback_only(host: HostProcess) -> None:
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(host.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize("secret", [None, "", "wrong", "x" * 43])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status"),
        ("POST", "/"),
        ("POST", "/compile"),
        ("POST", "/transaction/start"),
        ("GET", "/nothing"),
    ],
)
async def test_it_refuses_callers_without_the_secret(
    host: HostProcess, method: str, path: str, secret: str | None
) -> None:
    headers = {} if secret is None else {"x-engine-secret": secret}
    body = '{"action":"queryRaw","query":{"selection":{},"arguments":{"query":"SELECT 1","parameters":"[]"}}}'
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, host.url + path, headers=headers, data=body) as response,
    ):
        assert response.status == 401
        assert "data" not in await response.json()


async def test_it_serves_callers_with_the_secret(host: HostProcess) -> None:
    async with host.session.get("/status") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    async with host.session.get("/nothing") as response:
        assert response.status == 404
    async with host.session.post("/transaction/none/commit") as response:
        assert (await response.json())["errors"][0]["user_facing_error"]["error_code"] == "P2028"
    for body in ("not json", "[]", "null", "{}", '{"action":"findMany"}', '{"batch":[{}]}'):
        async with host.session.post("/", data=body) as response:
            assert response.status == 200
            assert "errors" in await response.json()
    assert await host.answers(2)


async def test_secrets_are_neither_in_its_arguments_nor_in_its_environment(
    host: HostProcess, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("JWT_SECRET", "of the server alone")
    address = DatabaseAddress.parse(database_url)
    other = await HostProcess.start(Launch(find_node(), PACKAGED_SCHEMA_PATH, address, 2, 2.0))
    try:
        process = psutil.Process(other.pid)
        visible = " ".join([*process.cmdline(), *process.environ().values()])
        assert other.headers["x-engine-secret"] not in visible
        assert other.headers != host.headers
        assert database_url not in visible
        assert "of the server alone" not in visible
    finally:
        await other.stop()


async def test_it_ends_on_sigterm_with_work_under_way(host: HostProcess) -> None:
    body = '{"action":"queryRaw","query":{"selection":{},"arguments":{"query":"SELECT 1 FROM pg_sleep(30)","parameters":"[]"}}}'  # noqa: E501
    call = asyncio.ensure_future(host.session.post("/", data=body))
    while not await host.answers(1):
        pass
    psutil.Process(host.pid).send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(host.wait(), 30) == 0
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_ctrl_c_in_the_terminal_is_the_servers_affair(host: HostProcess) -> None:
    psutil.Process(host.pid).send_signal(signal.SIGINT)
    assert await host.answers(5)
    assert psutil.Process(host.pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}


async def test_a_host_that_ends_as_soon_as_it_starts_is_reported_as_such(database_url: str) -> None:
    true = shutil.which("true")
    assert true
    launch = Launch(true, PACKAGED_SCHEMA_PATH, DatabaseAddress.parse(database_url), 2, 2.0)
    # Many at once: most of them have ended before they are written to, which uvloop reports in its own way.
    starts = await asyncio.gather(*(HostProcess.start(launch) for _ in range(20)), return_exceptions=True)
    assert {type(start) for start in starts} == {EngineUnavailable}
