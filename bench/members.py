"""Servers with a Redis: nodes of ours, or processes with python-socketio's own manager."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import OURS, Contender
from local_cluster.redis import Redis, redis
from neuron_meet.store import assets

STOCK = "stock"
SIZE = 4


@dataclass(slots=True)
class Member(Contender):
    """One of several servers that share a Redis. `name` is OURS or STOCK."""

    redis_url: str = ""

    def _command(self) -> list[str | Path]:
        command = Contender._command(self)
        return [*command[:2], "bench.stock"] if self.name == STOCK else command

    def _environment(self) -> dict[str, str]:
        return Contender._environment(self) | {"REDIS_URL": self.redis_url}

    @property
    def _cwd(self) -> Path:
        return self.folder if self.name == OURS else assets.project_dir()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Four servers, of which the first is measured, and three strangers: alike, but on a Redis of their own."""

    members: list[Member]
    strangers: list[Member]
    redis: Redis


@asynccontextmanager
async def cluster(like: Contender, name: str) -> AsyncGenerator[Cluster]:
    """Four servers and a Redis of their own, three more with another, on the database of the contender `like`."""
    async with AsyncExitStack() as stack:
        folder = like.folder / f"cluster-{name}"
        folder.mkdir(exist_ok=True)
        server = await stack.enter_async_context(redis(folder))
        (folder / "elsewhere").mkdir(exist_ok=True)
        elsewhere = await stack.enter_async_context(redis(folder / "elsewhere"))
        members: list[Member] = []
        for number in range(2 * SIZE - 1):
            own = folder / str(number)
            own.mkdir(exist_ok=True)
            given: dict[str, Any] = {"redis_url": (server if number < SIZE else elsewhere).url}
            member = Member(name, own, like.database, like.tokens, like.secret, like.alarm, **given)
            stack.push_async_callback(member.stop)
            await member.start()
            members.append(member)
        yield Cluster(members[:SIZE], members[SIZE:], server)
