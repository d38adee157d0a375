"""Whose place it is: the pid and the same identity; one connection at a time; not who was sent away meanwhile."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import jwt
import pytest

from tests.recovery.away import claim, events_until_answer, go_away, join_raw, names
from tests.wire.meeting import OK, SECRET, Meet, Person, enter, failure, gone
from tests.wire.raw import raw_connection


def token_of(person: Person, *, expired: bool = False) -> str:
    """A token of that account."""
    now = int(time.time())
    life = -10 if expired else 600
    return jwt.encode({"sub": person.id, "iat": now - 60, "exp": now + life}, SECRET, algorithm="HS256")


@pytest.mark.parametrize("who", ["another account", "a guest", "an expired token", "a forged token"])
async def test_an_accounts_place_is_for_that_account(meet: Meet, who: str) -> None:
    """Others with its pid start anew and disturb nobody; the account still comes back to its place."""
    place, mina, eve = await meet.place(), await meet.person("Mina"), await meet.person("Eve")
    host = await meet.join(place, place.host)
    async with AsyncExitStack() as network:
        own = await network.enter_async_context(raw_connection(meet.server.url))
        opening = await claim(own, token=mina.token)
        offset = await join_raw(own, place.code)
        await host.unread()
        auth = {
            "another account": {"token": eve.token},
            "a guest": {},
            "an expired token": {"token": token_of(mina, expired=True)},
            "a forged token": {"token": mina.token[:-4] + "AAAA"},
        }[who]
        other = await network.enter_async_context(raw_connection(meet.server.url))
        answer = await claim(other, pid=opening["pid"], offset=offset, **auth)
        assert answer["sid"] != opening["sid"]
        assert answer["pid"] != opening["pid"]
        told = await events_until_answer(other)
        assert [packet.startswith('42["auth-error"') for packet in told] == ([True] if "token" in who else [])
        assert await own.alive()
        assert await host.unread() == []
        back = await network.enter_async_context(raw_connection(meet.server.url))
        assert await claim(back, pid=opening["pid"], offset=offset, token=mina.token) == opening
        assert set(meet.present(place)) == {host.sid, opening["sid"]}
        assert await host.unread() == []


async def test_a_guests_place_is_for_no_account(meet: Meet) -> None:
    place, eve = await meet.place(), await meet.person("Eve")
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    former = guest.sid
    await host.unread()
    await go_away(meet, guest)
    assert await guest.reconnect({"token": eve.token}) is False
    assert guest.sid != former
    assert await host.unread() == []
    assert former in meet.present(place)


@pytest.mark.parametrize(
    "auth", [{"pid": "unknown"}, {"pid": 7}, {"pid": None}, {"pid": ["x"]}, {"offset": {}}]
)
async def test_a_pid_that_is_none(meet: Meet, auth: dict[str, object]) -> None:
    async with raw_connection(meet.server.url) as raw:
        opening = await claim(raw, **auth)
        assert len(opening["pid"]) >= 24
        assert await raw.alive()


async def test_pids_are_not_guessed_and_not_repeated(meet: Meet) -> None:
    pids: set[str] = set()
    async with AsyncExitStack() as network:
        for _ in range(20):
            raw = await network.enter_async_context(raw_connection(meet.server.url))
            opening = await claim(raw)
            assert opening["sid"] not in opening["pid"]
            pids.add(opening["pid"])
    assert len(pids) == 20


async def test_return_before_the_server_has_noticed(meet: Meet) -> None:
    """Two live connections with one pid: the old one is closed, nothing is doubled, nobody else is told."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with AsyncExitStack() as network:
        old = await network.enter_async_context(raw_connection(meet.server.url))
        opening = await claim(old)
        offset = await join_raw(old, place.code)
        await host.unread()
        for _ in range(3):
            new = await network.enter_async_context(raw_connection(meet.server.url))
            assert await claim(new, pid=opening["pid"], offset=offset) == opening
            assert await old.close_code() is not None
            await events_until_answer(new)
            old = new
        assert (await host.ask("chat-message", {"roomId": place.id, "content": "once"}))["success"]
        assert [packet[:17] for packet in await events_until_answer(old)] == ['42["chat-message"']
        assert names(await host.unread()) == ["chat-message"]
        assert meet.present(place) == [host.sid, opening["sid"]]
        assert await meet.open_rows(place) == 2


async def test_who_started_anew_while_its_old_connection_was_open(
    meet: Meet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missed more than is kept, before the server noticed the drop: the old connection is closed with its place."""
    monkeypatch.setattr("neuron_meet.realtime.connection.MAX_KEPT_FRAMES", 5)
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with AsyncExitStack() as network:
        old = await network.enter_async_context(raw_connection(meet.server.url))
        opening = await claim(old)
        offset = await join_raw(old, place.code)
        for _ in range(10):
            host.emit("toggle-hand-raise", {"roomId": place.id, "raised": True})
        await host.sync()
        new = await network.enter_async_context(raw_connection(meet.server.url))
        assert (await claim(new, pid=opening["pid"], offset=offset))["sid"] != opening["sid"]
        await host.next("user-left")
        assert await old.close_code() is not None


async def test_a_pid_is_of_no_use_after_a_clean_end(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_connection(meet.server.url) as first:
        opening = await claim(first)
        offset = await join_raw(first, place.code)
        await first.send("41")
        await host.next("user-left")
        assert (await claim(first, pid=opening["pid"], offset=offset))["sid"] != opening["sid"]
    async with raw_connection(meet.server.url) as second:
        assert (await claim(second, pid=opening["pid"], offset=offset))["sid"] != opening["sid"]
    assert names(await host.unread()) == ["user-joined"]


async def test_removed_while_away(meet: Meet) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    member = await meet.join(place, mina)
    await host.unread()
    await go_away(meet, member)
    assert await host.ask("remove-participant", {"roomId": place.id, "targetId": member.sid}) == OK
    assert await host.unread() == [gone(member, mina)]
    assert (await host.ask("chat-message", {"roomId": place.id, "content": "behind their back"}))["success"]
    assert await member.reconnect() is True
    assert await member.unread() == [("force-disconnect", {"reason": "Removed by host"})]
    assert await enter(member, place) == failure("You were removed from this meeting")
    assert meet.present(place) == [host.sid]
    assert await meet.open_rows(place) == 1


async def test_the_meeting_ended_while_away(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await go_away(meet, guest)
    status, _ = await meet.rest("DELETE", f"/api/rooms/{place.id}", place.host)
    assert status == 200
    await host.next("room-ended")
    assert await guest.reconnect() is True
    assert names(await guest.unread()) == ["room-ended"]
    assert await enter(guest, place) == failure("Room is no longer active")
    assert await meet.open_rows(place) == 0


async def test_taken_over_from_another_device_while_away(meet: Meet) -> None:
    """The other device has the place: the one that comes back is told so and is in no room."""
    place, mina = await meet.place(maxParticipants=2), await meet.person("Mina")
    host = await meet.join(place, place.host)
    phone = await meet.join(place, mina)
    await host.unread()
    await go_away(meet, phone)
    laptop = await meet.join(place, mina)
    events = await host.unread()
    assert names(events) == ["user-left", "user-joined"]
    assert events[0] == gone(phone, mina)
    assert await phone.reconnect() is True
    assert await phone.unread() == [("force-disconnect", {"reason": "Joined from another device"})]
    assert set(meet.present(place)) == {host.sid, laptop.sid}
    assert await meet.open_rows(place) == 2


async def test_a_locked_room_lets_back_who_dropped(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    await go_away(meet, guest)
    assert await host.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
    assert await enter(await meet.connect(), place) == failure("Room is locked")
    assert await guest.reconnect() is True
    assert await guest.unread() == [("room-locked", {"locked": True})]
    assert (await guest.ask("chat-message", {"roomId": place.id, "content": "back"}))["success"] is True


async def test_a_waiter_keeps_the_place_in_line(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    able = {"capabilities": ["waiting-room"]}
    first, second = await meet.connect(auth=able), await meet.connect(auth=able)
    for waiter, position in ((first, 1), (second, 2)):
        assert (await enter(waiter, place))["waiting"] is True
        assert (await waiter.next("waiting-room"))["position"] == position
    await go_away(meet, first)
    assert names(await host.unread()) == ["waiting-participant"] * 2
    assert await first.reconnect() is True
    assert (await enter(first, place))["waiting"] is True
    assert (await first.next("waiting-room"))["position"] == 1
    # Let in while away: it finds itself in the room.
    await go_away(meet, first)
    assert await host.ask("admit-participant", {"roomId": place.id, "targetId": first.sid}) == OK
    assert await first.reconnect() is True
    assert names(await first.unread()) == ["room-joined"]
    assert set(meet.present(place)) == {host.sid, first.sid}


async def test_a_front_end_that_joins_at_every_connection(meet: Meet) -> None:
    """Recovered, it joins again: others make their connection to it anew, and see the hand and media as before. Once
    more without a recovery, or under another name, it starts anew. Nobody who had muted themselves is told to mute.
    """
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place)
    at = {"roomId": place.id}
    state = {"isMuted": True, "isVideoOff": True, "isScreenSharing": True, "isHandRaised": True}
    for event, more in (
        ("toggle-audio", {"enabled": False}),
        ("toggle-video", {"enabled": False}),
        ("start-screen-share", {}),
        ("toggle-hand-raise", {"raised": True}),
    ):
        assert await guest.ask(event, at | more) == OK
    await host.unread()
    await go_away(meet, guest)
    assert await guest.reconnect() is True
    assert (await enter(guest, place))["success"] is True
    left, joined = await host.unread()
    assert (left[0], joined[0]) == ("user-left", "user-joined")
    assert {key: joined[1]["participant"][key] for key in state} == state
    assert "force-mute" not in names(await guest.unread())

    assert (await enter(guest, place))["success"] is True
    _, joined = await host.unread()
    assert not any(joined[1]["participant"][key] for key in state)
    assert await guest.ask("toggle-hand-raise", at | {"raised": True}) == OK
    await go_away(meet, guest)
    assert await guest.reconnect() is True
    another = {"roomCode": place.code, "displayName": "Somebody else"}
    assert (await guest.ask("join-room", another))["success"] is True
    last = (await host.unread())[-1]
    assert last[1]["participant"]["isHandRaised"] is False
