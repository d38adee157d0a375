"""Admission and waiting room under any interleaving: accounts, guests and the host at once, over real sockets.

Everybody acts at random, several devices of an account at the same time: join, leave, drop, come back, quit, knock;
the host admits, denies, removes, locks and changes settings over REST. Presence is watched in every turn.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest
from aiohttp import ClientSession

from neuron_meet.app import Server
from tests.redis_server import RedisServer
from tests.security.books import Books
from tests.security.door import WAITING
from tests.security.wanderer import Wanderer
from tests.wire.barrier import all_told
from tests.wire.clients import DEADLINE, Driver
from tests.wire.meeting import Meet, Person, Place, meeting_on

Act = Callable[[Wanderer], Awaitable[None]]

STEPS = 30
CAPACITY = 4
PATIENCE_SECONDS = 0.2
"""How long most of them wait for an answer to their knock before they do something else."""
AWAY_SECONDS = 0.3
"""The grace of recovery: some come back in time, some do not."""


class Walk:
    """The rooms, those who wander between them, and the books."""

    def __init__(self, meet: Meet, places: list[Place], seed: int) -> None:
        self.meet, self.places = meet, places
        self.dice = random.Random(seed)
        self.presences = [server.signaling.presence for server in meet.servers]
        self.books = Books(self.presences, dict.fromkeys((p.code for p in places), CAPACITY))
        self.said: Counter[str] = Counter()
        self.changing = asyncio.Lock()

    # -- everybody
    async def begin(self, everybody: list[Wanderer]) -> None:
        """All but the host wander for so many steps; the host does as long as they do."""
        hosts, others = [], []
        for one in everybody:
            (hosts if one.who is self.places[0].host else others).append(one)
        for host, place in zip(hosts, self.places, strict=True):
            await host.connect()
            await host.join(place)
        await self.let_one_in(hosts[0], others[-1])
        busy = [asyncio.create_task(self.wander(one, STEPS)) for one in others]
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(self.preside(host, busy))
            await asyncio.gather(*busy)

    async def let_one_in(self, host: Wanderer, guest: Wanderer) -> None:
        """It happens in every walk, however the dice fall."""
        await guest.connect()
        await guest.join(self.places[0])
        async with asyncio.timeout(DEADLINE):
            while not host.waiting:
                await host.patiently(PATIENCE_SECONDS)
        await self.admit(host)
        assert self.said["admit"] == 1

    async def wander(self, one: Wanderer, steps: int) -> None:
        """A random life of so many steps."""
        for _ in range(steps):
            await self.act(
                one,
                (self.join, 9),
                (self.leave, 4),
                (self.drop, 3),
                (self.stay_away, 1),
                (self.quit, 1),
                (self.chat, 1),
            )

    async def preside(self, host: Wanderer, busy: list[asyncio.Task[None]]) -> None:
        """What a host does, as long as anybody is busy."""
        while not all(task.done() for task in busy):
            await self.act(
                host, (self.join, 1), (self.drop, 1), (self.quit, 1), (self.admit, 15), (self.deny, 1),
                (self.remove, 1), (self.lock, 3), (self.settings, 3),
            )  # fmt: skip
            await host.patiently(0.005)

    async def act(self, one: Wanderer, *acts: tuple[Act, int]) -> None:
        """One of these, each with its weight; then everything must be in order."""
        if not one.connected:
            await one.stopped()
            await one.connect()
        [(act, _)] = self.dice.choices(acts, [weight for _, weight in acts])
        await act(one)
        self.books.check()

    async def join(self, one: Wanderer) -> None:
        ack = await one.join(self.dice.choice(self.places))
        if ack is not None:
            self.said["joined" if ack["success"] else ack["error"]] += 1
            if ack.get("waiting") and self.dice.random() < 0.8:
                await one.patiently(PATIENCE_SECONDS)

    async def leave(self, one: Wanderer) -> None:
        await one.leave()

    async def drop(self, one: Wanderer) -> None:
        """In the middle of something, sometimes."""
        begun = asyncio.create_task(one.join(self.dice.choice(self.places)))
        for _ in range(self.dice.choice([0, 3, 30])):
            await asyncio.sleep(0)
        await one.drop()
        await begun
        await one.connect()

    async def stay_away(self, one: Wanderer) -> None:
        await one.drop()
        await asyncio.sleep(AWAY_SECONDS * self.dice.uniform(0.5, 1.6))  # what is tested, not synchronisation
        await one.connect()

    async def quit(self, one: Wanderer) -> None:
        await one.quit()
        await one.connect()

    async def chat(self, one: Wanderer) -> None:
        await one.ask("chat-message", roomId=one.room or "none", content="hello")

    # -- the host
    def place_of(self, host: Wanderer) -> Place | None:
        return next((place for place in self.places if place.id == host.room), None)

    def seat(self, sid: str) -> str | None:
        """The seat of a socket that is in a room or waits, by the server's record."""
        for presence in self.presences:
            if participant := presence.participant(sid):
                return participant.seat
            live = presence.room(presence.whereabouts.waiting.get(sid, ""))
            if live is not None:
                return live.waiting[sid].seat
        return None

    async def admit(self, host: Wanderer) -> None:
        place = self.place_of(host)
        if place is None or not host.waiting:
            return
        sid = self.dice.choice(list(host.waiting))
        if seat := self.seat(sid):
            self.books.approved.add((place.code, seat))
        ack = await host.ask("admit-participant", roomId=place.id, targetId=sid)
        if ack is not None:
            self.said["admit" if ack["success"] else f"admit: {ack['error']}"] += 1

    async def deny(self, host: Wanderer) -> None:
        place = self.place_of(host)
        if place is None or not host.waiting:
            return
        sid = self.dice.choice(list(host.waiting))
        ack = await host.ask("deny-participant", roomId=place.id, targetId=sid)
        if ack is not None and ack["success"]:
            host.waiting.pop(sid, None)
            self.said["deny"] += 1

    async def remove(self, host: Wanderer) -> None:
        place = self.place_of(host)
        if place is None or not host.others:
            return
        sid = self.dice.choice(sorted(host.others))
        seat = self.seat(sid)
        ack = await host.ask("remove-participant", roomId=place.id, targetId=sid)
        if ack is not None and ack["success"] and seat is not None:
            self.books.removed.add((place.code, seat))
            self.said["remove"] += 1

    async def lock(self, host: Wanderer) -> None:
        place, locked = self.place_of(host), self.dice.random() < 0.3
        if place is None:
            return
        async with self.changing:
            self.books.shut.discard(place.code)
            ack = await host.ask("lock-room", roomId=place.id, locked=locked)
            if ack is not None and ack["success"] and locked:
                self.books.shut.add(place.code)

    async def settings(self, host: Wanderer) -> None:
        place = self.dice.choice(self.places)
        waiting_room, guests = self.dice.random() < 0.6, self.dice.random() < 0.8
        async with self.changing:
            self.books.waited.discard(place.code)
            await self.meet.patch(place, waitingRoom=waiting_room, allowGuestAccess=guests)
            if waiting_room:
                self.books.waited.add(place.code)

    # -- at rest
    async def rest(self, everybody: list[Wanderer]) -> None:
        """Everybody is back, and has been told all there is."""
        for one in everybody:
            if not one.connected:
                await one.stopped()
                await one.connect()
        async with asyncio.timeout(60):
            while any(self.busy(server) for server in self.meet.servers):
                await asyncio.sleep(0.01)
        await all_told(self.meet.servers)
        for _ in range(2):  # the last one's round trip ends after what it set off has been sent to the first
            await asyncio.gather(*(one.ask("no-such-event") for one in everybody))
        for one in everybody:
            await one.make_sure()
        for server in self.meet.servers:
            assert await server.signaling.attendance.drain(10) == 0

    def busy(self, server: Server) -> bool:
        """Whether anything is under way at a node, or a place is held."""
        rooms = server.signaling.presence.rooms()
        return bool(
            server.signaling.tasks or server.sockets.recovery.held or any(room.holds for room in rooms)
        )

    async def compare(self, everybody: list[Wanderer]) -> None:
        """Who believes to be in a room is, knows everybody there, and hears what is said; the host knows who waits."""
        by_sid = {one.sid: one for one in everybody}
        for place in self.places:
            open_rows = await self.meet.sql(
                'SELECT id FROM "Participant" WHERE "roomId" = $1 AND "isActive"', place.id
            )
            self.books.check_at_rest(place, open_rows)
            members = set(self.meet.present(place))
            assert members == {one.sid for one in everybody if one.room == place.id}
            waiting = self.meet.waiting(place)
            for sid in members:
                one = by_sid[sid]
                assert one.others == members - {sid}
                if one.who is place.host:
                    assert list(one.waiting) == waiting
            if members:
                await self.everybody_hears([by_sid[sid] for sid in members], place)

    async def everybody_hears(self, members: list[Wanderer], place: Place) -> None:
        ack = await members[0].ask("chat-message", roomId=place.id, content=f"is everybody in {place.code}?")
        assert ack is not None
        assert ack["success"] is True
        await all_told(self.meet.servers)
        for one in members:
            await one.ask("no-such-event")
            assert one.heard.count(f"is everybody in {place.code}?") == 1

    async def end(self, everybody: list[Wanderer]) -> None:
        """Both meetings end: nobody is left in them or before them, in memory or in the rows."""
        for place in self.places:
            status, _ = await self.meet.rest("DELETE", f"/api/rooms/{place.id}", place.host)
            assert status == 200
            self.books.ended.add(place.code)
        await asyncio.gather(*(self.join(one) for one in everybody))
        await self.rest(everybody)
        assert [one.name for one in everybody if one.room is not None] == []
        for presence in self.presences:
            nobody = (list(presence.rooms()), list(presence.participants()), presence.whereabouts.waiting)
            assert nobody == ([], [], {})
        assert await self.meet.sql('SELECT id FROM "Participant" WHERE "isActive"') == []


async def crowd(meet: Meet, session: ClientSession, host: Person) -> list[Wanderer]:
    """The host with two devices, two accounts with two devices each, one with one, five guests."""
    people: list[tuple[str, Person | None]] = [("host", host)] * 2
    for name in ("ada", "bob"):
        people += [(name, await meet.person(name))] * 2
    people += [("cy", await meet.person("cy"))] + [(f"guest {number}", None) for number in range(5)]
    return [Wanderer(lambda: meet.url, session, name, who) for name, who in people]


@pytest.mark.parametrize("seed", [1, 2, 3, None])
async def test_any_interleaving(js: Driver, database_url: str, seed: int | None) -> None:
    async with meeting_on(database_url, js, recovery_grace_seconds=AWAY_SECONDS) as meet:
        await walk_in(meet, seed)


async def test_any_interleaving_over_three_nodes(
    js: Driver, database_urls: Callable[..., Awaitable[str]], redis_server: RedisServer, long: bool
) -> None:
    """Everybody connects to another node each time, and comes back at another one: no walk is like another."""
    for _ in range(10 if long else 1):
        redis_url = redis_server.new_url()
        async with meeting_on(
            await database_urls(), js, nodes=3, redis_url=redis_url, recovery_grace_seconds=AWAY_SECONDS
        ) as meet:
            await walk_in(meet, None)


async def walk_in(meet: Meet, seed: int | None) -> None:
    """A whole walk."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"seed {seed}")  # noqa: T201 -- pytest shows it when the walk fails
    async with ClientSession() as session:
        host = await meet.person("host")
        places = [await meet.place(host, maxParticipants=CAPACITY, waitingRoom=True) for _ in range(2)]
        walk = Walk(meet, places, seed)
        everybody = await crowd(meet, session, host)
        started = monotonic()
        with walk.books.watching():
            await walk.begin(everybody)
            await walk.rest(everybody)
            await walk.compare(everybody)
            await walk.end(everybody)
        recovered = sum(one.recoveries for one in everybody)
        print(f"{monotonic() - started:.1f} s", dict(walk.said), dict(walk.books.outcomes), recovered)  # noqa: T201
        assert any(what.startswith("admit") for what in walk.said), "the host never let anybody in"
        for happened in ("joined", WAITING):
            assert walk.said[happened], f"the walk never came to: {happened}"
        assert recovered
        assert walk.books.outcomes["admitted"] >= walk.said["joined"] > 0
        for one in everybody:
            await one.quit()
