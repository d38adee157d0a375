"""Nodes restarted one after the other, and sockets that come back at another node than the one that they left."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.chaos.figures import Figures
from tests.chaos.nodes import NODES, Cluster, cluster_in
from tests.chaos.people import arrived, book_of
from tests.recovery.away import claim, events_until_answer, join_raw
from tests.recovery.proxy import Proxy
from tests.wire.clients import Client, ConnectionRefused, Driver
from tests.wire.raw import RawSocket

ROOM_SIZE = 10
PAUSE_SECONDS = 0.5
RETURNING = {"reconnection": True, "reconnectionDelay": 50, "reconnectionDelayMax": 500}


class Balancer(Proxy):
    """A proxy before several nodes; each connection goes to one of those that are in service."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__("127.0.0.1", ports[0])
        self.ports = ports
        self.in_service = set(ports)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target = ("127.0.0.1", random.choice(sorted(self.in_service)))
        await super()._accept(reader, writer)


@asynccontextmanager
async def balanced(cluster: Cluster) -> AsyncIterator[Balancer]:
    """A balancer before the cluster."""
    balancer = Balancer([int(running.url.rsplit(":", 1)[1]) for running in cluster.programs])
    await balancer.start()
    try:
        yield balancer
    finally:
        await balancer.stop()


class Guest:
    """One who uses the official client, which comes back by itself."""

    def __init__(self, client: Client, room: dict[str, Any], name: str) -> None:
        self.client, self.room, self.name = client, room, name
        self.recovered = 0
        self.former: list[str] = []
        """Ids that were lost, because the client started anew."""
        self.acknowledged: list[str] = []
        self.unanswered: list[str] = []

    async def join(self) -> None:
        """As a front end does on each `connect` that is not recovered."""
        async with asyncio.timeout(60):
            while True:
                asked = {"roomCode": self.room["code"], "displayName": self.name}
                if (await self.client.ask("join-room", asked))["success"] is True:
                    return
                await asyncio.sleep(0.1)

    async def talk(self, stop: asyncio.Event) -> None:
        """Say one thing after the other."""
        number = 0
        while not stop.is_set():
            number += 1
            content = f"{self.name} {number}"
            try:
                answer = await self.client.ask(
                    "chat-message", {"roomId": self.room["id"], "content": content}
                )
            except AssertionError:  # the answer was lost on the way
                self.unanswered.append(content)
                continue
            if answer["success"] is True:
                self.acknowledged.append(content)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)

    async def follow(self) -> None:
        """Join again wherever the client had to start anew."""
        while True:
            try:
                opening = await self.client.next("$connected")
            except AssertionError:  # not in the last seconds
                continue
            former, self.client.opening = self.client.sid, opening
            if opening["recovered"]:
                self.recovered += 1
            else:
                self.former.append(former)
                await self.join()


async def words_of(cluster: Cluster, guests: list[Guest], figures: Figures) -> None:
    """Everybody has seen what was said, once, in the stored order; nobody was told that one left who came back."""
    gone = {sid for guest in guests for sid in guest.former}
    sids: dict[str, set[str]] = {}
    for guest in guests:
        sids.setdefault(guest.room["id"], set()).add(guest.client.sid)
    stored = {room_id: await cluster.stored(room_id) for room_id in sids}
    for guest in guests:
        said = stored[guest.room["id"]]
        assert [content for content in guest.acknowledged if said.count(content) != 1] == []
        events = [event for event in await guest.client.unread() if not event[0].startswith("$")]
        left = [payload["socketId"] for name, payload in events if name == "user-left"]
        assert set(left) <= gone, (guest.name, set(left) - gone)
        assert len(left) == len(set(left))
        book, wrong = book_of(guest.client.sid, events)
        assert wrong == [], (guest.name, guest.recovered, guest.former, wrong)
        assert book == sids[guest.room["id"]], (guest.name, book ^ sids[guest.room["id"]])
        seen = [payload["content"] for name, payload in events if name == "chat-message"]
        assert len(seen) == len(set(seen)), [one for one, number in Counter(seen).items() if number > 1]
        if not guest.former:
            assert seen == said, (guest.name, [one for one in said if one not in seen], len(seen), len(said))
    figures.add(
        "messages acknowledged, stored once, seen once and in order", sum(len(g.acknowledged) for g in guests)
    )
    figures.add("messages without an answer", sum(len(g.unanswered) for g in guests))


async def restarts(cluster: Cluster, js: Driver, people: int, figures: Figures) -> None:
    """Every node, one after the other, is stopped and started again."""
    loop = asyncio.get_running_loop()
    who = cluster.visitors[0]
    rooms = [await who.room() for _ in range(people // ROOM_SIZE)]
    async with balanced(cluster) as balancer:
        url = f"http://127.0.0.1:{balancer.port}"
        guests = list[Guest]()
        for number in range(people):
            client = await js.connect(url, auth={}, **RETURNING)
            guests.append(Guest(client, rooms[number % len(rooms)], f"Guest {number}"))
            await guests[-1].join()
        stop = asyncio.Event()
        talking = [asyncio.create_task(guest.talk(stop)) for guest in guests]
        following = [asyncio.create_task(guest.follow()) for guest in guests]
        took = list[float]()
        for number, port in enumerate(balancer.ports):
            balancer.in_service.discard(port)
            started = loop.time()
            assert await cluster.programs[number].stop() == 0
            took.append(loop.time() - started)
            await cluster.again(number)
            await cluster.until_ready(20, number)
            balancer.in_service.add(port)
        stop.set()
        await asyncio.gather(*talking)
        left = set(following)
        while left:  # a cancellation may get lost in a wait that ends at the same time
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=5)
        for task in following:
            assert task.cancelled(), task.exception()
        await words_of(cluster, guests, figures)
        for room in rooms:
            names = sorted(guest.name for guest in guests if guest.room is room)
            assert [await cluster.shown(number, room["code"]) for number in range(NODES)] == [names] * NODES
            assert await cluster.rows(room["id"]) == names
        for guest in guests:
            guest.client.disconnect()
    recovered = sum(guest.recovered for guest in guests)
    anew = sum(len(guest.former) for guest in guests)
    assert recovered + anew >= people, "everybody had to move once at least"
    assert recovered > 0
    figures.add("clients", people)
    figures.add("restarts of a node", NODES)
    figures.add("came back recovered", f"{recovered} of {recovered + anew}")
    figures.add("a node with them had ended after at most", max(took), "s")


async def come_back(client: Client) -> bool:
    """Whether the client is recovered, once it is connected; it was refused while nobody took connections."""
    while True:
        with suppress(ConnectionRefused):
            return await client.back()


async def moves(cluster: Cluster, js: Driver, figures: Figures) -> None:
    """From node to node while all of them live; what the one owes the other delivers."""
    room = await cluster.visitors[0].room()
    others = [await arrived(cluster.visitors[number], number, room["code"]) for number in range(NODES)]
    async with balanced(cluster) as balancer:
        balancer.in_service = {balancer.ports[0]}
        client = await js.connect(f"http://127.0.0.1:{balancer.port}", auth={}, **RETURNING)
        former = client.sid
        mover = Guest(client, room, "Mover")
        await mover.join()
        await client.unread()
        for turn in range(1, 2 * NODES + 1):
            balancer.accepting = False
            balancer.in_service = {balancer.ports[turn % NODES]}
            client.emit("chat-message", {"roomId": room["id"], "content": f"own {turn}"})
            await client.sync()
            balancer.cut()
            await client.next("$disconnected")
            for other in others:
                for part in range(3):
                    text = f"{turn} {other.name} {part}"
                    direct = {"targetId": client.sid, "candidate": text}
                    assert await other.socket.ask("ice-candidate", direct) == {"success": True}
                    asked = {"roomId": room["id"], "raised": part % 2 == 0}
                    assert await other.socket.ask("toggle-hand-raise", asked) == {"success": True}
            balancer.accepting = True
            assert await come_back(client) is True
            assert client.sid == former
            events = [event for event in await client.unread() if not event[0].startswith("$")]
            candidates = [payload["candidate"] for name, payload in events if name == "ice-candidate"]
            for other in others:
                got = [text for text in candidates if text.startswith(f"{turn} {other.name} ")]
                assert got == [f"{turn} {other.name} {part}" for part in range(3)]
                hands = [name for name, payload in events if payload.get("socketId") == other.sid]
                assert hands == ["user-hand-raised", "user-hand-lowered", "user-hand-raised"]
            assert len(candidates) == 3 * NODES
            assert [payload["content"] for name, payload in events if name == "chat-message"] == [
                f"own {turn}"
            ]
        for other in others:
            assert other.heard("user-left") == []
        client.disconnect()
    figures.add(
        "moves between living nodes: recovered, all missed events once and in order, the answer too",
        2 * NODES,
    )


async def answers_follow(cluster: Cluster, figures: Figures) -> None:
    """What the former node still was busy with when the socket moved is answered at the new one.

    By hand: the official client gives up its callbacks when the connection is lost.
    """
    room = await cluster.visitors[0].room()
    path = "/socket.io/?EIO=4&transport=websocket"
    first, second = [RawSocket(await who.session.ws_connect(path)) for who in cluster.visitors[:2]]
    for socket in (first, second):
        assert (await socket.receive()).startswith("0{")
    opening = await claim(first)
    offset = await join_raw(first, room["code"])
    async with cluster.database.acquire() as blocker, blocker.transaction():
        await blocker.execute('LOCK TABLE "Message" IN SHARE MODE')  # the row cannot be written yet
        await first.event("chat-message", {"roomId": room["id"], "content": "slow"}, ack=70_001)
        await events_until_answer(first)
        again = await claim(second, pid=opening["pid"], offset=offset)
        assert (again["sid"], again["pid"]) == (opening["sid"], opening["pid"])
        await second.event("toggle-audio", {"roomId": room["id"], "enabled": False}, ack=70_002)
        await second.receive_until("4370002[")
    packets = await second.receive_until("4370001[")
    assert json.loads(packets[-1][len("4370001") :])[0]["success"] is True
    assert await cluster.stored(room["id"]) == ["slow"]
    await second.end()
    await first.end()
    figures.add("an answer that the former node owed came at the new one", 1)


async def test_sockets_move_and_nodes_are_restarted(
    folder: Path, database_url: str, js: Driver, long: bool, figures: Figures
) -> None:
    async with cluster_in(folder, database_url) as cluster, asyncio.timeout(900 if long else 240):
        await moves(cluster, js, figures)
        await answers_follow(cluster, figures)
        await restarts(cluster, js, 300 if long else 30, figures)
