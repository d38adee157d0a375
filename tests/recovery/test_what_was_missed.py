"""What happened meanwhile: everything once and in order, to the room and to one; typing not; too much is too much."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from neuron_meet.realtime import connection as kept_for_a_return
from tests.recovery.away import claim, events_until_answer, go_away, join_raw, names
from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, enter, gone
from tests.wire.raw import raw_connection


async def test_room_events_and_direct_ones_in_one_order(meet: Meet) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    peer = await meet.join(place, name="Peer")
    member = await meet.join(place, mina)
    here = {"roomId": place.id}
    await go_away(meet, member)
    for number in range(3):
        peer.emit("ice-candidate", {"targetId": member.sid, "candidate": {"candidate": f"first {number}"}})
    peer.emit("offer", {"targetId": member.sid, "sdp": {"type": "offer", "sdp": "v=0"}})
    peer.emit("toggle-audio", {**here, "enabled": False})
    await peer.sync()
    assert await host.ask("mute-participant", {**here, "targetId": member.sid}) == OK
    assert (await host.ask("chat-message", {**here, "content": "one"}))["success"] is True
    assert await host.ask("lock-room", {**here, "locked": True}) == OK
    assert await host.ask("lock-room", {**here, "locked": False}) == OK
    newcomer = await meet.join(place, name="New")
    newcomer.emit("offer", {"targetId": member.sid, "sdp": "from the newcomer"})
    newcomer.emit("ice-candidate", {"targetId": member.sid, "candidate": None})
    await newcomer.sync()
    assert await peer.ask("leave-room", here) == OK
    assert await member.reconnect() is True
    events = await member.unread()
    assert names(events) == [
        *["ice-candidate"] * 3,
        "offer",
        "user-toggle-audio",
        "force-mute",
        "user-toggle-audio",
        "chat-message",
        "room-locked",
        "room-locked",
        "user-joined",
        "offer",
        "ice-candidate",
        "user-left",
    ]
    payloads = [payload for _, payload in events]
    assert [payload["candidate"]["candidate"] for payload in payloads[:3]] == [
        "first 0",
        "first 1",
        "first 2",
    ]
    assert payloads[3] == {
        "senderId": peer.sid,
        "userId": None,
        "displayName": "Peer",
        "sdp": {"type": "offer", "sdp": "v=0"},
    }
    assert payloads[4] == {"socketId": peer.sid, "enabled": False}
    assert payloads[6] == {"socketId": member.sid, "enabled": False}
    assert payloads[10]["participant"]["socketId"] == newcomer.sid
    assert payloads[11]["sdp"] == "from the newcomer"
    assert payloads[12] == {"senderId": newcomer.sid, "candidate": None}
    assert events[13] == gone(peer)
    # And once only: the next return brings nothing of it again.
    await go_away(meet, member)
    assert await member.reconnect() is True
    assert await member.unread() == []


async def test_what_the_network_swallowed_after_it_was_sent(meet: Meet) -> None:
    """The server believes it delivered; the client never got it. Its offset says so."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_connection(meet.server.url) as first:
        opening = await claim(first)
        offset = await join_raw(first, place.code)
        for number in range(5):
            await host.ask("chat-message", {"roomId": place.id, "content": str(number)})
        seen = (await first.receive_until('42["chat-message"'))[-1]
        assert '"content":"0"' in seen
        async with raw_connection(meet.server.url) as second:
            again = await claim(second, pid=opening["pid"], offset=offset)
            assert again == opening
            packets = await events_until_answer(second)
            # The ack of the join has no offset: it comes once more, and the JS client passes over it.
            assert packets[0].startswith("431[")
            assert [f'"content":"{number}"' in packet for number, packet in enumerate(packets[1:])] == [
                True
            ] * 5
            assert names(await host.unread()) == ["user-joined", *["chat-message"] * 5]


async def test_acks_of_what_the_server_acted_upon(meet: Meet) -> None:
    """Sent, acted upon, dropped before the answer: the answer comes with the return, and nothing is done twice."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with AsyncExitStack() as network:
        first = await network.enter_async_context(raw_connection(meet.server.url))
        opening = await claim(first)
        offset = await join_raw(first, place.code)
        await host.unread()
        await first.event("chat-message", {"roomId": place.id, "content": "once"}, ack=7)
        await first.event("toggle-hand-raise", {"roomId": place.id, "raised": True}, ack=8)
        assert (await host.next("chat-message"))["content"] == "once"
        await host.next("user-hand-raised")
        second = await network.enter_async_context(raw_connection(meet.server.url))
        assert await claim(second, pid=opening["pid"], offset=offset) != {}
        packets = await events_until_answer(second)
        assert sorted(packet.split("[")[0] for packet in packets) == ["42", "431", "437", "438"]
        [answer] = [packet for packet in packets if packet.startswith("437")]
        assert '"success":true' in answer
        assert '"content":"once"' in answer
    rows = await meet.sql('SELECT content FROM "Message" WHERE "roomId" = $1', place.id)
    assert [row["content"] for row in rows] == ["once"]


async def test_what_was_sent_while_away_is_done_after_the_return(meet: Meet) -> None:
    """socket.io-client keeps what is emitted while it is disconnected, and sends it when it is connected."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    await go_away(meet, guest)
    answers = [guest.request("chat-message", {"roomId": place.id, "content": str(n)}) for n in range(3)]
    assert await guest.reconnect() is True
    assert [(await answer)[0]["message"]["content"] for answer in answers] == ["0", "1", "2"]
    assert [(name, payload["content"]) for name, payload in await host.unread()] == [
        ("chat-message", str(n)) for n in range(3)
    ]
    assert names(await guest.unread()) == ["chat-message"] * 3


async def test_typing_is_not_replayed(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await host.unread()
    await go_away(meet, guest)
    assert await host.ask("typing-start", {"roomId": place.id}) == OK
    assert (await host.ask("chat-message", {"roomId": place.id, "content": "done"}))["success"] is True
    assert await guest.reconnect() is True
    assert names(await guest.unread()) == ["chat-message"]
    # Whoever types and drops is not shown as typing for ever.
    assert await guest.ask("typing-start", {"roomId": place.id}) == OK
    await go_away(meet, guest)
    assert (await host.next("user-typing"))["isTyping"] is True
    assert (await host.next("user-typing"))["isTyping"] is False
    assert await guest.reconnect() is True


@pytest.mark.parametrize("limit", ["MAX_KEPT_FRAMES", "MAX_KEPT_BYTES"])
async def test_who_missed_too_much_starts_anew(
    meet: Meet, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """More than is kept: not recovered, and the old place is free at once, for a room with no place to spare too."""
    monkeypatch.setattr(kept_for_a_return, limit, 20 if limit == "MAX_KEPT_FRAMES" else 4_000)
    place = await meet.place(maxParticipants=2)
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    former = guest.sid
    await host.unread()
    await go_away(meet, guest)
    for number in range(25):
        host.emit("ice-candidate", {"targetId": former, "candidate": {"candidate": f"{number}" + "x" * 200}})
    await host.sync()
    assert await guest.reconnect() is False
    assert guest.sid != former
    assert await host.next("user-left") == {"socketId": former, "userId": None}
    assert await guest.unread() == []
    assert (await enter(guest, place))["success"] is True
    assert names(await host.unread()) == ["user-joined"]
    assert [row["isActive"] for row in await meet.rows(place)] == [True, False, True]


@pytest.mark.parametrize("limit", ["MAX_KEPT_FRAMES", "MAX_KEPT_BYTES"])
async def test_as_much_as_is_kept_comes_back(meet: Meet, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(
        kept_for_a_return, limit, 24 if limit == "MAX_KEPT_FRAMES" else 6_000
    )  # 4: the way in
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await go_away(meet, guest)
    for number in range(20):
        host.emit(
            "ice-candidate", {"targetId": guest.sid, "candidate": {"candidate": f"{number:03}" + "x" * 100}}
        )
    await host.sync()
    assert await guest.reconnect() is True
    assert [payload["candidate"]["candidate"][:3] for _, payload in await guest.unread()] == [
        f"{number:03}" for number in range(20)
    ]


async def test_hundreds_while_many_come_and_go(meet: Meet) -> None:
    """A steady stream, and a client that drops all the time: each message once, in order."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)

    async def stream() -> None:
        for number in range(300):
            host.emit("ice-candidate", {"targetId": guest.sid, "candidate": {"candidate": str(number)}})
            if number % 10 == 0:
                await host.sync()

    streaming = asyncio.create_task(stream())
    for how in [Client.drop, Client.kill] * 5:
        await go_away(meet, guest, how=how)
        assert await guest.reconnect() is True
    await streaming
    await host.sync()
    got = [
        payload["candidate"]["candidate"] for name, payload in await guest.unread() if name == "ice-candidate"
    ]
    assert got == [str(number) for number in range(300)]
