"""Meetings that begin and end, and the people in them: official JavaScript clients, who come back by themselves."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import ClientError

from neuron_meet.errors import ROOM_NOT_ACTIVE
from tests.process.visitor import Visitor
from tests.soak.hour import Hour, Pace
from tests.wire.clients import Client, ConnectionRefused, Driver

RETURNING = {"reconnection": True, "reconnectionDelay": 200, "reconnectionDelayMax": 2000}
PATIENCE_SECONDS = 60.0
AWAY = (ClientError, OSError, ValueError)
"""What REST gives while a node is being restarted: ValueError for nginx's own page, which is no JSON."""


class Attendee:
    """One in a meeting."""

    def __init__(self, client: Client, room: dict[str, Any], done: Counter[str]) -> None:
        self.client, self.room, self._done = client, room, done
        self._following = asyncio.create_task(self._follow())

    async def join(self) -> bool:
        """Until it succeeds, as a front end does; False where the meeting is over."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with suppress(AssertionError):  # the answer was lost on the way
                    asked = {"roomCode": self.room["code"], "displayName": "Guest"}
                    answer = await self.client.ask("join-room", asked)
                    if answer["success"] is True:
                        return True
                    if answer["error"] == ROOM_NOT_ACTIVE.message:
                        return False
                await asyncio.sleep(0.2)

    async def _follow(self) -> None:
        while True:
            try:
                opening = await self.client.next("$connected")
            except AssertionError:  # not in the last seconds
                self.client.forget()
                continue
            self.client.opening = opening
            self._done["returns recovered" if opening["recovered"] else "returns anew"] += 1
            if not opening["recovered"]:
                await self.join()

    async def say(self) -> None:
        await self._ask("chat-message", {"roomId": self.room["id"], "content": "x" * random.randint(5, 200)})
        self._done["messages"] += 1

    async def toggle(self) -> None:
        event, field = random.choice(
            [("toggle-audio", "enabled"), ("toggle-video", "enabled"), ("toggle-hand-raise", "raised")]
        )
        await self._ask(event, {"roomId": self.room["id"], field: random.random() < 0.5})
        self._done["toggles"] += 1

    async def _ask(self, event: str, payload: dict[str, Any]) -> None:
        try:
            answer = await self.client.ask(event, payload)
        except AssertionError:
            self._done["without an answer"] += 1
        else:
            if not answer["success"]:
                self._done["refused"] += 1

    def greet(self, other: Attendee, candidates: int) -> None:
        """What two browsers send each other when they meet."""
        sdp = "v=0\r\n" + "a=x-soak\r\n" * 300
        self.client.emit("offer", {"targetId": other.client.sid, "sdp": {"type": "offer", "sdp": sdp}})
        other.client.emit("answer", {"targetId": self.client.sid, "sdp": {"type": "answer", "sdp": sdp}})
        for one, two in ((self, other), (other, self)):
            for number in range(candidates):
                candidate = {"candidate": f"candidate:{number} 1 udp 2130706431 192.0.2.1 50000 typ host"}
                one.client.emit("ice-candidate", {"targetId": two.client.sid, "candidate": candidate})
        self._done["relays"] += 2 * candidates + 2

    async def drop(self) -> None:
        """The connection is gone; the client comes back by itself."""
        self._done["drops with return"] += 1
        self.client.kill()

    async def vanish(self) -> None:
        """The connection is gone, and the client with it."""
        self._done["drops without return"] += 1
        self.client.kill()
        await self.end()

    async def leave(self, *, ended: bool) -> None:
        """By leaving the room first, or by going, as one does where the meeting has been ended."""
        if not ended and random.random() < 0.5:
            await self._ask("leave-room", {"roomId": self.room["id"]})
        await self.end()

    async def end(self) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])
        self.client.disconnect()


class Meetings:
    """So many at a time, one after the other in each room's place, until they are told to stop."""

    def __init__(self, js: Driver, url: str, hosts: list[Visitor], hour: Hour, pace: Pace) -> None:
        self._js, self._url, self._hour, self._pace = js, url, hour, pace
        self._hosts = itertools.cycle(hosts)
        self._stop = asyncio.Event()
        self.done: Counter[str] = Counter()

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Meetings as long as the block; at its end all of them end."""
        tasks = [asyncio.create_task(self._one_after_the_other(n)) for n in range(self._hour.rooms)]
        try:
            yield
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)

    async def _one_after_the_other(self, number: int) -> None:
        # Not all at the same moment: as if they had been going on for long.
        length = self._pace.seconds(self._hour.meeting_minutes)
        seconds = length * (number + 1) / self._hour.rooms
        while not self._stop.is_set():
            await self._meeting(seconds)
            seconds = length * random.uniform(0.8, 1.2)

    async def _meeting(self, seconds: float) -> None:
        host = next(self._hosts)
        room = await self._room(host) | {"ended": False}
        present: list[Attendee] = []
        over = asyncio.Event()
        people = [asyncio.create_task(self._person(room, present, over)) for _ in range(self._hour.people)]
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        room["ended"] = random.random() < 0.5
        if room["ended"]:
            with suppress(*AWAY):
                await host.call("DELETE", f"/api/rooms/{room['id']}")
        over.set()
        await asyncio.gather(*people)
        self.done["meetings"] += 1

    async def _room(self, host: Visitor) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with suppress(*AWAY):
                    status, room = await host.call("POST", "/api/rooms", {})
                    if status == 201:
                        return room
                await asyncio.sleep(0.2)

    async def _person(self, room: dict[str, Any], present: list[Attendee], over: asyncio.Event) -> None:
        """One place in a meeting: who is lost is followed by another."""
        while not over.is_set():
            attendee = await self._arrival(room)
            if attendee is None:
                return
            for other in present:
                attendee.greet(other, self._hour.candidates)
            present.append(attendee)
            lost = await self._stay(attendee, over)
            present.remove(attendee)
            if not lost:
                await attendee.leave(ended=room["ended"])

    async def _arrival(self, room: dict[str, Any]) -> Attendee | None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    client = await self._js.connect(self._url, auth={}, **RETURNING)
                except (ConnectionRefused, AssertionError):
                    await asyncio.sleep(0.2)
                    continue
                break
        attendee = Attendee(client, room, self.done)
        if not await attendee.join():
            await attendee.end()
            return None
        self.done["joins"] += 1
        return attendee

    async def _stay(self, attendee: Attendee, over: asyncio.Event) -> bool:
        """Do what people do until the meeting is over; True where they were lost before that."""
        hour = self._hour
        weights = (
            hour.messages, hour.toggles, hour.drops * (1 - hour.share_lost), hour.drops * hour.share_lost,
        )  # fmt: skip
        rate = self._pace.rate(sum(weights))
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), random.expovariate(rate))
                return False
            (act,) = random.choices((attendee.say, attendee.toggle, attendee.drop, attendee.vanish), weights)
            await act()
            if act == attendee.vanish:
                return True
