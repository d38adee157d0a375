"""A bot that joins a meeting and greets everybody who comes.

python examples/greeter.py http://127.0.0.1:3001 abc-def-ghi      (pip install "python-socketio[asyncio_client]")
"""

import asyncio
import sys
from typing import Any

import socketio


async def greet(url: str, room_code: str) -> None:
    client = socketio.AsyncClient()
    room: dict[str, Any] = {}

    @client.event
    async def connect() -> None:  # again after each loss of the connection
        reply = await client.call("join-room", {"roomCode": room_code, "displayName": "Greeter"})
        room.update(reply)
        print("Joined." if reply["success"] else f"Not admitted: {reply['error']}", flush=True)
        if not reply["success"]:
            await client.disconnect()

    @client.on("user-joined")
    async def user_joined(event: dict[str, Any], *_: Any) -> None:
        hello = f"Hello {event['participant']['displayName']}!"
        await client.emit("chat-message", {"roomId": room["roomId"], "content": hello})

    await client.connect(url)
    await client.wait()


if __name__ == "__main__":
    asyncio.run(greet(*sys.argv[1:3]))
