"""kill -9 of a node under chat: nothing acknowledged is lost, its people leave once, and come back through another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from tests.chaos.figures import Figures
from tests.chaos.nodes import LEASE_SECONDS, NODES, Cluster, cluster_in
from tests.chaos.people import Person, Talk, arrived

AT_EACH = 3
BOUND_SECONDS = LEASE_SECONDS + 5


async def left_by(survivor: Person, gone: set[str], since: float) -> list[float]:
    """When `survivor` was told of each who is gone; once each."""
    seen: dict[str, float] = {}
    async with asyncio.timeout(BOUND_SECONDS + 10):
        while seen.keys() != gone:
            for payload in survivor.heard("user-left"):
                if payload["socketId"] in gone:
                    seen.setdefault(payload["socketId"], time.monotonic() - since)
            await asyncio.sleep(0.02)
    return list(seen.values())


async def test_nothing_is_lost_and_everybody_leaves_once(
    folder: Path, database_url: str, long: bool, figures: Figures
) -> None:
    rounds = 10 if long else 1
    left: list[float] = []
    back: list[float] = []
    async with cluster_in(folder, database_url) as cluster:
        room = await cluster.visitors[0].room()
        talks = list[Talk]()
        people = [
            await arrived(cluster.visitors[n % NODES], n % NODES, room["code"])
            for n in range(AT_EACH * NODES)
        ]
        await cluster.agree(room, people)
        for turn in range(rounds):
            victim = turn % NODES
            talk = Talk(room, f"word {turn}")
            talks.append(talk)
            for person in people:
                talk.begin(person)
            await asyncio.sleep(0.5)  # not a wait for anything: the load before the blow
            await cluster.programs[victim].kill()
            killed = time.monotonic()
            dead = [person for person in people if person.node == victim]
            people = [person for person in people if person.node != victim]
            other = (victim + 1) % NODES

            async def come_back(node: int, since: float) -> Person:
                person = await arrived(cluster.visitors[node], node, room["code"], 10)
                back.append(time.monotonic() - since)
                return person

            returned = await asyncio.gather(*(come_back(other, killed) for _ in dead))
            gone = {person.sid for person in dead}
            told = await asyncio.gather(*(left_by(person, gone, killed) for person in people))
            left += [seconds for one in told for seconds in one]
            await talk.end()
            people += returned
            survivors = [number for number in range(NODES) if number != victim]
            await cluster.agree(room, people, survivors)
            for person in people:
                times = Counter(payload["socketId"] for payload in person.heard("user-left"))
                assert all(number == 1 for number in times.values()), times
            await cluster.again(victim)
            # As many at each node as before.
            moved, people = people[-AT_EACH:], people[:-AT_EACH]
            for person in moved:
                await person.socket.close()
            people += [
                await arrived(cluster.visitors[victim], victim, room["code"], 10) for _ in range(AT_EACH)
            ]
            await cluster.agree(room, people)
        await audit(cluster, room["id"], talks, people, figures)
    assert max(left) <= BOUND_SECONDS
    figures.add("rounds of kill -9 of a node", rounds)
    figures.add("user-left at each survivor, once each, after", f"{min(left):.1f} to {max(left):.1f} s")
    figures.spread("people back in the room through another node after", back)


async def audit(
    cluster: Cluster, room_id: str, talks: list[Talk], people: list[Person], figures: Figures
) -> None:
    """Compare what people know with what is stored."""
    stored = await cluster.stored(room_id)
    times, place = Counter(stored), {content: number for number, content in enumerate(stored)}
    acknowledged = [content for talk in talks for content in talk.acknowledged]
    assert len(acknowledged) > 50 * len(talks)
    assert [content for content in acknowledged if times[content] != 1] == []
    assert [content for content, number in times.items() if number > 1] == []
    for person in people:
        seen = [place[payload["content"]] for payload in person.heard("chat-message")]
        assert len(seen) == len(set(seen)), "somebody saw a message twice"
    figures.add("acknowledged, stored exactly once", len(acknowledged))
    figures.add("refused", sum(len(talk.refused) for talk in talks))
    figures.add("cut off before an answer", sum(len(talk.unanswered) for talk in talks))
