"""A meeting on the real program: a host with an account, guests, and what each saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, TCPConnector

from tests.process.program import Program, serving
from tests.process.visitor import Socket, Visitor

SETTINGS = {
    "RATE_LIMIT_ENABLED": "false",
    "JWT_SECRET": "a-secret-of-the-chaos-tests-with-32-bytes",
    "DRAIN_SECONDS": "1",
}
"""Limits are off: chaos goes faster than people do."""


@asynccontextmanager
async def program(folder: Path, port: int, **environment: str) -> AsyncIterator[Program]:
    """The program on that port, with data in `folder` unless DATABASE_URL says where."""
    async with serving(folder, **{**SETTINGS, "PORT": str(port), **environment}) as running:
        yield running


@asynccontextmanager
async def visitor(url: str) -> AsyncIterator[Visitor]:
    """Somebody with an account, whose connections are not limited in number."""
    async with ClientSession(url, connector=TCPConnector(limit=0)) as session:
        who = Visitor(session, "correct horse battery")
        try:
            yield who
        finally:
            await who.close()


async def enter(socket: Socket, code: str, name: str = "Guest") -> dict[str, Any]:
    """Join a room; the acknowledgement, which may be a refusal."""
    return await socket.ask("join-room", {"roomCode": code, "displayName": name})


async def entered(socket: Socket, code: str, name: str = "Guest") -> dict[str, Any]:
    """Join a room."""
    joined = await enter(socket, code, name)
    assert joined["success"] is True, joined
    return joined


async def works(guest: Socket, room: dict[str, Any], seconds: float) -> float:
    """Join and say something again and again until both succeed. How long that took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.timeout(seconds):
        while True:
            if (await enter(guest, room["code"]))["success"] is True:
                said = await guest.ask("chat-message", {"roomId": room["id"], "content": "again"})
                if said["success"] is True:
                    return loop.time() - started
            await asyncio.sleep(0.05)


async def ready(who: Visitor, seconds: float, *, expected: int) -> tuple[float, Any]:
    """Ask /api/ready until it answers so: how long that took, and the body."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.timeout(seconds):
        while True:
            status, body = await who.call("GET", "/api/ready")
            if status == expected:
                return loop.time() - started, body
            await asyncio.sleep(0.05)
