"""Every event against a room that the sender is not in, and at targets that are not there: refused, counted, unseen."""

from __future__ import annotations

from typing import Any

import pytest

from neuron_meet.signaling.events import CLIENT_EVENTS, JoinRoom
from tests.wire.clients import Client
from tests.wire.meeting import Meet, Place, failure

FIELDS: dict[str, dict[str, Any]] = {
    "leave-room": {},
    "offer": {"sdp": {"type": "offer", "sdp": "v=0"}},
    "answer": {"sdp": {"type": "answer", "sdp": "v=0"}},
    "ice-candidate": {"candidate": None},
    "toggle-audio": {"enabled": False},
    "toggle-video": {"enabled": False},
    "start-screen-share": {},
    "stop-screen-share": {},
    "toggle-hand-raise": {"raised": True},
    "chat-message": {"content": "hello"},
    "typing-start": {},
    "typing-stop": {},
    "mute-participant": {},
    "remove-participant": {},
    "admit-participant": {},
    "deny-participant": {},
    "lock-room": {"locked": True},
}
AIMED = ["offer", "answer", "ice-candidate", "mute-participant", "remove-participant"]
ADMISSION = ["admit-participant", "deny-participant"]
HOST_CONTROLS = [*ADMISSION, "mute-participant", "remove-participant", "lock-room"]


def test_every_event_is_here() -> None:
    assert set(FIELDS) == set(CLIENT_EVENTS) - {JoinRoom.event}


def request(event: str, place: Place, target: str) -> dict[str, Any]:
    """A payload that would be valid for a member of `place`."""
    payload = dict(FIELDS[event])
    if event in [*AIMED, *ADMISSION]:
        payload["targetId"] = target
    if event not in ("offer", "answer", "ice-candidate"):
        payload["roomId"] = place.id
    return payload


async def refusals(meet: Meet, code: str, sender: Client, event: str, payload: dict[str, Any]) -> Any:
    """The acknowledgement of a refused event, which was counted under `code`."""
    before = meet.refused[code]
    ack = await sender.ask(event, payload)
    assert meet.refused[code] == before + 1
    return ack


@pytest.mark.parametrize("event", FIELDS)
async def test_in_a_foreign_room(meet: Meet, event: str) -> None:
    """The host of one room, in the other: even its events are refused, and neither room sees anything."""
    own, foreign = await meet.place(), await meet.place()
    sender, neighbour = await meet.join(own, own.host), await meet.join(own, name="Neighbour")
    victims = await meet.company(foreign)
    await sender.unread()
    relayed = event in ("offer", "answer", "ice-candidate")
    code, text = (
        ("TARGET_NOT_IN_ROOM", "Participant not found") if relayed else ("NOT_IN_ROOM", "Not in this room")
    )
    ack = await refusals(meet, code, sender, event, request(event, foreign, victims[2].sid))
    assert ack == failure(text)
    for client in (sender, neighbour, *victims):
        assert await client.unread() == []
    assert len(meet.present(foreign)) == 3
    [row] = await meet.sql('SELECT "isLocked" FROM "Room" WHERE id = $1', foreign.id)
    assert row["isLocked"] is False


@pytest.mark.parametrize("event", FIELDS)
async def test_from_no_room(meet: Meet, event: str) -> None:
    """Outside of any room nothing can be said to one; leaving is answered kindly and does nothing."""
    place = await meet.place()
    victims = await meet.company(place)
    outsider = await meet.connect(await meet.person("Eve"))
    payload = request(event, place, victims[1].sid)
    if event == "leave-room":
        assert await outsider.ask(event, payload) == {"success": True}
    elif event in HOST_CONTROLS:
        assert await refusals(meet, "NOT_AUTHORIZED", outsider, event, payload) == failure("Not authorized")
    else:
        assert await refusals(meet, "NOT_IN_ROOM", outsider, event, payload) == failure("Not in this room")
    for client in (outsider, *victims):
        assert await client.unread() == []


@pytest.mark.parametrize("event", [*AIMED, *ADMISSION])
async def test_targets_that_are_not_in_the_room(meet: Meet, event: str) -> None:
    """A room's id or code, nobody's id, one's own, a socket elsewhere: none of them is a participant."""
    place, other = await meet.place(), await meet.place()
    host, member, guest = await meet.company(place)
    elsewhere = await meet.join(other, name="Elsewhere")
    lobby = await meet.connect()
    for target in (place.id, place.code, "nobody", host.sid, elsewhere.sid, lobby.sid, place.host.id):
        ack = await refusals(meet, "TARGET_NOT_IN_ROOM", host, event, request(event, place, target))
        assert ack == failure("Participant not found")
    for client in (host, member, guest, elsewhere, lobby):
        assert await client.unread() == []
    assert len(meet.present(place)) == 3


@pytest.mark.parametrize("event", [*AIMED[3:], *ADMISSION, "lock-room"])
async def test_the_hosts_say_is_the_hosts(meet: Meet, event: str) -> None:
    """A member is refused in its own room, also when it claims the host's id."""
    place = await meet.place()
    host, member, guest = await meet.company(place)
    ack = await refusals(meet, "NOT_AUTHORIZED", member, event, request(event, place, guest.sid))
    assert ack == failure("Not authorized")
    impostor = await meet.join(place, name="Host", auth={"userId": place.host.id})
    for client in (host, member, guest):
        await client.next("user-joined")
    assert await impostor.ask(event, request(event, place, guest.sid)) == failure("Not authorized")
    for client in (host, member, guest, impostor):
        assert await client.unread() == []
