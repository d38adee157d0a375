"""WebRTC relay: only to the target, only within a room, untouched and in order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.meeting import OK, Meet, failure, locked
from tests.wire.raw import raw_socket

SDP = {"type": "offer", "sdp": "v=0\r\no=- 46117317 2 IN IP4 127.0.0.1\r\ns=-\r\na=ice-ufrag:F7gI\r\n"}
CANDIDATE = {
    "candidate": "candidate:842163049 1 udp 1677729535 192.0.2.1 3478 typ srflx",
    "sdpMid": "0",
    "sdpMLineIndex": 0,
    "usernameFragment": None,
}
RELAYED = ["offer", "answer", "ice-candidate"]


def payload(event: str, target: str, content: Any = None) -> dict[str, Any]:
    """What a client sends."""
    content = SDP if content is None else content
    return {"targetId": target, ("candidate" if event == "ice-candidate" else "sdp"): content}


async def test_offer_answer_and_candidate(meet: Meet) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina)
    guest = await meet.join(place, name="Gus")
    await host.unread()
    await member.unread()
    assert await member.ask("offer", payload("offer", guest.sid)) == OK
    assert await guest.ask("offer", payload("offer", member.sid)) == OK
    assert await guest.ask("answer", payload("answer", member.sid, {"type": "answer", "sdp": "v=0"})) == OK
    assert await member.ask("ice-candidate", payload("ice-candidate", guest.sid, CANDIDATE)) == OK
    assert await guest.unread() == [
        ("offer", {"senderId": member.sid, "userId": mina.id, "displayName": "Mina", "sdp": SDP}),
        ("ice-candidate", {"senderId": member.sid, "candidate": CANDIDATE}),
    ]
    assert await member.unread() == [
        ("offer", {"senderId": guest.sid, "userId": None, "displayName": "Gus", "sdp": SDP}),
        ("answer", {"senderId": guest.sid, "sdp": {"type": "answer", "sdp": "v=0"}}),
    ]
    assert await host.unread() == []


@pytest.mark.parametrize(
    "candidate", [None, "", {"candidate": ""}, {"candidate": "", "sdpMid": "0", "sdpMLineIndex": 0}]
)
async def test_the_end_of_candidates(meet: Meet, candidate: Any) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    sent = {"targetId": host.sid, "candidate": candidate}
    assert await guest.ask("ice-candidate", sent) == OK
    assert (await host.unread())[1:] == [("ice-candidate", {"senderId": guest.sid, "candidate": candidate})]


@pytest.mark.parametrize(
    "opaque",
    [
        "text",
        "",
        0,
        False,
        None,
        [],
        {},
        {"sdp": 'ü😀\u2028\x00"\\/', "extra": {"deep": [[[{"a": None}]]]}},
        {"b": 1, "a": {"d": 1, "c": [1.5, -0.25, 1e-7]}},
        {"__proto__": 1, "constructor": 2, "length": 3},
        "x" * 60_000,
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("event", ["offer", "answer"])
async def test_an_sdp_of_any_shape_is_forwarded_as_it_is(meet: Meet, event: str, opaque: Any) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    assert await guest.ask(event, {"targetId": host.sid, "sdp": opaque}) == OK
    ((name, got),) = await host.unread()
    assert name == event
    assert got["sdp"] == opaque
    if isinstance(opaque, dict):
        assert list(got["sdp"]) == list(opaque)


async def test_bytes_are_forwarded_as_they_are(meet: Meet) -> None:
    """Numbers beyond a double, order, doubled keys, blanks and escapes: nothing is decoded and encoded again."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    opaque = '{ "z":12345678901234567890,"a" : 1e400,"z":-0.0, "\\u0041":"\\u00fc\\/😀", "n":1.10}'
    async with raw_socket(meet.url) as sender, raw_socket(meet.url) as target:
        for socket in (sender, target):
            await socket.event("join-room", {"roomCode": place.code, "displayName": "Raw"}, ack=1)
            await socket.receive_until("431")
        await sender.receive_until('42["user-joined"')  # only then is the target known where the sender is
        await sender.send(f'42["offer",{{"targetId":"{target.sid}","sdp":{opaque}}}]')
        got = await target.receive_until('42["offer"')
        assert got[-1].endswith(f'"sdp":{opaque}}}]')
        await sender.send(f'42["ice-candidate",{{"targetId":"{target.sid}","candidate":{opaque}}}]')
        assert (await target.receive()).endswith(f'"candidate":{opaque}}}]')
        # … and the official client makes of them what it would make of them without a server.
        await sender.send(f'42["answer",{{"targetId":"{host.sid}","sdp":{opaque}}}]')
        seen = await host.next("answer")
        assert seen["sdp"] == {"z": 0, "a": {"$number": "Infinity"}, "A": "ü/😀", "n": 1.1}


async def test_two_hundred_candidates_keep_their_order(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await guest.unread()
    for number in range(200):
        guest.emit("ice-candidate", payload("ice-candidate", host.sid, {"candidate": f"to host {number}"}))
        member.emit("ice-candidate", payload("ice-candidate", host.sid, {"candidate": f"of member {number}"}))
        guest.emit(
            "ice-candidate", payload("ice-candidate", member.sid, {"candidate": f"to member {number}"})
        )
    await guest.sync()
    await member.sync()
    got = [(told["senderId"], told["candidate"]["candidate"]) for _, told in await host.unread()]
    assert [text for sender, text in got if sender == guest.sid] == [f"to host {n}" for n in range(200)]
    assert [text for sender, text in got if sender == member.sid] == [f"of member {n}" for n in range(200)]
    assert len(got) == 400
    assert [told["candidate"]["candidate"] for _, told in await member.unread()] == [
        f"to member {n}" for n in range(200)
    ]


async def test_slow_events_of_a_socket_do_not_hold_up_its_candidates(meet: Meet) -> None:
    """A candidate passes a chat message that waits for the database, and keeps its place behind its offer."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    async with locked(meet, "Message") as writing:
        said = guest.request("chat-message", {"roomId": place.id, "content": "slow"})
        await writing()
        guest.emit("offer", payload("offer", host.sid))
        assert await guest.ask("ice-candidate", payload("ice-candidate", host.sid, CANDIDATE)) == OK
        assert [name for name, _ in await host.unread()] == ["offer", "ice-candidate"]
    assert (await said)[0]["success"] is True
    assert [name for name, _ in await host.unread()] == ["chat-message"]


@pytest.mark.parametrize("event", RELAYED)
async def test_targets_that_are_refused(meet: Meet, event: str) -> None:
    place, other = await meet.place(), await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    stranger = await meet.join(other)
    outside = await meet.connect()
    ida = await meet.person("Ida")
    left = await meet.join(place, ida)
    await left.ask("leave-room", {"roomId": place.id})
    await host.unread()
    await guest.unread()
    for target in (
        stranger.sid,
        outside.sid,
        left.sid,
        guest.sid,
        place.id,
        place.code,
        place.host.id,
        "nobody",
        "x" * 128,
    ):
        answer = await guest.ask(event, payload(event, target))
        assert answer == failure("Participant not found"), target
    for target in ("", "x" * 129, None, 7, [host.sid], {"a": 1}):
        assert await guest.ask(event, payload(event, target)) == failure("Invalid request")  # type: ignore[arg-type]
    for sender in (outside, left):
        assert await sender.ask(event, payload(event, host.sid)) == failure("Not in this room")
    assert await stranger.ask(event, payload(event, host.sid)) == failure("Participant not found")
    for client in (host, guest, stranger, outside, left):
        assert await client.unread() == []


async def test_refusals_are_counted(meet: Meet) -> None:
    place = await meet.place()
    guest = await meet.join(place)
    before = meet.refused["TARGET_NOT_IN_ROOM"]
    guest.emit("offer", payload("offer", "nobody"))
    await guest.sync()
    assert meet.refused["TARGET_NOT_IN_ROOM"] == before + 1


@pytest.mark.parametrize("event", RELAYED)
async def test_a_relay_without_content_is_refused(meet: Meet, event: str) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    assert await guest.ask(event, {"targetId": host.sid}) == failure("Invalid request")
    assert await host.unread() == []


@pytest.mark.parametrize("event", RELAYED)
async def test_a_sender_that_is_claimed_is_ignored(meet: Meet, event: str) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    assert await guest.ask(event, {**payload(event, host.sid), "senderId": "forged"}) == OK
    assert (await host.next(event))["senderId"] == guest.sid


async def test_an_offer_follows_the_news_of_its_sender(meet: Meet) -> None:
    """What the joiner sends in the very moment of its join comes after `user-joined` at the other side."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    for _ in range(10):
        guest = await meet.connect()
        guest.emit("join-room", {"roomCode": place.code, "displayName": "Gus"})
        for number in range(3):
            guest.emit(
                "ice-candidate" if number else "offer",
                payload("ice-candidate" if number else "offer", host.sid),
            )
        await guest.ask("leave-room", {"roomId": place.id})
        told = [name for name, _ in await host.unread()]
        assert told == ["user-joined", "offer", "ice-candidate", "ice-candidate", "user-left"]
