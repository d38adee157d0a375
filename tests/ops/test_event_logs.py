"""One line an event that matters, with ids and without content; and a full disk under the log stops nobody."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import psutil
import structlog.testing
from aiohttp import ClientError, ClientSession

from neuron_meet import repeats
from neuron_meet.app import running
from tests.process.visitor import visiting
from tests.wire.clients import Driver
from tests.wire.meeting import meeting_on, settings_for

DEADLINE = 30.0


async def test_a_meeting_in_the_log(database_url: str, js: Driver) -> None:
    async with meeting_on(database_url, js, recovery_grace_seconds=0.05) as meet:
        place = await meet.place()
        with structlog.testing.capture_logs() as logged:
            host = await meet.join(place, place.host)
            guest = await meet.join(place, name="Said Nowhere")
            await guest.ask("chat-message", {"roomId": place.id, "content": "said nowhere"})
            assert (await guest.ask("leave-room", {"roomId": place.id}))["success"]
            guest.disconnect()
            await meet.rest("DELETE", f"/api/rooms/{place.id}", place.host)
            await host.next("room-ended")
            host.drop()
            async with asyncio.timeout(DEADLINE):
                while meet.server.sockets.connection_count:  # the guest's end and the host's, place and all
                    await asyncio.sleep(0.01)
    lines = [
        {name: value for name, value in line.items() if name != "log_level"}
        for line in logged
        if line["event"] != "event loop stalled"  # on a busy machine
    ]
    room, of_host, of_guest = {"room": place.code}, {"sid": host.sid}, {"sid": guest.sid}
    assert [line for line in lines if line.get("sid") == host.sid or "sid" not in line] == [
        {"event": "socket connected", **of_host, "user": place.host.id, "address": "127.0.0.1"},
        {"event": "joined", **of_host, **room, "user": place.host.id, "address": "127.0.0.1"},
        {"event": "left", **of_host, **room},
        {"event": "room ended", **room},
        {"event": "socket dropped, its place is held", **of_host, "reason": "transport close"},
        {"event": "socket disconnected", **of_host, "reason": "not recovered"},
    ]
    assert [line for line in lines if line.get("sid") == guest.sid] == [
        {"event": "socket connected", **of_guest, "user": None, "address": "127.0.0.1"},
        {"event": "joined", **of_guest, **room, "user": None, "address": "127.0.0.1"},
        {"event": "left", **of_guest, **room},
        {"event": "socket disconnected", **of_guest, "reason": "namespace left"},
    ]
    # A line for each connection, in a meeting or not, is for those who look for it.
    at_debug = {line["event"] for line in logged if line["log_level"] == "debug"}
    assert at_debug == {"socket connected", "socket disconnected"}
    assert "nowhere" not in str(logged).lower()


async def test_requests_have_ids(database_url: str, js: Driver) -> None:
    async with (
        meeting_on(database_url, js) as meet,
        ClientSession(meet.server.url) as session,
    ):
        await meet.sql('ALTER TABLE "Room" RENAME TO "Elsewhere"')
        for given, kept in (
            ("proxy-7", True),
            ('"},{"event":"forged', False),
            ("x" * 101, False),
            (None, False),
        ):
            repeats.LOG.flush()  # the next one is no repetition
            with structlog.testing.capture_logs(
                processors=[structlog.contextvars.merge_contextvars]
            ) as logged:
                headers = {"X-Request-Id": given} if given else {}
                async with session.get("/api/rooms/code/abc-def-ghi", headers=headers) as response:
                    answered = response.headers["X-Request-Id"]
            assert (answered == given) is kept
            assert {line["request"] for line in logged} <= {answered}
        assert logged, "the failure is logged"


async def test_a_stranger_writes_few_lines(database_url: str, tmp_path: Path) -> None:
    """Sign-ins that are refused, tries at the admin address, and rooms of others: a line each, and then their count."""
    audit = tmp_path / "audit.jsonl"
    given = {"rate_limit_enabled": True, "audit_log": str(audit), "admin_port": 0, "admin_token": "t" * 32}
    with structlog.testing.capture_logs() as logged:
        async with running(settings_for(**given), database_url) as server, visiting(server.url) as ada:
            await ada.register()
            room = await ada.room()
            statuses = Counter[int]()
            async with visiting(server.url) as eve:
                await eve.register("Eve")
                for number in range(200):
                    wrong = {"email": f"{number % 50}@example.com", "password": "wrong password"}
                    statuses[(await eve.call("POST", "/api/auth/login", wrong))[0]] += 1
                    statuses[(await eve.call("DELETE", f"/api/rooms/{room['id']}"))[0]] += 1
                assert server.admin_url is not None
                for _ in range(50):
                    async with eve.session.get(f"{server.admin_url}/metrics") as response:
                        assert response.status == 401
    assert statuses == {401: 30, 429: 170, 403: 200}
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    refused = [line for line in lines if line["outcome"] != "done"]
    assert sum(line.get("count", 1) for line in refused) == 400, "each is counted"
    assert len(refused) < 40
    assert len([line for line in logged if line["event"] == "admin refused"]) == 2


async def test_a_full_disk_under_log_and_audit_stops_nobody(database_url: str, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "PORT": "0",
        "DRAIN_SECONDS": "0",
        "LOG_LEVEL": "debug",
        "AUDIT_LOG": "stdout",
    }
    with Path("/dev/full").open("wb") as full:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "neuron_meet",
            "serve",
            cwd=tmp_path,
            env=environment,
            stdout=full,
            stderr=full,
        )
    try:
        async with visiting(await address(process.pid)) as ada:
            await ada.register()
            room = await ada.room()
            socket = await ada.socket()
            reply = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Ada"})
            assert reply["success"], reply
        process.terminate()
        async with asyncio.timeout(DEADLINE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def address(pid: int) -> str:
    """Where that process listens and answers; its log cannot say."""
    async with asyncio.timeout(DEADLINE), ClientSession() as session:
        while True:
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    url = f"http://127.0.0.1:{connection.laddr.port}"
                    try:
                        async with session.get(f"{url}/api/health") as response:
                            if response.status == 200:
                                return url
                    except ClientError:
                        pass
            await asyncio.sleep(0.05)
