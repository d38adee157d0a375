"""A hundred thousand mutated packets over real sockets, while a meeting goes on that notices nothing.

Prints its seed; `FUZZ_SEED=<seed>` repeats the packets.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from pathlib import Path
from random import Random
from time import monotonic

import psutil
from aiohttp import ClientSession

from tests.process.program import Program, serving
from tests.security.fuzzer import Fuzzer
from tests.security.mutation import Mutator
from tests.security.witness import Witness, call, witness
from tests.wire.clients import Driver

SEED = int(os.environ.get("FUZZ_SEED") or secrets.randbits(32))
LONG = os.environ.get("FUZZ") == "long"
"""A hundred thousand packets, ten thousand handshakes; else a tenth of them."""
PACKETS = 100_000 if LONG else 12_000
SOCKETS = 8
WARM_UP = PACKETS // 5
MEMORY_GROWTH = 40_000_000
"""Bytes by which the process may have grown: caches and an allocator's slack, not what 100,000 packets leave."""


def server_settings(database_url: str) -> dict[str, str]:
    """Limits off, so that the packets reach what they are meant for."""
    return {
        "DATABASE_URL": database_url,
        "RATE_LIMIT_ENABLED": "false",
        "JWT_SECRET": "a-secret-of-the-fuzz-tests-with-32-bytes",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
    }


def memory(program: Program) -> int:
    """Resident bytes of the server process."""
    return psutil.Process(program.pid).memory_info().rss


def complaints(program: Program) -> list[str]:
    """What the log says at level error or above, or that is no log line at all: nothing, if all is foreseen."""
    bad = []
    for line in program.output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            bad.append(line)
        else:
            if entry.get("level") in ("error", "critical"):
                bad.append(line)
    return bad


async def fuzzers(url: str, session: ClientSession, watched: Witness, dice: Random) -> list[Fuzzer]:
    """Most of them in the witness' room, half in a room without it."""
    account = {"email": "other@example.com", "password": "a password for it", "displayName": "Other"}
    token = (await call(session, f"{url}/api/auth/register", account))["accessToken"]
    other = await call(session, f"{url}/api/rooms", {"maxParticipants": 50}, token)
    made = []
    for number in range(SOCKETS):
        own, foreign = (watched.room, other) if number % 4 else (other, watched.room)
        mutator = Mutator(
            Random(dice.random()),
            rooms=[own["id"]] * 4 + [foreign["id"]],
            codes=[own["code"]] * 4 + [foreign["code"]],
            sids=[*watched.sids, "x" * 20],
        )
        made.append(Fuzzer(url, session, mutator, Random(dice.random()), own["code"]))
    return made


async def test_mutated_packets(js: Driver, database_url: str, postgres_folder: Path) -> None:
    print(f"FUZZ_SEED={SEED}")  # noqa: T201 -- pytest shows it when the test fails
    dice = Random(SEED)
    async with (
        serving(postgres_folder, **server_settings(database_url)) as program,
        ClientSession() as session,
        witness(program.url, js) as watched,
    ):
        made = await fuzzers(program.url, session, watched, dice)
        async with watched.watching():
            await asyncio.gather(*(one.run(WARM_UP // SOCKETS) for one in made))
            before, started = memory(program), monotonic()
            await asyncio.gather(*(one.run(PACKETS // SOCKETS) for one in made))
            took = monotonic() - started
        for one in made:
            await one.close()
        print(await watched.heard_everything())  # noqa: T201
        grown = memory(program) - before
        sent, thrown_out = sum(one.sent for one in made), sum(one.thrown_out for one in made)
        accepted, refused = sum(one.accepted for one in made), sum(one.refused for one in made)
        print(  # noqa: T201
            f"{sent} packets in {took:.1f} s, {accepted} accepted, {refused} refused, "
            f"{thrown_out} times thrown out, {grown / 1e6:.1f} MB more"
        )
        assert accepted > PACKETS // 100
        assert refused > PACKETS // 10
        assert sent >= PACKETS
        assert grown < MEMORY_GROWTH
        assert complaints(program) == []
        assert await program.stop() == 0
        assert "Traceback" not in program.output
