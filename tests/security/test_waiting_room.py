"""The waiting room for honest people: knock, list, admit, deny, and both kinds of front end."""

from __future__ import annotations

import pytest

from tests.security.door import (
    DENIED,
    WAITING,
    admit,
    deny,
    doors_tried,
    knock,
    knocked,
    left_the_door,
    names,
    told_to_wait,
    waiting_at,
)
from tests.security.test_addresses import BEHIND_A_PROXY, claiming
from tests.wire.clients import Client, Driver
from tests.wire.meeting import OK, Meet, enter, failure, meeting_on, refused_join


async def test_a_knock_that_the_front_end_can_show(meet: Meet) -> None:
    """The knocker learns its position, the host who knocks; nobody else learns anything."""
    place = await meet.place()
    member = await meet.join(place, name="Mo")
    await meet.patch(place, waitingRoom=True)
    host = await meet.join(place, place.host)
    await member.unread()
    ada = await meet.person("Ada")
    ann = await knock(meet, place, name="Ann")
    second = await knock(meet, place, ada)
    assert await ann.unread() == [told_to_wait(place, 1)]
    assert await second.unread() == [told_to_wait(place, 2)]
    assert await host.unread() == [knocked(ann, "Ann"), knocked(second, "Ada", ada)]
    assert await member.unread() == []
    assert set(meet.present(place)) == {host.sid, member.sid}
    assert await meet.open_rows(place) == 2
    status, listed = await meet.rest("GET", f"/api/rooms/code/{place.code}/participants")
    assert (status, len(listed)) == (200, 2)


async def test_a_front_end_that_cannot_show_a_knock(meet: Meet) -> None:
    """It is told at once that it failed, stays on the list, and gets an ordinary room-joined when let in."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    old = await knock(meet, place, name="Old", shows=False)
    assert await old.unread() == [refused_join(WAITING)]
    assert await host.unread() == [knocked(old, "Old")]
    assert await admit(host, place, old) == OK
    assert names(await old.unread()) == ["room-joined"]
    assert names(await host.unread()) == ["user-joined"]


async def test_a_host_who_arrives_later_sees_who_waits(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    ada = await meet.person("Ada")
    waiters = [await knock(meet, place, name="Ann"), await knock(meet, place, ada, shows=False)]
    host = await meet.connect(place.host)
    ack = await enter(host, place)
    expected = [knocked(waiters[0], "Ann")[1], knocked(waiters[1], "Ada", ada)[1]]
    assert ack["waiting"] == expected
    joined = await host.next("room-joined")
    assert joined["waiting"] == expected
    assert joined["participants"] == []
    assert await admit(host, place, waiters[0]) == OK
    assert names(await waiters[0].unread()) == ["waiting-room", "room-joined"]


async def test_only_the_host_is_given_the_list(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    first, second = await knock(meet, place, name="Ann"), await knock(meet, place, name="Bea")
    assert await admit(host, place, first) == OK
    assert "waiting" not in await first.next("room-joined")
    assert waiting_at(meet, place) == [second.sid]


@pytest.mark.parametrize("field", ["targetId", "participantId"])
async def test_admission_is_an_ordinary_join(meet: Meet, field: str) -> None:
    """Same fields as any join, with everybody in the room and what was said while they waited."""
    place = await meet.place()
    member = await meet.join(place, name="Mo")
    await meet.patch(place, waitingRoom=True)
    host = await meet.join(place, place.host)
    ada = await meet.person("Ada")
    waiter = await knock(meet, place, ada)
    said = await host.ask("chat-message", {"roomId": place.id, "content": "while you waited"})
    assert await waiter.unread() == [told_to_wait(place, 1)]
    await member.unread()
    await host.unread()

    assert await host.ask("admit-participant", {"roomId": place.id, field: waiter.sid}) == OK
    assert names(await host.unread()) == ["user-joined"]
    [(event, joined)] = await waiter.unread()
    assert event == "room-joined"
    assert {one["socketId"] for one in joined["participants"]} == {host.sid, member.sid}
    assert [message["id"] for message in joined["messages"]] == [said["message"]["id"]]
    assert joined["isHost"] is False
    [(event, seen)] = await member.unread()
    assert event == "user-joined"
    assert (seen["participant"]["socketId"], seen["participant"]["userId"]) == (waiter.sid, ada.id)

    ordinary = await meet.connect(place.host)
    assert set(joined) == set(await enter(ordinary, place)) - {"success", "waiting"}
    assert await waiter.ask("chat-message", {"roomId": place.id, "content": "here I am"}) != failure(
        "Not in this room"
    )
    assert (await member.next("chat-message"))["senderId"] == waiter.sid
    row = next(row for row in await meet.rows(place) if row["userId"] == ada.id)
    assert (row["isActive"], row["isHost"]) == (True, False)


async def test_muted_on_joining_also_through_the_waiting_room(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True, muteParticipantsOnJoin=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    await host.unread()
    assert await admit(host, place, waiter) == OK
    assert names(await waiter.unread()) == ["waiting-room", "room-joined", "force-mute"]
    assert (await host.next("user-joined"))["participant"]["isMuted"] is True


async def test_denied(meet: Meet) -> None:
    """The reason, once; the host is not asked again, on the same socket or under the same name and address."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    await host.unread()
    await waiter.unread()
    assert await deny(host, place, waiter) == OK
    assert await waiter.unread() == [refused_join(DENIED)]
    for client, name in ((waiter, "Ann"), (waiter, "Bea"), (await meet.connect(), " aNN ")):
        assert await enter(client, place, name) == failure(DENIED)
        assert await client.unread() == [refused_join(DENIED)]
    assert await host.unread() == []
    assert await admit(host, place, waiter) == failure("Participant not found")
    assert meet.present(place) == [host.sid]


async def test_a_denied_account_is_denied_on_every_socket_and_nobody_else_is(meet: Meet) -> None:
    place, ada = await meet.place(waitingRoom=True), await meet.person("Ada")
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, ada)
    assert await deny(host, place, waiter) == OK
    assert await enter(await meet.connect(ada), place, "Somebody else") == failure(DENIED)
    namesake = await meet.person("Ada")
    other = await knock(meet, place, namesake)
    assert (await host.unread())[-1] == knocked(other, "Ada", namesake)
    elsewhere = await meet.place(waitingRoom=True)
    await knock(meet, elsewhere, ada)


async def test_a_denial_does_not_outlast_the_waiting_room(meet: Meet) -> None:
    """The host opens the door to everybody: that is everybody."""
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    waiter = await knock(meet, place, name="Ann")
    assert await deny(host, place, waiter) == OK
    await meet.patch(place, waitingRoom=False)
    assert (await enter(waiter, place, "Ann"))["success"] is True


async def test_many_knocks_of_one_are_announced_once(meet: Meet) -> None:
    place = await meet.place(waitingRoom=True)
    host = await meet.join(place, place.host)
    first = await knock(meet, place, name="Ann")
    second = await knock(meet, place, name="Bea")
    for _ in range(3):
        assert (await enter(second, place, "Bea"))["waiting"] is True
    assert await second.unread() == [told_to_wait(place, 2)] * 4
    assert await host.unread() == [knocked(first, "Ann"), knocked(second, "Bea")]


async def test_one_account_that_knocks_from_two_sockets_waits_once(meet: Meet) -> None:
    place, ada = await meet.place(waitingRoom=True), await meet.person("Ada")
    host = await meet.join(place, place.host)
    first = await knock(meet, place, ada)
    await host.unread()
    second = await knock(meet, place, ada)
    assert (await first.unread())[-1] == refused_join("Joined from another device")
    assert await host.unread() == [left_the_door(first), knocked(second, "Ada", ada)]
    assert waiting_at(meet, place) == [second.sid]
    assert await admit(host, place, first) == failure("Participant not found")
    assert await admit(host, place, second) == OK


async def test_one_account_that_is_in_does_not_wait_as_well(meet: Meet) -> None:
    """It knocked with one socket and came in with another: nobody is left to be let in over its head."""
    place, ada = await meet.place(waitingRoom=True, maxParticipants=2), await meet.person("Ada")
    host = await meet.join(place, place.host)
    first, filler = await knock(meet, place, ada), await knock(meet, place, name="Ann")
    assert await admit(host, place, filler) == OK
    await meet.patch(place, waitingRoom=False)  # the room is full: Ada waits on
    await doors_tried(meet)
    assert await filler.ask("leave-room", {"roomId": place.id}) == OK
    await host.unread()
    second = await meet.connect(ada)
    assert (await enter(second, place))["success"] is True
    assert (await first.unread())[-1] == refused_join("Joined from another device")
    assert waiting_at(meet, place) == []
    assert names(await host.unread()) == ["waiting-participant-left", "user-joined"]
    assert await admit(host, place, first) == failure("Participant not found")
    assert await second.unread() != []
    assert set(meet.present(place)) == {host.sid, second.sid}


async def test_one_address_does_not_keep_others_from_the_door(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have all places as long as nobody else wants one; then its newest gives way, down to the same number."""
    monkeypatch.setattr("neuron_meet.signaling.lobby.MAX_WAITING", 6)
    async with meeting_on(shared_database, js, **BEHIND_A_PROXY) as meet:
        place = await meet.place(waitingRoom=True)
        host = await meet.join(place, place.host)
        crowd = [await knock(meet, place, name=f"M{n}", **claiming("198.51.100.7")) for n in range(6)]
        seventh = await meet.connect(**claiming("198.51.100.7"))
        assert await enter(seventh, place, "M6") == failure("Room is full")
        await host.unread()
        honest: list[Client] = []
        for number, gives_way in enumerate((5, 4, 3)):
            honest.append(await knock(meet, place, name="Ann", **claiming(f"2001:db8::{number}")))
            assert (await crowd[gives_way].unread())[-1] == refused_join("Room is full")
            assert await host.unread() == [left_the_door(crowd[gives_way]), knocked(honest[-1], "Ann")]
        # Three each: nobody gains by pushing, and whoever was told to go may ask again without success.
        for address, name in (("2001:db8::9", "Bob"), ("198.51.100.7", "M5")):
            again = await meet.connect(**claiming(address))
            assert await enter(again, place, name) == failure("Room is full")
        # An address that has none displaces one of those who have more than it will have.
        other = await knock(meet, place, name="Cleo", **claiming("203.0.113.1"))
        assert (await crowd[2].unread())[-1] == refused_join("Room is full")
        waiting = [client.sid for client in (*crowd[:2], *honest, other)]
        assert waiting_at(meet, place) == waiting
        assert await admit(host, place, honest[0]) == OK
