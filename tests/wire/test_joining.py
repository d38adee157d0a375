"""Joining: what the joiner, the others and the callback are told."""

from __future__ import annotations

from typing import Any

from tests.wire.clients import Client
from tests.wire.meeting import Meet, Person, Place, enter, failure, joining

NEW = {"isMuted": False, "isVideoOff": False, "isScreenSharing": False, "isHandRaised": False}
SETTINGS = {"allowScreenShare": True, "allowChat": True, "waitingRoom": False}


def shown(client: Client, name: str, who: Person | None = None, **more: Any) -> dict[str, Any]:
    """A participant as `user-joined` has it."""
    return {
        "socketId": client.sid,
        "userId": who.id if who else None,
        "displayName": name,
        "isHost": False,
        **NEW,
        **more,
    }


def listed(place: Place, client: Client, name: str, who: Person | None = None, **more: Any) -> dict[str, Any]:
    """A participant as `room-joined` has it."""
    return {**shown(client, name, who, **more), "roomId": place.id}


def welcomed(place: Place, *participants: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The payload of `room-joined`."""
    return {
        "roomId": place.id,
        "roomCode": place.code,
        "isHost": False,
        "participants": list(participants),
        "messages": [],
        "settings": SETTINGS,
        "features": ["waiting-room", "chat-ids"],
        **more,
    }


async def test_a_join_tells_the_joiner_the_others_and_the_callback(meet: Meet) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    elsewhere = await meet.join(await meet.place())
    host = await meet.connect(place.host)
    alone = welcomed(place, isHost=True, waiting=[])
    assert await enter(host, place, "Hella") == {**alone, "success": True}
    assert await host.unread() == [("room-joined", alone)]

    member = await meet.connect(mina)
    with_host = welcomed(place, listed(place, host, "Hella", place.host, isHost=True))
    assert await enter(member, place, "Mina") == {**with_host, "success": True}
    assert await member.unread() == [("room-joined", with_host)]
    assert await host.unread() == [("user-joined", {"participant": shown(member, "Mina", mina)})]

    guest = await meet.connect()
    with_both = welcomed(
        place,
        listed(place, host, "Hella", place.host, isHost=True),
        listed(place, member, "Mina", mina),
    )
    guest.emit("join-room", joining(place, "Gus"))  # without a callback the events are the same
    assert await guest.next("room-joined") == with_both
    assert await guest.unread() == []
    arrived = [("user-joined", {"participant": shown(guest, "Gus")})]
    assert await host.unread() == arrived
    assert await member.unread() == arrived
    assert await elsewhere.unread() == []


async def test_a_front_ends_hint_of_a_user_id_grants_nothing(meet: Meet) -> None:
    place = await meet.place(maxParticipants=2)
    host = await meet.join(place, place.host)
    liar = await meet.connect(auth={"userId": place.host.id, "displayName": "Liar"})
    ack = await enter(liar, place, "Liar", userId=place.host.id)
    assert (ack["success"], ack["isHost"]) == (True, False)
    assert await host.unread() == [("user-joined", {"participant": shown(liar, "Liar")})]
    assert await liar.ask("lock-room", {"roomId": place.id, "locked": True}) == failure("Not authorized")


async def test_the_avatar_of_an_account_is_shown(meet: Meet) -> None:
    place = await meet.place()
    ava = await meet.person("Ava", avatarUrl="https://example.com/ava.png")
    host = await meet.join(place, place.host)
    member = await meet.join(place, ava)
    avatar = {"avatarUrl": "https://example.com/ava.png"}
    assert await host.unread() == [("user-joined", {"participant": shown(member, "Ava", ava, **avatar)})]
    later = await meet.connect()
    ack = await enter(later, place, "Late")
    assert ack["participants"][1] == listed(place, member, "Ava", ava, **avatar)


async def test_late_joiners_see_media_hands_and_screens(meet: Meet) -> None:
    place = await meet.place()
    host, member, guest = await meet.company(place)
    await host.ask("toggle-hand-raise", {"roomId": place.id, "raised": True})
    await member.ask("toggle-audio", {"roomId": place.id, "enabled": False})
    await member.ask("toggle-video", {"roomId": place.id, "enabled": False})
    await guest.ask("start-screen-share", {"roomId": place.id})
    await host.ask("mute-participant", {"roomId": place.id, "targetId": guest.sid})

    late = await meet.connect()
    states = {
        one["socketId"]: {key: one[key] for key in NEW} for one in (await enter(late, place))["participants"]
    }
    assert states == {
        host.sid: {**NEW, "isHandRaised": True},
        member.sid: {**NEW, "isMuted": True, "isVideoOff": True},
        guest.sid: {**NEW, "isScreenSharing": True, "isMuted": True},
    }

    await host.ask("toggle-hand-raise", {"roomId": place.id, "raised": False})
    await member.ask("toggle-audio", {"roomId": place.id, "enabled": True})
    await member.ask("toggle-video", {"roomId": place.id, "enabled": True})
    await guest.ask("stop-screen-share", {"roomId": place.id})
    later = await meet.connect()
    states = {
        one["socketId"]: {key: one[key] for key in NEW} for one in (await enter(later, place))["participants"]
    }
    assert states == {host.sid: NEW, member.sid: NEW, guest.sid: {**NEW, "isMuted": True}, late.sid: NEW}


async def test_muted_on_join_but_not_the_host(meet: Meet) -> None:
    place = await meet.place(muteParticipantsOnJoin=True)
    host = await meet.connect(place.host)
    await enter(host, place, "Host")
    assert [name for name, _ in await host.unread()] == ["room-joined"]
    guest = await meet.connect()
    await enter(guest, place, "Gus")
    room_joined, force_mute = await guest.unread()
    assert room_joined[0] == "room-joined"
    assert force_mute == ("force-mute", {})
    assert await host.unread() == [("user-joined", {"participant": shown(guest, "Gus", isMuted=True)})]


async def test_a_room_without_a_settings_row(meet: Meet) -> None:
    place = await meet.place()
    await meet.sql('DELETE FROM "RoomSettings" WHERE "roomId" = $1', place.id)
    guest = await meet.connect()
    alone = welcomed(place, settings=None)
    assert await enter(guest, place, "Gus") == {**alone, "success": True}
    assert await guest.unread() == [("room-joined", alone)]


async def test_settings_as_they_are(meet: Meet) -> None:
    place = await meet.place(allowScreenShare=False, allowChat=False)
    guest = await meet.connect()
    ack = await enter(guest, place)
    assert ack["settings"] == {"allowScreenShare": False, "allowChat": False, "waitingRoom": False}
