"""Nobody comes past the waiting room: not by trying again, early, under a false flag, or in a crowd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.security.door import WAITS, admit, deny, knock, names, told_to_wait, waiting_at
from tests.wire.clients import Driver
from tests.wire.meeting import OK, Meet, enter, failure, joining, meeting_on


async def test_by_trying_again(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    tries = [waiter.request("join-room", joining(place, f"Ann {number}")) for number in range(30)]
    assert [(await answer)[0] for answer in tries] == [WAITS] * 30
    assert names(await host.unread()) == ["waiting-participant"]
    assert meet.present(place) == [host.sid]


async def test_by_coming_before_the_host(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    early = await knock(meet, place, name="Early")
    assert meet.present(place) == []
    assert await meet.rest("GET", f"/api/rooms/code/{place.code}/participants") == (200, [])
    host = await meet.join(place, place.host)
    assert meet.present(place) == [host.sid]
    assert waiting_at(meet, place) == [early.sid]
    assert await meet.open_rows(place) == 1


@pytest.mark.parametrize(
    "capabilities",
    [
        ["host"],
        ["waiting-room", "admit"],
        {"waiting-room": True},
        "waiting-room",
        [None, 1, ["waiting-room"]],
        7,
    ],
)
async def test_by_claiming_capabilities(meet: Meet, capabilities: Any) -> None:
    place = await meet.place(waitingRoom=True)
    client = await meet.connect(auth={"capabilities": capabilities})
    assert await enter(client, place, "Ann") == WAITS
    assert meet.present(place) == []


async def test_by_claiming_to_be_the_host(meet: Meet) -> None:
    """`userId`, in the handshake or the payload, is public: it opens nothing."""
    place = await meet.place(waitingRoom=True)
    client = await meet.connect(auth={"userId": place.host.id, "displayName": place.host.name})
    assert await enter(client, place, place.host.name, userId=place.host.id) == WAITS
    assert await client.ask("lock-room", {"roomId": place.id, "locked": False}) == failure("Not authorized")


async def test_by_letting_oneself_in(meet: Meet) -> None:
    """Only the host of that room has the say, in that room."""
    place = await meet.place()
    member = await meet.join(place, name="Mo")
    await meet.patch(place, waitingRoom=True)
    waiter, accomplice = await knock(meet, place, name="Ann"), await knock(meet, place, name="Bea")
    assert await admit(waiter, place, waiter) == failure("Not authorized")
    assert await admit(accomplice, place, waiter) == failure("Not authorized")
    assert await admit(member, place, waiter) == failure("Not authorized")
    assert await deny(member, place, accomplice) == failure("Not authorized")

    own = await meet.place()
    stranger = await meet.join(own, own.host)
    assert await admit(stranger, place, waiter) == failure("Not in this room")
    assert await admit(stranger, own, waiter) == failure("Participant not found")
    assert await deny(stranger, own, waiter) == failure("Participant not found")
    assert waiting_at(meet, place) == [waiter.sid, accomplice.sid]
    assert await waiter.unread() == [told_to_wait(place, 1)]
    assert meet.present(place) == [member.sid]


async def test_what_a_waiter_can_do_and_see_in_the_room(meet: Meet) -> None:
    """Nothing: its events are refused, and nothing of the room reaches it."""
    place = await meet.place()
    member = await meet.join(place, name="Mo")
    await meet.patch(place, waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    await waiter.unread()
    await host.unread()
    await member.unread()
    for event, fields in (
        ("chat-message", {"content": "let me in"}),
        ("typing-start", {}),
        ("toggle-audio", {"enabled": True}),
        ("toggle-hand-raise", {"raised": True}),
        ("start-screen-share", {}),
    ):
        assert await waiter.ask(event, {"roomId": place.id, **fields}) == failure("Not in this room")
    for event, target in (("mute-participant", host), ("remove-participant", member)):
        aimed = {"roomId": place.id, "targetId": target.sid}
        assert await waiter.ask(event, aimed) == failure("Not authorized")
    for event in ("offer", "answer"):
        assert await waiter.ask(event, {"targetId": host.sid, "sdp": "x"}) == failure("Not in this room")
    assert await host.unread() == await member.unread() == []

    await host.ask("chat-message", {"roomId": place.id, "content": "among ourselves"})
    assert await host.ask("offer", {"targetId": waiter.sid, "sdp": "x"}) == failure("Participant not found")
    remove = {"roomId": place.id, "targetId": waiter.sid}
    assert await host.ask("remove-participant", remove) == failure("Participant not found")
    await member.ask("toggle-hand-raise", {"roomId": place.id, "raised": True})
    assert await waiter.unread() == []


async def test_those_who_are_in_are_not_sent_to_wait(meet: Meet) -> None:
    """A member that joins again on its socket, or from another device, has been let in before."""
    place, ada = await meet.place(), await meet.person("Ada")
    guest, member = await meet.join(place, name="Gus"), await meet.join(place, ada)
    await meet.patch(place, waitingRoom=True)
    assert (await enter(guest, place, "Gus"))["success"] is True
    assert (await enter(member, place))["success"] is True
    phone = await meet.connect(ada)
    assert (await enter(phone, place))["success"] is True
    assert set(meet.present(place)) == {guest.sid, phone.sid}
    assert await guest.ask("leave-room", {"roomId": place.id}) == OK
    assert await enter(guest, place, "Gus") == WAITS


async def test_a_crowd_that_joins_while_the_setting_is_switched_on(meet: Meet) -> None:
    """Whoever knocks after the answer to the host's change waits; everybody is either in or on the list."""
    for _ in range(3):
        place = await meet.place()
        host = await meet.join(place, place.host)
        clients = list(await asyncio.gather(*(meet.connect() for _ in range(20))))
        early = [client.request("join-room", joining(place)) for client in clients[:10]]
        await meet.patch(place, waitingRoom=True)
        late = [client.request("join-room", joining(place)) for client in clients[10:]]
        acks = {
            client.sid: (await answer)[0] for client, answer in zip(clients, [*early, *late], strict=True)
        }
        assert all(acks[client.sid] == WAITS for client in clients[10:])
        inside = {sid for sid, ack in acks.items() if ack["success"]}
        assert set(meet.present(place)) == inside | {host.sid}
        assert set(waiting_at(meet, place)) == acks.keys() - inside
        assert await meet.open_rows(place) == len(inside) + 1


async def test_a_crowd_while_the_setting_goes_on_and_off(meet: Meet) -> None:
    """Nobody is in and waiting at once, nobody is neither, nobody gets in while the door is shut for good."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    clients = list(await asyncio.gather(*(meet.connect() for _ in range(12))))
    answers = []
    for number in range(6):
        answers += [client.request("join-room", joining(place)) for client in clients[2 * number :][:2]]
        await meet.patch(place, waitingRoom=bool(number % 2))
    await asyncio.gather(*answers)
    await meet.background_done()
    inside, waiting = set(meet.present(place)) - {host.sid}, set(waiting_at(meet, place))
    assert inside | waiting == {client.sid for client in clients}
    assert not inside & waiting
    assert await meet.open_rows(place) == len(inside) + 1
    for client in clients:
        told = names(await client.unread())
        assert ("room-joined" in told) == (client.sid in inside)
        assert await enter(client, place) if client.sid in inside else True
    assert set(waiting_at(meet, place)) == waiting


async def test_dropping_and_coming_back(js: Driver, shared_database: str) -> None:
    """With recovery: a member who comes back is still in, a waiter still waits, and is let in while away."""
    async with meeting_on(shared_database, js, recovery_grace_seconds=10) as meet:
        again = {"reconnection": True, "reconnectionDelay": 10, "reconnectionDelayMax": 20}
        place = await meet.place()
        guest = await meet.connect(**again)
        assert (await enter(guest, place, "Gus"))["success"] is True
        await meet.patch(place, waitingRoom=True)
        waiter = await knock(meet, place, name="Ann", **again)
        host = await meet.join(place, place.host)
        for client in (guest, waiter):
            former = client.sid
            client.kill()
            assert (await client.next("$connected"))["id"] == former
        assert set(meet.present(place)) == {guest.sid, host.sid}
        assert waiting_at(meet, place) == [waiter.sid]
        waiter.kill()
        assert await admit(host, place, waiter) == OK
        assert (await waiter.next("$connected"))["id"] == waiter.sid
        joined = await waiter.next("room-joined")
        assert {one["socketId"] for one in joined["participants"]} == {guest.sid, host.sid}
        assert (await enter(waiter, place, "Ann"))["success"] is True
