"""A real server with an honest meeting, at which strangers come one after the other; and what each of them costs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from aiohttp import ClientSession

from neuron_meet.store.ids import new_id
from tests.chaos.figures import percentile
from tests.hostile.people import Meeting
from tests.hostile.table import STAYS, Stranger
from tests.process.program import Program, serving, slowness
from tests.security.witness import call
from tests.wire.clients import Driver

PEOPLE, CLIENTS = 20, 3
MEGABYTE = 1_000_000
LOOP_SECONDS = 0.4
"""CPU time of the event loop that a stranger may take for each second begun, in which 6 MB come at most."""
SAMPLE_SECONDS = 0.02
CALM_SHARE, CALM_SECONDS, CALM_WINDOW = 0.4, 20.0, 0.1
LARGE_MESSAGES, LARGE_MESSAGE = 200, "\N{GRINNING FACE}" * 4000
"""A page of messages as large as can be: 3.2 MB."""
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Cost:
    """What a stranger did to the server, and to the others. Times are in seconds, sizes in bytes."""

    name: str
    sent: int = 0
    open: int = 0
    closed: int = 0
    answered: int = 0
    refused: dict[str, int] = field(default_factory=dict[str, int])
    failed: str = ""
    answers: int = 0
    p99: float = 0.0
    longest: float = 0.0
    stalls: int = 0
    longest_stall: float = 0.0
    memory: int = 0
    logged: int = 0
    cpu: float = 0.0
    lost: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])

    @property
    def fate(self) -> str:
        """What became of it."""
        if self.open:
            return "stays" if not self.closed else f"{self.open} of {self.open + self.closed} stay"
        return "gone" if self.closed or self.refused else "-"

    def as_text(self) -> str:
        """For a report of a test."""
        return json.dumps(asdict(self) | {"fate": self.fate})


@dataclass(slots=True)
class _Moment:
    """The server at a moment: resident memory, CPU time of the loop, lines of its log."""

    at: float
    memory: int
    cpu: float
    lines: int


class Arena:
    """Server, meeting, and the way to send strangers there."""

    def __init__(self, program: Program, meeting: Meeting, given: dict[str, Any]) -> None:
        self.program, self.meeting = program, meeting
        self._given = given
        self._most = 0
        self._own = 0.0
        self._numbers = iter(range(1, 60_000))
        self._sampler = asyncio.create_task(self._sample())

    async def calibrate(self) -> None:
        """What the meeting itself takes of the loop, for each thing that somebody does."""
        await self._calm()
        before = self._now()
        await asyncio.sleep(1)
        cpu = self._now().cpu - before.cpu
        self._own = cpu / max(1, len(self.meeting.answered(before.at)))

    async def meet(self, stranger: Stranger, seconds: float) -> Cost:
        """Let a stranger do what they do for so long."""
        await self._calm()
        number = next(self._numbers)
        given = self._given | {"seconds": seconds, "source": f"127.77.{number // 250}.{number % 250 + 1}"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.hostile.stranger", stranger.name, json.dumps(given)),
            cwd=CHECKOUT,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        assert process.stdout is not None
        try:
            begun = await process.stdout.readline()
            assert begun == b"begun\n", f"the stranger did not begin: {begun!r}"
            before = self._now()
            self._most = before.memory
            told = json.loads(await process.stdout.readline() or "{}")
            await self.meeting.heard_from_all()
            after = self._now()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        bound = LOOP_SECONDS * max(1.0, seconds) * slowness()
        return await self._cost(stranger, before, after, told, bound)

    async def _cost(
        self, stranger: Stranger, before: _Moment, after: _Moment, told: dict[str, Any], bound: float
    ) -> Cost:
        answers = self.meeting.answered(before.at)
        lines = self.program.output.splitlines()[before.lines :]
        stalls = [json.loads(line)["milliseconds"] / 1000 for line in lines if "event loop stalled" in line]
        cost = Cost(
            stranger.name,
            sent=told.get("sent", 0),
            open=told.get("open", 0),
            closed=told.get("closed", 0),
            answered=told.get("answered", 0),
            refused=told.get("refused", {}),
            failed=told.get("failed", ""),
            answers=len(answers),
            p99=percentile(answers, 0.99) if answers else 0.0,
            longest=max(answers, default=0.0),
            stalls=len(stalls),
            longest_stall=max(stalls, default=0.0),
            memory=max(0, self._most - before.memory),
            logged=sum(len(line) + 1 for line in lines),
            cpu=max(0.0, after.cpu - before.cpu - self._own * len(answers)),
            lost=await self.meeting.lost(),
        )
        if not told:
            cost.wrong.append("the stranger's own process failed")
        if cost.failed and not cost.refused:
            cost.wrong.append(f"the stranger could not begin: {cost.failed}")
        if cost.lost:
            cost.wrong.append(f"{len(cost.lost)} honest people noticed: {'; '.join(cost.lost[:3])}")
        if cost.memory > stranger.megabytes * MEGABYTE:
            cost.wrong.append(f"memory grew by {cost.memory / MEGABYTE:.0f} MB")
        if stranger.becomes == STAYS and cost.closed:
            cost.wrong.append("was ended, although people do this")
        if cost.cpu > bound and not stranger.served:
            cost.wrong.append(f"took {cost.cpu:.2f} s of the loop, {bound:.2f} s at most")
        if stranger.kept is not None and cost.open > stranger.kept:
            cost.wrong.append(f"has {cost.open} connections open; {stranger.kept} at most are kept")
        await self.meeting.mend()
        return cost

    def _now(self) -> _Moment:
        pid = self.program.pid
        return _Moment(time.monotonic(), _resident(pid), _loop_cpu(pid), self.program.output.count("\n") + 1)

    async def _calm(self) -> None:
        """Return when the server has done with the one before; after a while in any case."""
        deadline = time.monotonic() + CALM_SECONDS
        while time.monotonic() < deadline:
            before = self._now()
            await asyncio.sleep(CALM_WINDOW)
            if self._now().cpu - before.cpu < CALM_WINDOW * CALM_SHARE:
                return

    async def _sample(self) -> None:
        while True:
            self._most = max(self._most, _resident(self.program.pid))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def close(self) -> None:
        """Everybody goes."""
        self._sampler.cancel()
        await asyncio.wait([self._sampler])
        await self.meeting.close()


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _loop_cpu(pid: int) -> float:
    """Seconds that the event loop's thread has run (Linux, schedstat)."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


@asynccontextmanager
async def arena(
    folder: Path, database_url: str, js: Driver, *, people: int = PEOPLE, clients: int = CLIENTS
) -> AsyncIterator[Arena]:
    """A server under its defaults, with a meeting that goes on, and a room whose messages are large."""
    async with serving(
        folder,
        DATABASE_URL=database_url,
        NODE_ENV="production",
        HOST="127.0.0.1",
        JWT_SECRET=secrets.token_urlsafe(48),
    ) as program:
        async with ClientSession(program.url) as session:
            account = {"email": "host@example.com", "password": "a password for it", "displayName": "Host"}
            token = (await call(session, "/api/auth/register", account))["accessToken"]
            room = await call(session, "/api/rooms", {"name": "Honest", "maxParticipants": 100}, token)
            stranger = account | {"email": "stranger@example.com"}
            stranger_token = (await call(session, "/api/auth/register", stranger))["accessToken"]
            large = await call(session, "/api/rooms", {"name": "Large"}, stranger_token)
        await _fill(database_url, large["id"])
        address = urlsplit(program.url)
        given = {
            "host": address.hostname,
            "port": address.port,
            "code": room["code"],
            "token": stranger_token,
            "room_id": large["id"],
        }
        meeting = Meeting(program.url, room, js)
        made = Arena(program, meeting, given)
        try:
            await meeting.open(people, clients)
            await made.calibrate()
            yield made
        finally:
            await made.close()


async def _fill(database_url: str, room_id: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.executemany(
            'INSERT INTO "Message" (id, "roomId", "senderName", content) VALUES ($1, $2, $3, $4)',
            [(new_id(), room_id, "Stranger", LARGE_MESSAGE) for _ in range(LARGE_MESSAGES)],
        )
    finally:
        await connection.close()
