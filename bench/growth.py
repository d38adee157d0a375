"""`make growth`: what the server's queries cost as the tables grow, and joins to rooms with years of messages.

Databases are made by SQL; each statement of each use case is run as the server has it run, on each of them.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import click
import uvloop

from bench.asked import asked_by_server, explained, explaining
from bench.command import say
from bench.contenders import RAISED_LIMITS
from bench.failure import Alarm, BenchFailed
from bench.grown import grow
from bench.peer import Peer
from bench.process import ServerProcess, inherited_environment
from neuron_meet.auth.tokens import Tokens
from neuron_meet.store.embedded import EmbeddedPostgres
from neuron_meet.store.migrations import deploy

SIZES = "10000,100000,1000000,4000000"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- make growth writes from here -->", "<!-- to here, growth -->"
TIMES = 7
AT_ONCE = 80
JOIN_ROUNDS = 5
JOINED_SIZE = 1_000_000
ROOMS = {"old": "aaa-aaa-aaa", "new": "bbb-bbb-bbb", "small": "ccc-ccc-ccc"}
_ROOMS = f"""
UPDATE "Room" SET code = '{ROOMS["old"]}', "isActive" = true, "endedAt" = NULL WHERE id = 'r1';
UPDATE "Room" SET code = '{ROOMS["new"]}', "isActive" = true, "endedAt" = NULL WHERE id = 'r2';
UPDATE "Room" SET code = '{ROOMS["small"]}', "isActive" = true, "endedAt" = NULL WHERE id = 'r3';
DELETE FROM "Message" WHERE "roomId" = 'r3';
INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, "createdAt")
SELECT 'small' || id, 'r3', "userId", "senderName", content, "createdAt" FROM "Message" WHERE "roomId" = 'r2' LIMIT 50;
DELETE FROM "RoomRemoval";
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a use case costs at one size: its statements' milliseconds in PostgreSQL and the rows that they read."""

    milliseconds: float
    rows: int


async def costs_of(server: str, name: str) -> dict[str, Cost]:
    """Each use case on the database `name`."""
    admin = await asyncpg.connect(server)
    await admin.execute("DROP DATABASE IF EXISTS copy WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE copy TEMPLATE {name} STRATEGY file_copy")
    asked = [each for each in await asked_by_server(_named(server, "copy")) if each.is_about_tables]
    await admin.execute("DROP DATABASE copy WITH (FORCE)")
    await admin.close()
    costs: dict[str, Cost] = {}
    async with explaining(_named(server, name)) as connection:
        for each in asked:
            run = await explained(connection, each, times=TIMES)
            before = costs.get(each.what, Cost(0, 0))
            costs[each.what] = Cost(before.milliseconds + run.milliseconds, before.rows + run.rows)
    return costs


async def joins(url: str, code: str, port_server: ServerProcess, tokens: Tokens) -> tuple[list[float], int]:
    """Seconds that each of 80 took who join a room at once, accounts and guests in turn, and how many were refused."""
    alarm = Alarm()
    address = urlsplit(port_server.url)
    websocket = f"ws://{address.netloc}/socket.io/?EIO=4&transport=websocket"
    peers: list[Peer] = []
    for number in range(AT_ONCE):
        auth: dict[str, Any] = {"displayName": f"Guest {number}"}
        if number % 2:
            auth |= {"token": tokens.issue(f"u{number + 1}", ""), "userId": f"u{number + 1}"}
        peer = Peer(json.dumps(auth).encode(), alarm)
        peer.account_id, peer.name = auth.get("userId"), auth["displayName"]
        peers.append(peer)
    for peer in peers:
        await peer.connect(websocket)
    took: list[float] = []
    refused = 0

    async def join(peer: Peer) -> None:
        nonlocal refused
        begun = time.perf_counter()
        try:
            await peer.join(code)
        except BenchFailed:
            refused += 1
        took.append(time.perf_counter() - begun)

    await asyncio.gather(*(join(peer) for peer in peers))
    for peer in peers:
        peer.leave()
    await port_server.quiet()
    return took, refused


async def joined(folder: Path, databases: dict[str, str]) -> list[tuple[str, list[float], int]]:
    """Joins at once to each kind of room, in turn, each time on a server that has just been started."""
    secret = secrets.token_hex(32)
    tokens = Tokens(secret, 3600)
    results: dict[str, tuple[list[float], int]] = {}
    for _ in range(JOIN_ROUNDS):
        for (what, url), room in zip(databases.items(), ("small", "old", "new"), strict=True):
            server = await ServerProcess.start(
                [sys.executable, "-m", "neuron_meet", "serve"],
                env=inherited_environment()
                | RAISED_LIMITS
                | {
                    "DATABASE_URL": url,
                    "JWT_SECRET": secret,
                    "PORT": "0",
                    "LOG_FORMAT": "json",
                    "HOST": "127.0.0.1",
                },
                cwd=folder,
                log=folder / "log",
            )
            try:
                took, refused = await joins(url, ROOMS[room], server, tokens)
            finally:
                await server.stop()
            before = results.get(what, ([], 0))
            results[what] = [*before[0], *took], before[1] + refused
    return [(what, took, refused) for what, (took, refused) in results.items()]


def table(costs: dict[int, dict[str, Cost]]) -> str:
    """The table in Markdown."""
    sizes = sorted(costs)
    small, large = sizes[0], sizes[-1]
    lines = [
        "| what is asked | " + " | ".join(f"{size:,}" for size in sizes) + " | rows read | exponent |",
        "|---|" + "---:|" * (len(sizes) + 2),
    ]
    for what in costs[large]:
        times = [costs[size][what].milliseconds for size in sizes if what in costs[size]]
        if len(times) < len(sizes):
            continue
        exponent = (
            math.log(times[-1] / times[0]) / math.log(large / small) if times[0] and large > small else 0.0
        )
        figures = " | ".join(f"{each:.2f}" for each in times)
        lines.append(f"| {what} | {figures} | {costs[large][what].rows} | {exponent:+.2f} |")
    return "\n".join(lines)


async def measured(sizes: Sequence[int], *, with_joins: bool) -> str:
    """The figures in Markdown."""
    with tempfile.TemporaryDirectory(prefix="nm-growth-", dir=Path(tempfile.gettempdir())) as name:
        folder = Path(name)
        embedded = EmbeddedPostgres(folder / "data")
        server = await embedded.start()
        try:
            costs: dict[int, dict[str, Cost]] = {}
            for size in sizes:
                await _database(server, f"grown_{size}", size)
                say(f"asking at {size:,}")
                costs[size] = await costs_of(server, f"grown_{size}")
            text = table(costs)
            print(text, flush=True)
            if with_joins:
                text += "\n\n" + await _joins_text(folder, server, sizes)
            return text
        finally:
            await embedded.stop()


async def _joins_text(folder: Path, server: str, sizes: Sequence[int]) -> str:
    large = JOINED_SIZE if JOINED_SIZE in sizes else sizes[-1]
    for size in {sizes[0], large}:
        connection = await asyncpg.connect(_named(server, f"grown_{size}"))
        await connection.execute(_ROOMS)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
    say("joining")
    small, grown = _named(server, f"grown_{sizes[0]}"), _named(server, f"grown_{large}")
    rooms = await joined(
        folder,
        {
            f"a room of 50 messages, at {sizes[0]:,}": small,
            f"a room of {large // 10:,} old messages, at {large:,}": grown,
            f"a room of {large // 10:,} new messages, at {large:,}": grown,
        },
    )
    lines = [f"| {AT_ONCE} joins at once into | p50, s | p95, s | refused |", "|---|---:|---:|---:|"]
    for what, took, refused in rooms:
        lines.append(f"| {what} | {median(took):.2f} | {quantiles(took, n=20)[-1]:.2f} | {refused} |")
    return "\n".join(lines)


async def _database(server: str, name: str, size: int) -> None:
    admin = await asyncpg.connect(server)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    url = _named(server, name)
    await deploy(url, lambda _said: None)
    connection = await asyncpg.connect(url)
    say(f"making {size:,} messages")
    await grow(connection, size)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def _named(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


@click.command()
@click.option("--sizes", default=SIZES, show_default=True, help="How many messages the databases have.")
@click.option(
    "--joins/--no-joins", "with_joins", default=True, show_default=True, help="Measure joins as well."
)
@click.option(
    "--write/--no-write", default=None, help="Write docs/performance.md (a full run does so by itself)."
)
def main(*, sizes: str, with_joins: bool, write: bool | None) -> None:
    """Measure each query of the server, and joins, on databases of these sizes (20 minutes, 8 GB of disk)."""
    text = uvloop.run(measured([int(size) for size in sizes.split(",")], with_joins=with_joins))
    print(text)
    if (sizes == SIZES and with_joins) if write is None else write:
        before, rest = DOCS.read_text().split(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
