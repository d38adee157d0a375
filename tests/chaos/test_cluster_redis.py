"""Redis killed, emptied, paused, one node cut off from it: what goes on meanwhile, and that all agree afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.chaos.figures import Figures
from tests.chaos.nodes import LEASE_SECONDS, NODES, Cluster, cluster_in
from tests.chaos.people import Person, arrived

JOIN_SECONDS = 5.0
"""A join is refused within so long."""
CUT_OFF = 2
"""The node that is partitioned."""
ALL = tuple(range(NODES))


@asynccontextmanager
async def killed(cluster: Cluster) -> AsyncIterator[None]:
    await cluster.redis.kill()
    yield
    await cluster.redis.start()


@asynccontextmanager
async def emptied(cluster: Cluster) -> AsyncIterator[None]:
    await cluster.redis.kill(lose_data=True)
    yield
    await cluster.redis.start()


@asynccontextmanager
async def paused(cluster: Cluster) -> AsyncIterator[None]:
    cluster.redis.pause()
    yield
    cluster.redis.go_on()


@asynccontextmanager
async def partitioned(cluster: Cluster) -> AsyncIterator[None]:
    cluster.ways[CUT_OFF].passing.clear()
    yield
    cluster.ways[CUT_OFF].passing.set()


async def refused_join(cluster: Cluster, node: int, code: str) -> float:
    """Somebody new is told that it is not possible now: how long that took."""
    newcomer = Person(await cluster.visitors[node].socket(guest=True), node)
    started = time.monotonic()
    refused = await newcomer.enter(code)
    took = time.monotonic() - started
    assert refused == {"success": False, "error": "Service temporarily unavailable"}
    await newcomer.socket.close()
    return took


async def goes_on(one: Person, other: Person, room: dict[str, Any], word: str) -> None:
    """Two at the same node: a candidate, a hand, a message get through, and are answered."""
    candidate = {"targetId": other.sid, "candidate": word}
    before = len(other.heard("user-hand-raised"))
    assert await one.socket.ask("ice-candidate", candidate) == {"success": True}
    assert await one.socket.ask("toggle-hand-raise", {"roomId": room["id"], "raised": True}) == {
        "success": True
    }
    assert (await one.say(room, word))["success"] is True
    async with asyncio.timeout(30):
        while True:
            candidates = [heard["candidate"] for heard in other.heard("ice-candidate")]
            words = [heard["content"] for heard in other.heard("chat-message")]
            if word in candidates and word in words and len(other.heard("user-hand-raised")) > before:
                break
            await asyncio.sleep(0.01)
    assert await one.socket.ask("toggle-hand-raise", {"roomId": room["id"], "raised": False}) == {
        "success": True
    }


class Meeting:
    """One room with people at all nodes, and everything that was said in it."""

    def __init__(self, cluster: Cluster, room: dict[str, Any]) -> None:
        self.cluster, self.room = cluster, room
        self.people: list[Person] = []
        self.said: list[str] = []

    async def gather(self) -> None:
        """Three at each node."""
        for number in ALL:
            while len(self.at(number)) < 3:
                self.people.append(
                    await arrived(self.cluster.visitors[number], number, self.room["code"], 10)
                )

    def at(self, *nodes: int) -> list[Person]:
        return [person for person in self.people if person.node in nodes]

    async def outage(
        self, name: str, fault: Any, affected: Sequence[int], seconds: float, figures: Figures
    ) -> float:
        """The fault for so long, with what goes on and what does not. Returns how long all were wrong afterwards."""
        cluster, loop = self.cluster, asyncio.get_running_loop()
        async with fault(cluster):
            ends = loop.time() + seconds
            joins = asyncio.gather(*(refused_join(cluster, number, self.room["code"]) for number in affected))
            for number in affected:
                one, other, *_ = self.at(number)
                word = f"{name} at {number}"
                await goes_on(one, other, self.room, word)
                self.said.append(word)
            figures.add(f"{name}: joins refused after at most", max(await joins), "s")
            await cluster.until_ready(5, *affected, expected=503)
            assert {(await cluster.readiness(number))[1] for number in affected} == {"down"}
            unaffected = [number for number in ALL if number not in affected]
            for number in unaffected:
                assert (await cluster.readiness(number))[0] == 200
            # One leaves while nobody can be told.
            leaving = self.at(affected[-1])[-1]
            await leaving.socket.close()
            self.people.remove(leaving)
            # One joins where that is possible.
            for number in unaffected[:1]:
                self.people.append(await arrived(cluster.visitors[number], number, self.room["code"]))
            await asyncio.sleep(max(0.0, ends - loop.time()))  # the length of the outage
        started = loop.time()
        await cluster.until_ready(15)
        figures.add(f"{name}: ready again after", loop.time() - started, "s")
        return started

    async def agreed(self, name: str, started: float, figures: Figures) -> None:
        """All are right; then somebody joins at each node, and all are right again."""
        loop = asyncio.get_running_loop()
        await self.cluster.agree(self.room, self.people)
        figures.add(f"{name}: nodes, Redis, rows and books agree after", loop.time() - started, "s")
        await self.gather()
        await self.cluster.agree(self.room, self.people)
        assert all(number == 1 for number in Counter(await self.cluster.stored(self.room["id"])).values())
        assert sorted(await self.cluster.stored(self.room["id"])) == sorted(self.said)
        for person in self.people:
            words = Counter(heard["content"] for heard in person.heard("chat-message"))
            assert all(number == 1 for number in words.values()), words


async def test_redis_away_and_back(folder: Path, database_url: str, long: bool, figures: Figures) -> None:
    """Everybody stays, and hears of the others what happened."""
    async with cluster_in(folder, database_url) as cluster:
        meeting = Meeting(cluster, await cluster.visitors[0].room())
        await meeting.gather()
        await cluster.agree(meeting.room, meeting.people)
        for turn in range(3 if long else 1):
            for name, fault, affected, seconds in (
                ("killed", killed, ALL, 5 if long else 1),
                ("emptied", emptied, ALL, 5 if long else 1),
                ("paused", paused, ALL, 10 if long else 3),
                ("partitioned", partitioned, [CUT_OFF], 6 if long else 4),
            ):
                started = await meeting.outage(f"{name} {turn}", fault, affected, seconds, figures)
                await meeting.agreed(f"{name} {turn}", started, figures)
                for person in meeting.people:
                    assert not person.socket.closed


async def test_a_node_that_was_taken_for_dead(
    folder: Path, database_url: str, long: bool, figures: Figures
) -> None:
    """Its people are out for the others, and are told so when it is back; then they come in again."""
    async with cluster_in(folder, database_url) as cluster:
        meeting = Meeting(cluster, await cluster.visitors[0].room())
        await meeting.gather()
        await cluster.agree(meeting.room, meeting.people)
        seconds = 20.0 if long else LEASE_SECONDS + 4
        out = meeting.at(CUT_OFF)
        started = await meeting.outage("cut off", partitioned, [CUT_OFF], seconds, figures)
        meeting.people = [person for person in meeting.people if person.node != CUT_OFF]
        for person in out[:2]:
            await person.socket.end()
        figures.add(
            "cut off: its people told that they are out after",
            asyncio.get_running_loop().time() - started,
            "s",
        )
        await meeting.agreed("cut off", started, figures)
        for person in meeting.people:
            left = Counter(heard["socketId"] for heard in person.heard("user-left"))
            assert all(number == 1 for number in left.values())
        # Dead to the others under its former name, alive under another: it may be killed and is found dead again.
        await cluster.programs[CUT_OFF].kill()
        meeting.people = [person for person in meeting.people if person.node != CUT_OFF]
        await cluster.agree(meeting.room, meeting.people, [0, 1])
