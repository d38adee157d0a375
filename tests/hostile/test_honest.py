"""What people do who mean no harm: under a server's defaults nobody is refused anything, and nobody is disconnected."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.hostile.people import Person
from tests.process.program import serving
from tests.recovery.proxy import proxied
from tests.security.witness import call
from tests.wire.clients import Driver

BURST_PEOPLE = 100
BURST_AT_ONCE = 20
PEERS = 5
"""How many of the others each newcomer calls in the burst; one calls all 99."""
CANDIDATES = 30
COMPANY, COMPANY_SECONDS, COMPANY_ROOM = 500, 55.0, 25
KEYS = {"a key that is held": 31, "one that repeats quickly": 60}
KEY_SECONDS, LONG_KEY_SECONDS = 8.0, 20.0
"""At 60 a second, a server that counts each of them as impatience has had enough of it after six seconds."""
BAD_LINE_SECONDS, LONG_BAD_LINE_SECONDS = 3.0, 30.0
DELAYS = (0.15, 0.4, 0.0)
"""Seconds that each piece takes longer on the bad line, by turns."""
SDP = {"type": "offer", "sdp": "v=0\r\n" + "a=x\r\n" * 480}
"""2.4 kB, as a browser's with audio and video."""
CANDIDATE = {"candidate": "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx", "sdpMid": "0"}


@pytest.fixture
def long() -> bool:
    """Whether this is the long form."""
    return os.environ.get("HOSTILE") == "long"


@asynccontextmanager
async def default_server(folder: Path, database_url: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server as in production, nothing else set; its address, and rooms."""
    secret = secrets.token_urlsafe(48)
    settings = {
        "DATABASE_URL": database_url,
        "NODE_ENV": "production",
        "HOST": "127.0.0.1",
        "JWT_SECRET": secret,
    }
    async with serving(folder, **settings) as program:
        async with ClientSession(program.url) as session:
            account = {"email": "host@example.com", "password": "a password for it", "displayName": "Host"}
            token = (await call(session, "/api/auth/register", account))["accessToken"]
            wanted = {"name": "Honest", "maxParticipants": 100}
            rooms = [
                await call(session, "/api/rooms", wanted, token) for _ in range(COMPANY // COMPANY_ROOM + 1)
            ]
        yield program.url, rooms


async def arrive(url: str, code: str, name: str) -> Person:
    """Somebody comes in."""
    person = Person(name)
    await person.connect(url)
    await person.join(code)
    return person


async def until_heard(person: Person, event: str, count: int) -> None:
    """Return when it has heard so many of these, or is unhappy."""
    async with asyncio.timeout(60):
        while person.heard[event] < count and not person.unhappy:
            await asyncio.sleep(0.01)


def content(people: list[Person]) -> None:
    """Everybody has seen nothing but what they should."""
    assert [f"{person.name} {what}" for person in people for what in person.unhappy] == []


async def opening_burst(url: str, room: dict[str, Any]) -> None:
    """A hundred people come in from one address within seconds, and call each other as a mesh front end does."""
    people: list[Person] = []
    expected: dict[str, int] = {}

    async def calls(person: Person, others: list[Person]) -> None:
        for other in others:
            expected[other.sid] = expected.get(other.sid, 0) + 1
            answer = person.request("offer", {"targetId": other.sid, "sdp": SDP})
            for _ in range(CANDIDATES):
                person.emit("ice-candidate", {"targetId": other.sid, "candidate": CANDIDATE})
            async with asyncio.timeout(60):
                said = await answer
            if not said["success"]:
                person.unhappy.append(f"an offer was refused: {said['error']}")

    async def comes(number: int) -> None:
        person = await arrive(url, room["code"], f"Person {number}")
        present = list(people)
        people.append(person)
        await calls(person, present[-PEERS:])

    for start in range(0, BURST_PEOPLE, BURST_AT_ONCE):
        await asyncio.gather(*(comes(number) for number in range(start, start + BURST_AT_ONCE)))
    await calls(people[-1], people[:-1])
    for person in people:
        await until_heard(person, "offer", expected.get(person.sid, 0))
        await until_heard(person, "ice-candidate", CANDIDATES * expected.get(person.sid, 0))
        assert person.heard["offer"] == expected.get(person.sid, 0), person.unhappy
        assert person.heard["ice-candidate"] == CANDIDATES * expected.get(person.sid, 0), person.unhappy
    content(people)
    for person in people:
        person.leave()


async def held_keys(url: str, room: dict[str, Any], seconds: float) -> None:
    """Typing events as fast as a keyboard repeats, and twice as fast; then they stop, and say something."""
    reader = await arrive(url, room["code"], "Reader")
    typists = [await arrive(url, room["code"], name) for name in KEYS]

    async def hold(person: Person, a_second: float) -> None:
        began, loop, pressed = asyncio.get_running_loop().time(), asyncio.get_running_loop(), 0
        while loop.time() - began < seconds and not person.unhappy:
            while pressed < (loop.time() - began) * a_second:
                person.emit("typing-start", {"roomId": room["id"]})
                pressed += 1
            await asyncio.sleep(1 / a_second)
        content([person])
        await person.ask("typing-stop", {"roomId": room["id"]})
        said = await person.ask("chat-message", {"roomId": room["id"], "content": "That was a long word."})
        assert said["success"] is True

    await asyncio.gather(*(hold(person, rate) for person, rate in zip(typists, KEYS.values(), strict=True)))
    await until_heard(reader, "chat-message", len(KEYS))
    content([reader, *typists])
    assert reader.heard["user-typing"] >= 2 * len(KEYS)
    for person in (reader, *typists):
        person.leave()


async def bad_line(url: str, room: dict[str, Any], js: Driver, seconds: float) -> None:
    """A phone whose line is slow, and then slower, in a meeting that goes on; it hears everything, in order."""
    talker = await arrive(url, room["code"], "Talker")
    async with proxied(url) as (line, address):
        line.delay = DELAYS[0]
        phone = await js.connect(address)
        assert (await phone.ask("join-room", {"roomCode": room["code"], "displayName": "Phone"}))[
            "success"
        ] is True
        began, loop, said = asyncio.get_running_loop().time(), asyncio.get_running_loop(), 0
        while loop.time() - began < seconds:
            line.delay = DELAYS[said % len(DELAYS)]
            await talker.ask("offer", {"targetId": phone.sid, "sdp": {"n": said, **SDP}})
            answer = await phone.ask("offer", {"targetId": talker.sid, "sdp": {"n": said}})
            assert answer["success"] is True, answer
            said += 1
        line.delay = 0.0
        heard = await phone.unread()
        assert [payload["sdp"]["n"] for name, payload in heard if name == "offer"] == list(range(said))
        assert [name for name, _ in heard if name.startswith(("$dis", "error", "force"))] == []
        assert line.accepted == 1, "it had to connect again"
        phone.disconnect()
    content([talker])
    talker.leave()


async def test_honest_people_are_refused_nothing(
    tmp_path: Path, database_url: str, js: Driver, long: bool
) -> None:
    async with default_server(tmp_path, database_url) as (url, rooms), asyncio.TaskGroup() as group:
        group.create_task(opening_burst(url, rooms[0]))
        group.create_task(held_keys(url, rooms[1], LONG_KEY_SECONDS if long else KEY_SECONDS))
        group.create_task(bad_line(url, rooms[2], js, LONG_BAD_LINE_SECONDS if long else BAD_LINE_SECONDS))


async def test_a_company_behind_one_address(tmp_path: Path, database_url: str, long: bool) -> None:
    """Five hundred join within a minute, and say something; in the short form as many a second, a tenth of them."""
    count = COMPANY if long else COMPANY // 10
    async with default_server(tmp_path, database_url) as (url, rooms):

        async def comes(number: int) -> Person:
            await asyncio.sleep(number * COMPANY_SECONDS / COMPANY)
            room = rooms[number // COMPANY_ROOM]
            person = await arrive(url, room["code"], f"Employee {number}")
            await person.ask("toggle-audio", {"roomId": room["id"], "enabled": False})
            await person.ask("chat-message", {"roomId": room["id"], "content": "Good morning."})
            return person

        people = await asyncio.gather(*(comes(number) for number in range(count)))
        content(list(people))
        for person in people:
            person.leave()
