"""kill -9 between the row of a chat message and its acknowledgement: said again, it is stored once."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos.meeting import program, visitor
from tests.chaos.nodes import cluster_in
from tests.process.program import Program
from tests.store.password_server import free_port
from tests.wire.clients import DEADLINE, Client, Driver

HELD = """
CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
CREATE TRIGGER held BEFORE INSERT ON "Message" FOR EACH ROW EXECUTE FUNCTION held();
SELECT pg_advisory_lock(1)
"""
"""From here on each row of Message waits, while it is written, until the lock is released."""


async def cut_between_row_and_answer(
    url: str, running: Program, client: Client, message: dict[str, Any]
) -> list[Any]:
    """Have a node stand still while PostgreSQL writes the row for it, then kill it. Returns what is stored."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(HELD)
        lost = client.request("chat-message", message)
        async with asyncio.timeout(DEADLINE):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND mode = 'ShareLock'"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ):
                await asyncio.sleep(0.01)
        running.signal(signal.SIGSTOP)
        await connection.execute("SELECT pg_advisory_unlock(1)")
        async with asyncio.timeout(DEADLINE):
            while not (rows := await stored(connection, message)):
                await asyncio.sleep(0.01)
        await running.kill()
        lost.cancel()
        await client.next("$disconnected")
        return rows
    finally:
        await connection.close()


async def stored(connection: Any, message: dict[str, Any]) -> list[Any]:
    return await connection.fetch('SELECT id, content FROM "Message" WHERE "roomId" = $1', message["roomId"])


async def joined(client: Client, code: str) -> dict[str, Any]:
    ack = await client.ask("join-room", {"roomCode": code, "displayName": "Ada"})
    assert ack["success"], ack
    return ack


async def said_again(url: str, client: Client, code: str, message: dict[str, Any], rows: list[Any]) -> None:
    """The account is back: its message is there, and saying it again gets the ack that was lost."""
    assert [each["id"] for each in (await joined(client, code))["messages"]] == [rows[0]["id"]]
    ack = await client.ask("chat-message", message)
    assert (ack["success"], ack["message"]["id"], ack["message"]["content"]) == (
        True,
        rows[0]["id"],
        message["content"],
    )
    connection = await asyncpg.connect(url)
    try:
        assert await stored(connection, message) == rows
    finally:
        await connection.close()
    assert [name for name, _ in await client.unread()].count("chat-message") == 0


async def test_on_one_node(folder: Path, database_url: str, js: Driver) -> None:
    port, settings = free_port(), {"DATABASE_URL": database_url}
    async with program(folder, port, **settings) as running, visitor(running.url) as ada:
        await ada.register()
        room = await ada.room()
        message = {"roomId": room["id"], "content": "once", "clientId": "mine"}
        client = await js.connect(running.url, auth={"token": ada.token})
        await joined(client, room["code"])
        rows = await cut_between_row_and_answer(database_url, running, client, message)
        async with program(folder, port, **settings):
            assert await client.reconnect() is False
            await said_again(database_url, client, room["code"], message, rows)


async def test_at_another_of_three_nodes(folder: Path, database_url: str, js: Driver) -> None:
    async with cluster_in(folder, database_url) as cluster:
        room = await cluster.visitors[0].room()
        message = {"roomId": room["id"], "content": "once", "clientId": "mine"}
        auth = {"token": cluster.visitors[0].token}
        client = await js.connect(cluster.programs[0].url, auth=auth)
        await joined(client, room["code"])
        rows = await cut_between_row_and_answer(database_url, cluster.programs[0], client, message)
        assert await client.reconnect(url=cluster.programs[1].url) is False
        await said_again(database_url, client, room["code"], message, rows)
