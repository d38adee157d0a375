"""python-socketio's own way to many processes, for the row `cluster`: its Redis manager, one channel for everything.

Rooms, a toggle that is broadcast and messages passed on; no database, no check. Listens on a free port of 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import socketio
import uvloop
from aiohttp import web


def make_server(redis_url: str) -> socketio.AsyncServer:
    """A server as python-socketio's documentation has it, without packets in the log."""
    server = socketio.AsyncServer(
        async_mode="aiohttp",
        client_manager=socketio.AsyncRedisManager(redis_url),
        cors_allowed_origins="*",
        http_compression=False,
    )

    async def join_room(sid: str, payload: dict[str, Any]) -> dict[str, Any]:
        await server.enter_room(sid, payload["roomCode"])
        return {"success": True, "roomId": payload["roomCode"]}

    async def toggle_audio(sid: str, payload: dict[str, Any]) -> None:
        said = {"socketId": sid, "enabled": payload["enabled"]}
        await server.emit("user-toggle-audio", said, room=payload["roomId"], skip_sid=sid)

    async def ice_candidate(sid: str, payload: dict[str, Any]) -> None:
        said = {"senderId": sid, "candidate": payload["candidate"]}
        await server.emit("ice-candidate", said, to=payload["targetId"])

    server.on("join-room", join_room)
    server.on("toggle-audio", toggle_audio)
    server.on("ice-candidate", ice_candidate)
    return server


async def serve() -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    application = web.Application()
    make_server(os.environ["REDIS_URL"]).attach(application)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
