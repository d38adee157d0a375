"""Removed is removed: by account, socket, recovery, for a guest by address and name. A lock keeps its word."""

from __future__ import annotations

import asyncio

from tests.security.door import knock, names
from tests.wire.clients import Client, Driver
from tests.wire.meeting import OK, Meet, Place, enter, failure, gone, locked, meeting_on

REMOVED = "You were removed from this meeting"
COMES_BACK = {"reconnection": True, "reconnectionDelay": 10, "reconnectionDelayMax": 20}


async def remove(host: Client, place: Place, target: Client) -> None:
    """Remove somebody."""
    assert await host.ask("remove-participant", {"roomId": place.id, "targetId": target.sid}) == OK


async def test_out_at_once(meet: Meet) -> None:
    """The target hears why, the others see it go, and from then on it neither hears nor says anything."""
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await remove(host, place, guest)
    assert await guest.unread() == [("force-disconnect", {"reason": "Removed by host"})]
    assert await host.unread() == await member.unread() == [gone(guest)]
    await member.ask("chat-message", {"roomId": place.id, "content": "gone?"})
    assert await guest.ask("chat-message", {"roomId": place.id, "content": "!"}) == failure(
        "Not in this room"
    )
    assert await guest.unread() == []
    assert await meet.open_rows(place) == 2


async def test_a_guest_by_address_and_name(meet: Meet) -> None:
    """Documented limit: another name on another socket is a newcomer. Other guests of that address are not meant."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, name="Gus")
    await remove(host, place, guest)
    assert await enter(guest, place, "Hans") == failure(REMOVED)
    assert await enter(await meet.connect(), place, " GUS") == failure(REMOVED)
    assert await enter(await meet.connect(auth={"displayName": "gus"}), place) == failure(REMOVED)
    assert (await enter(await meet.connect(), place, "Hans"))["success"] is True
    assert (await enter(guest, await meet.place(), "Gus"))["success"] is True


async def test_an_account_by_every_way(meet: Meet) -> None:
    """Its socket, its next socket, under another name, and as a guest of the same name from the same address."""
    place, ada = await meet.place(), await meet.person("Ada")
    host, target = await meet.join(place, place.host), await meet.join(place, ada)
    await remove(host, place, target)
    assert await enter(target, place) == failure(REMOVED)
    assert await enter(await meet.connect(ada), place, "Other") == failure(REMOVED)
    assert await enter(await meet.connect(), place, "Ada") == failure(REMOVED)
    assert (await enter(await meet.connect(await meet.person("Ada")), place))["success"] is True
    assert await meet.open_rows(place) == 2


async def test_who_was_on_the_way_in_again(meet: Meet) -> None:
    """Joins that had begun before the removal do not complete after it."""
    place, ada = await meet.place(), await meet.person("Ada")
    host, target = await meet.join(place, place.host), await meet.join(place, ada)
    phone = await meet.connect(ada)
    async with locked(meet, "Participant") as writing:
        answers = [client.request("join-room", {"roomCode": place.code}) for client in (target, phone)]
        await writing()
        removal = host.request("remove-participant", {"roomId": place.id, "targetId": target.sid})
        assert await removal == [OK]
    async with asyncio.timeout(60):
        assert [(await answer)[0] for answer in answers] == [failure(REMOVED)] * 2
    assert meet.present(place) == [host.sid]
    assert await meet.open_rows(place) == 1


async def test_the_host_cannot_be_shut_out_of_its_own_room(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    request = {"roomId": place.id, "targetId": host.sid}
    assert await host.ask("remove-participant", request) == failure("Participant not found")
    assert meet.present(place) == [host.sid]


async def test_a_new_meeting_forgets(meet: Meet) -> None:
    """Ended is ended: what was said about the removed goes with the meeting."""
    place, ada = await meet.place(), await meet.person("Ada")
    host, target = await meet.join(place, place.host), await meet.join(place, ada)
    await remove(host, place, target)
    await meet.rest("DELETE", f"/api/rooms/{place.id}", place.host)
    assert await enter(target, place) == failure("Room is no longer active")


async def test_recovery_does_not_bring_back_who_was_removed(js: Driver, shared_database: str) -> None:
    """Removed before the drop, or while away: the same socket comes back, and is out."""
    async with meeting_on(shared_database, js, recovery_grace_seconds=10) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        before, away = await meet.connect(**COMES_BACK), await meet.connect(**COMES_BACK)
        for client, name in ((before, "Ann"), (away, "Bea")):
            assert (await enter(client, place, name))["success"] is True
        for client in (before, away):
            await client.unread()
        await remove(host, place, before)
        assert names(await before.unread()) == ["force-disconnect"]
        for client in (before, away):
            client.kill()
        await remove(host, place, away)
        for client in (before, away):
            assert (await client.next("$connected"))["id"] == client.sid
        assert names(await away.unread()) == ["user-left", "$disconnected", "force-disconnect"]
        for client in (before, away):
            assert await enter(client, place, "Cleo") == failure(REMOVED)
            chat = {"roomId": place.id, "content": "!"}
            assert await client.ask("chat-message", chat) == failure("Not in this room")
        assert meet.present(place) == [host.sid]
        assert await meet.open_rows(place) == 1


async def test_a_locked_room_lets_back_who_dropped_and_nobody_else(js: Driver, shared_database: str) -> None:
    async with meeting_on(shared_database, js, recovery_grace_seconds=10) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        member = await meet.connect(**COMES_BACK)
        assert (await enter(member, place, "Mo"))["success"] is True
        assert await host.ask("lock-room", {"roomId": place.id, "locked": True}) == OK
        member.kill()
        assert await enter(await meet.connect(), place, "Mo") == failure("Room is locked")
        assert (await member.next("$connected"))["id"] == member.sid
        assert (await enter(member, place, "Mo"))[
            "success"
        ] is True  # what an older front end does on connect
        assert set(meet.present(place)) == {host.sid, member.sid}
        assert await member.ask("leave-room", {"roomId": place.id}) == OK
        assert await enter(member, place, "Mo") == failure("Room is locked")


async def test_a_locked_room_lets_its_host_in(meet: Meet) -> None:
    place = await meet.place(isLocked=True, waitingRoom=True)
    assert await enter(await meet.connect(), place) == failure("Room is locked")
    assert (await enter(await meet.connect(place.host), place))["success"] is True


async def test_a_removed_guest_does_not_get_to_the_door_either(meet: Meet) -> None:
    place = await meet.place()
    host, guest = await meet.join(place, place.host), await meet.join(place, name="Gus")
    await remove(host, place, guest)
    await meet.patch(place, waitingRoom=True)
    assert await enter(guest, place, "Gus") == failure(REMOVED)
    await host.unread()
    await knock(meet, place, name="Ann")
    assert names(await host.unread()) == ["waiting-participant"]
