"""The attack walk: what Mallory, who has an account and reads what is public, tries against Alice's meeting.

Each attempt fails, and what Mallory gets to see is asserted. All of it runs under the default limits.
"""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from neuron_meet.rooms.codes import new_room_code
from tests.security.door import DENIED, WAITING, deny, names
from tests.wire.clients import Client, Driver
from tests.wire.meeting import OK, SECRET, Meet, Person, Place, enter, failure, gone, meeting_on

AUTH_ERROR = (
    "auth-error",
    {"code": "INVALID_TOKEN", "message": "Your session has expired. Please sign in again."},
)


@dataclass
class Scene:
    """Alice's meeting with Bob and a guest, and Mallory outside."""

    meet: Meet
    place: Place
    alice: Client
    bob: Client
    guest: Client
    bob_account: Person
    mallory: Person

    async def public(self) -> dict[str, Any]:
        """The room's public page: Alice's account id is on it."""
        status, page = await self.meet.rest("GET", f"/api/rooms/code/{self.place.code}")
        assert (status, page["host"]["id"]) == (200, self.place.host.id)
        return page

    async def nobody_noticed(self) -> None:
        """Nothing has reached those in the meeting; all of them are in it."""
        for client in (self.alice, self.bob, self.guest):
            assert await client.unread() == []
        assert set(self.meet.present(self.place)) == {self.alice.sid, self.bob.sid, self.guest.sid}


@pytest.fixture
async def scene(js: Driver, shared_database: str) -> AsyncIterator[Scene]:
    """A server with its default limits and recovery on."""
    async with meeting_on(shared_database, js, rate_limit_enabled=True, recovery_grace_seconds=15) as meet:
        alice, bob, mallory = [await meet.person(name) for name in ("Alice", "Bob", "Mallory")]
        place = await meet.place(alice)
        clients = [
            await meet.join(place, alice),
            await meet.join(place, bob),
            await meet.join(place, name="Gus"),
        ]
        for client in clients:
            await client.unread()
        yield Scene(meet, place, *clients, bob, mallory)


def forged(claims: dict[str, Any], key: str, algorithm: str = "HS256") -> str:
    """A token of Mallory's own making."""
    return jwt.encode(claims, key, algorithm)


async def test_be_the_host_by_what_is_public(scene: Scene) -> None:
    """Alice's id in the handshake and in the join: a guest like any other, who may not even mute."""
    page = await scene.public()
    client = await scene.meet.connect(auth={"userId": page["host"]["id"], "displayName": "Alice"})
    ack = await enter(client, scene.place, "Alice", userId=page["host"]["id"])
    assert (ack["success"], ack["isHost"]) == (True, False)
    seen = (await scene.alice.next("user-joined"))["participant"]
    assert (seen["userId"], seen["isHost"]) == (None, False)
    for event in ("mute-participant", "remove-participant", "admit-participant", "deny-participant"):
        request = {"roomId": scene.place.id, "targetId": scene.bob.sid}
        assert await client.ask(event, request) == failure("Not authorized")
    locking = {"roomId": scene.place.id, "locked": True}
    assert await client.ask("lock-room", locking) == failure("Not authorized")
    client.disconnect()
    for member in (scene.alice, scene.bob, scene.guest):
        await member.next("user-left")
    await scene.bob.next("user-joined")
    await scene.guest.next("user-joined")
    await scene.nobody_noticed()


async def test_be_the_host_by_a_forged_token(scene: Scene) -> None:
    """Unsigned, signed with another secret, another algorithm, expired, without expiry: a guest, told so."""
    alice, now = scene.place.host.id, int(time.time())
    good = {"sub": alice, "email": "alice@example.com", "iat": now, "exp": now + 3600}
    head, body, signature = forged(good, SECRET).split(".")
    tokens = [
        forged(good, "", "none"),
        forged(good, secrets.token_urlsafe(32)),
        forged(good, SECRET * 2, "HS512"),
        forged(good | {"exp": now - 1}, SECRET),
        forged({"sub": alice}, SECRET),
        f"{head}.{body}.",
        f"{head}.{forged(good | {'sub': 'x'}, 'k' * 32).split('.')[1]}.{signature}",
        scene.mallory.token + "x",
        "null",
    ]
    for token in tokens:
        client = await scene.meet.connect(auth={"token": token, "userId": alice})
        assert await client.unread() == [AUTH_ERROR], token
        request = {"roomId": scene.place.id, "targetId": scene.bob.sid}
        assert await client.ask("remove-participant", request) == failure("Not authorized")
        status, _ = await scene.meet.rest("GET", "/api/auth/me", Person(alice, "Alice", token))
        assert status == 401
    await scene.nobody_noticed()


async def test_take_over_the_hosts_socket(scene: Scene) -> None:
    """Everybody knows Alice's socket id; it claims nothing. Her pid does, and only together with her token.

    A pid is 144 random bits. At 600 connections a minute from one address (the default limit), and with a million
    addresses, guessing one of a million live pids takes 2^144 / 10^6 / (6·10^8 a minute), some 10^22 years.
    """
    sid, connection = scene.alice.sid, scene.meet.server.sockets.connections[scene.alice.sid]
    assert connection.pid is not None
    assert len(connection.pid) * 6 >= 144
    guesses = [
        sid,
        connection.pid[:-1],
        connection.pid.swapcase(),
        secrets.token_urlsafe(18),
        "",
        None,
        [sid],
        {},
    ]
    for guess in guesses:
        client = await scene.meet.connect(auth={"pid": guess, "offset": "", "token": scene.mallory.token})
        assert client.sid != sid
    # Had Mallory stolen the pid itself (it is never sent to anybody but Alice): the account must be hers as well.
    for auth in ({}, {"token": scene.mallory.token}, {"userId": scene.place.host.id}):
        thief = await scene.meet.connect(auth={"pid": connection.pid, "offset": "", **auth})
        assert thief.sid != sid
        assert await thief.unread() == []
    # The id of an Engine.IO session is another one, and secret: the socket's does not open its mailbox.
    async with scene.meet._session.get(
        f"{scene.meet.server.url}/socket.io/?EIO=4&transport=polling&sid={sid}"
    ) as mailbox:
        assert (mailbox.status, await mailbox.text()) == (400, '{"code":1,"message":"Session ID unknown"}')
    await scene.nobody_noticed()


async def test_speak_as_somebody_else(scene: Scene) -> None:
    """From outside, with fields that name another sender, or under another's name: refused, or plainly Mallory's."""
    outside = await scene.meet.connect(scene.mallory)
    said = {"roomId": scene.place.id, "content": "I am Alice"}
    assert await outside.ask("chat-message", said) == failure("Not in this room")
    assert (await enter(outside, scene.place, "Alice"))["success"] is True
    for extra in ({"senderId": scene.alice.sid}, {"senderName": "Alice"}, {"userId": scene.place.host.id}):
        assert (await outside.ask("chat-message", said | extra))["success"] is True
        heard = await scene.bob.next("chat-message")
        assert (heard["senderId"], heard["user"]["id"]) == (outside.sid, scene.mallory.id)
    for event, field in (("offer", "sdp"), ("answer", "sdp"), ("ice-candidate", "candidate")):
        relayed = {"targetId": scene.bob.sid, field: "x"}
        assert await outside.ask(event, relayed | {"senderId": scene.alice.sid}) == OK
        assert (await scene.bob.next(event))["senderId"] == outside.sid


async def test_lock_or_empty_somebody_elses_room(scene: Scene) -> None:
    """As the host of a room of one's own, over the socket and over REST; and by taking over seats."""
    own = await scene.meet.place(scene.mallory)
    client = await scene.meet.join(own, scene.mallory)
    for room_id in (scene.place.id, scene.place.code):
        for event, fields in (
            ("lock-room", {"locked": True}),
            ("remove-participant", {"targetId": scene.bob.sid}),
            ("mute-participant", {"targetId": scene.bob.sid}),
            ("toggle-audio", {"enabled": False}),
        ):
            assert await client.ask(event, {"roomId": room_id, **fields}) == failure("Not in this room")
    aimed = {"roomId": own.id, "targetId": scene.bob.sid}
    assert await client.ask("remove-participant", aimed) == failure("Participant not found")
    path = f"/api/rooms/{scene.place.id}"
    for method, where, body, text in (
        ("PATCH", path + "/settings", {"isLocked": True}, "Only the host can update room settings"),
        ("DELETE", path, None, "Only the host can end the room"),
    ):
        status, said = await scene.meet.rest(method, where, scene.mallory, body)
        assert (status, said["message"]) == (403, text)
    seat = await scene.meet.connect(scene.mallory)
    assert (await enter(seat, scene.place, userId=scene.bob_account.id))["success"] is True
    assert scene.bob.sid in scene.meet.present(scene.place)  # a claimed id takes nobody's place
    assert names(await scene.bob.unread()) == ["user-joined"]


async def test_read_what_is_said(scene: Scene) -> None:
    """Over REST without having been there; by listening from next door, or from the door itself."""
    for what in ("messages", "participants"):
        status, said = await scene.meet.rest("GET", f"/api/rooms/{scene.place.id}/{what}", scene.mallory)
        assert (status, said["message"]) == (404, "Room not found")
        status, _ = await scene.meet.rest("GET", f"/api/rooms/{scene.place.id}/{what}")
        assert status == 401
    next_door = await scene.meet.join(await scene.meet.place(scene.mallory), scene.mallory)
    await scene.meet.patch(scene.place, waitingRoom=True)
    at_the_door = await scene.meet.connect()
    assert (await enter(at_the_door, scene.place, "Fly"))["waiting"] is True
    await at_the_door.unread()
    assert (await scene.bob.ask("chat-message", {"roomId": scene.place.id, "content": "secret"}))[
        "success"
    ] is True
    assert await next_door.unread() == await at_the_door.unread() == []


async def test_spam_somebody(scene: Scene) -> None:
    """From outside nothing arrives; inside a flood is cut off, and the flooder with it."""
    outside = await scene.meet.connect(scene.mallory)
    for event, field in (("offer", "sdp"), ("answer", "sdp"), ("ice-candidate", "candidate")):
        assert await outside.ask(event, {"targetId": scene.bob.sid, field: "x"}) == failure(
            "Not in this room"
        )
    await scene.nobody_noticed()
    assert (await enter(outside, scene.place))["success"] is True
    started = time.monotonic()
    for _ in range(1000):
        outside.emit("chat-message", {"roomId": scene.place.id, "content": "spam"})
    await outside.next("$disconnected")
    await scene.bob.next("user-left")
    spam = [name for name, _ in await scene.bob.unread() if name == "chat-message"]
    assert len(spam) <= 16 + 3 * (time.monotonic() - started)
    assert outside.sid not in scene.meet.present(scene.place)


async def test_get_in_where_one_is_not_let_in(scene: Scene) -> None:
    """Locked, full, waiting, denied, removed: joining again, in a crowd, under other claims gives the same answer."""
    meet, place = scene.meet, scene.place

    async def tries(text: str) -> None:
        sockets = [
            await meet.connect(scene.mallory),
            await meet.connect(auth={"userId": place.host.id}),
            await meet.connect(auth={"token": scene.mallory.token, "capabilities": ["host", "admin"]}),
        ]
        claims = {"userId": place.host.id}
        acks = await asyncio.gather(
            *(enter(one, place, "Mallory", **claims) for one in sockets for _ in range(6))
        )
        assert {ack["error"] for ack in acks} == {text}
        assert {one.sid for one in sockets}.isdisjoint(meet.present(place))
        for one in sockets:
            one.disconnect()

    assert await scene.alice.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
    await tries("Room is locked")
    assert await scene.alice.ask("lock-room", {"roomId": place.id, "locked": False}) == OK
    await meet.patch(place, maxParticipants=3)
    await tries("Room is full")
    await meet.patch(place, maxParticipants=50, waitingRoom=True)
    await tries(WAITING)
    knocker = await meet.connect(scene.mallory)
    assert (await enter(knocker, place, "Mallory"))["waiting"] is True
    assert await deny(scene.alice, place, knocker) == OK
    assert await enter(await meet.connect(scene.mallory), place, "Other name") == failure(DENIED)
    await meet.patch(place, waitingRoom=False)
    assert (await enter(knocker, place))["success"] is True
    removal = {"roomId": place.id, "targetId": knocker.sid}
    assert await scene.alice.ask("remove-participant", removal) == OK
    text = "You were removed from this meeting"
    assert await enter(await meet.connect(scene.mallory), place, "Other name") == failure(text)
    assert (await scene.bob.unread())[-1] == gone(knocker, scene.mallory)


async def test_guess_a_room_code(scene: Scene) -> None:
    """A code has nine of 26 letters: 26^9 = 5.4·10^12. At 600 joins a minute from one address, and with a thousand
    rooms alive, a hit takes 5.4·10^12 / 1000 / 600 minutes: 17 years; and it opens an unlocked room without a waiting
    room at most. Looking codes up over REST has a limit of its own.
    """
    assert len(string.ascii_lowercase) ** 9 / 1000 / 600 / (60 * 24 * 365) > 15
    sockets = [await scene.meet.connect() for _ in range(35)]
    joins = [
        one.ask("join-room", {"roomCode": new_room_code(), "displayName": "x"})
        for one in sockets
        for _ in range(20)
    ]
    started = time.monotonic()
    answers = [ack["error"] for ack in await asyncio.gather(*joins)]
    assert set(answers) == {"Room not found", "Too many requests"}
    assert answers.count("Room not found") <= 601 + 10 * (time.monotonic() - started)
    await scene.nobody_noticed()
