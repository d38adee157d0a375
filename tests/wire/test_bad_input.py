"""Bad input on every event: an error for whoever asks for one, the socket stays, nobody else notices."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from neuron_meet.signaling.events import CLIENT_EVENTS
from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, Place, enter, failure, refused_join
from tests.wire.raw import acknowledgement, join, raw_connection, raw_socket

pytestmark = pytest.mark.one_node("what is refused before any room is looked at")

INVALID = failure("Invalid request")
EVENTS = sorted(CLIENT_EVENTS)
OF_THE_CONTRACT = {
    "join-room", "leave-room", "offer", "answer", "ice-candidate", "toggle-audio", "toggle-video",
    "start-screen-share", "stop-screen-share", "toggle-hand-raise", "chat-message", "typing-start",
    "typing-stop", "mute-participant", "remove-participant", "lock-room", "admit-participant",
    "deny-participant",
}  # fmt: skip


def good(event: str, place: Place, target: str) -> dict[str, Any]:
    """A payload that the event takes."""
    fields: dict[str, dict[str, Any]] = {
        "join-room": {"roomCode": place.code, "displayName": "Gus"},
        "offer": {"targetId": target, "sdp": "v=0"},
        "answer": {"targetId": target, "sdp": "v=0"},
        "ice-candidate": {"targetId": target, "candidate": ""},
        "toggle-audio": {"roomId": place.id, "enabled": True},
        "toggle-video": {"roomId": place.id, "enabled": True},
        "toggle-hand-raise": {"roomId": place.id, "raised": True},
        "chat-message": {"roomId": place.id, "content": "hi"},
        "mute-participant": {"roomId": place.id, "targetId": target},
        "remove-participant": {"roomId": place.id, "targetId": target},
        "admit-participant": {"roomId": place.id, "targetId": target},
        "deny-participant": {"roomId": place.id, "targetId": target},
        "lock-room": {"roomId": place.id, "locked": True},
    }
    return fields.get(event, {"roomId": place.id})


def nested(depth: int) -> Any:
    """Lists within lists."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class Scene:
    """The host of a room sends nonsense; a witness in the room sees none of it."""

    def __init__(self, place: Place, host: Client, witness: Client) -> None:
        self.place = place
        self.host = host
        self.witness = witness

    async def refuses(self, event: str, *args: Any, why: str = "Invalid request") -> None:
        """The event is refused with a callback and without one."""
        answer = await self.host.ask(event, *args)
        assert answer == failure(why), (event, args, answer)
        self.host.emit(event, *args)
        told = [refused_join("Invalid request")] * 2 if event == "join-room" else []
        assert await self.host.unread() == told

    def good(self, event: str) -> dict[str, Any]:
        """A payload that the event takes."""
        return good(event, self.place, self.witness.sid)


@pytest.fixture
async def scene(meet: Meet) -> AsyncIterator[Scene]:
    """A host and a witness in a room. In the end neither has noticed anything, and both go on."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    witness = await meet.join(place, name="Witness")
    await host.unread()
    yield Scene(place, host, witness)
    assert await witness.unread() == []
    assert meet.present(place) == [host.sid, witness.sid]
    ack = await host.ask("chat-message", {"roomId": place.id, "content": "still here"})
    assert ack["success"] is True
    assert (await witness.next("chat-message"))["content"] == "still here"


def test_the_events_are_those_of_the_contract() -> None:
    assert CLIENT_EVENTS.keys() == OF_THE_CONTRACT


@pytest.mark.parametrize("event", EVENTS)
async def test_no_payload_and_no_object(scene: Scene, event: str) -> None:
    await scene.refuses(event)
    for payload in (None, True, 0, -1.5, 10**400, "", "text", [], [scene.good(event)], {}, {"": None}):
        await scene.refuses(event, payload)


@pytest.mark.parametrize("event", EVENTS)
async def test_missing_wrong_and_extra_fields(scene: Scene, event: str) -> None:
    payload = scene.good(event)
    for field, value in payload.items():
        optional = field == "displayName"
        why = "Message content is required" if field == "content" else "Invalid request"
        if not optional:
            await scene.refuses(event, {key: payload[key] for key in payload if key != field}, why=why)
        wrong: list[Any] = [7, [value], {"a": value}] if isinstance(value, str) else ["true", 1, 0, [], {}]
        if field in ("sdp", "candidate"):  # opaque: any shape is right
            continue
        for instead in wrong:
            await scene.refuses(event, {**payload, field: instead})
        if not optional:
            await scene.refuses(event, {**payload, field: None}, why=why)


EXTRAS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"extra": 1, "socketId": "forged", "isHost": True}, []),
    ({"__proto__x": {}, "RoomId": "x", "": None}, []),
    ({"extra": nested(200)}, []),
    ({}, [None]),
    ({}, [{"roomId": "x"}, "more", 7]),
    ({}, list(range(100))),
]


@pytest.mark.parametrize(("fields", "arguments"), EXTRAS, ids=range(len(EXTRAS)))
@pytest.mark.parametrize("event", EVENTS)
async def test_what_the_server_does_not_know_is_ignored(
    meet: Meet, event: str, fields: dict[str, Any], arguments: list[Any]
) -> None:
    """Front ends send more than they must, and `emit(event, data, undefined)` sends a null behind it."""
    place = await meet.place(waitingRoom=event in ("admit-participant", "deny-participant"))
    host = await meet.join(place, place.host)
    if event in ("admit-participant", "deny-participant"):
        other = await meet.connect(auth={"capabilities": ["waiting-room"]})
        assert (await enter(other, place))["waiting"] is True
    else:
        other = await meet.join(place, name="Other")
    answer = await host.ask(event, {**good(event, place, other.sid), **fields}, *arguments)
    assert answer["success"] is True, answer


@pytest.mark.parametrize("event", EVENTS)
async def test_without_a_first_argument_further_ones_do_not_count(scene: Scene, event: str) -> None:
    await scene.refuses(event, None, scene.good(event))
    await scene.refuses(event, *range(100))


HALF = "\ud83d"
"""Half an emoji: what a front end sends that cuts a text after so many UTF-16 units."""


async def test_half_an_emoji_spoils_nothing_beside_it(meet: Meet) -> None:
    ada = await meet.person("Ada")
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_connection(meet.url) as socket:
        await socket.open({"token": ada.token, "displayName": f"Ad{HALF}a"})
        await socket.event("join-room", {"roomCode": place.code, "displayName": f"Ad{HALF}a"}, ack=1)
        joined = acknowledgement((await socket.receive_until("431"))[-1])[1]
        assert joined["success"] is True
        known = (await host.next("user-joined"))["participant"]
        assert (known["userId"], known["displayName"]) == (ada.id, "Ad\ufffda")
        await socket.event("chat-message", {"roomId": place.id, "content": f"cut {HALF}"}, ack=2)
        said = acknowledgement((await socket.receive_until("432"))[-1])[1]["message"]
        assert said["content"] == "cut \ufffd"


@pytest.mark.parametrize(
    ("event", "field"), [("offer", "sdp"), ("answer", "sdp"), ("ice-candidate", "candidate")]
)
@pytest.mark.parametrize(
    "opaque",
    [
        r'"\ud83d"',
        r'{"sdp":"a\uDE00b","\ud83d":["\\ud83d","\ud83d\ude00","\ud83d\ud83d\ude00"]}',
        r'["targetId","\ufffd\ud800"]',
    ],
)
async def test_what_is_relayed_keeps_half_emojis_as_they_came(
    meet: Meet, event: str, field: str, opaque: str
) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_socket(meet.url) as socket, raw_socket(meet.url) as target:
        await join(socket, place)
        await join(target, place)
        before = r'"sdp":"\ud83d",' if field == "candidate" else r'"x":",\ud83d:",'
        payload = f'{{{before}"targetId":"{target.sid}" , "{field}" : {opaque} , "after":1}}'
        await socket.send(f'427["{event}", {payload},null]')
        assert acknowledgement((await socket.receive_until("437"))[-1]) == (7, OK)
        relayed = (await target.receive_until(f'42["{event}"'))[-1]
        assert f'"{field}":{opaque}}}' in relayed
    await host.unread()


@pytest.mark.parametrize("event", EVENTS)
async def test_huge_and_deep(scene: Scene, event: str) -> None:
    payload = scene.good(event)
    huge = "x" * 200_000
    for bad in (
        {**payload, next(iter(payload)): huge},
        {**payload, huge: 1},
        {**payload, "extra": huge},
        {**payload, "extra": list(range(50_000))},
        {f"k{number}": number for number in range(20_000)},
        nested(500),
    ):
        await scene.refuses(event, bad)


@pytest.mark.parametrize("event", ["offer", "answer", "ice-candidate"])
async def test_content_that_is_too_large_to_relay(scene: Scene, event: str) -> None:
    payload = scene.good(event)
    field = "candidate" if event == "ice-candidate" else "sdp"
    await scene.refuses(event, {**payload, field: "x" * 200_000})


@pytest.mark.parametrize("event", EVENTS)
async def test_ids_that_are_no_ids(scene: Scene, event: str) -> None:
    """Refused one way or another, and never with anything but a sentence of the contract."""
    payload = scene.good(event)
    field = "targetId" if "targetId" in payload else "roomId"
    if event == "join-room":
        field = "roomCode"
    for nonsense in (
        "",
        " ",
        "\x00",
        "x" * 128,
        "x" * 129,
        "../../etc",
        "' OR ''='",
        "%",
        "😀",
        "__proto__",
        "constructor",
    ):
        answer = await scene.host.ask(event, {**payload, field: nonsense})
        assert answer["success"] is False
        assert answer["error"] in (
            "Invalid request",
            "Invalid room code",
            "Not in this room",
            "Participant not found",
        )
    await scene.host.unread()


@pytest.mark.parametrize("event", EVENTS)
async def test_bytes(scene: Scene, event: str) -> None:
    """Binary attachments are refused, wherever they stand."""
    attachment = {"$bytes": base64.b64encode(b"\x00\xff" * 50).decode()}
    payload = scene.good(event)
    for args in (
        [attachment],
        [{**payload, next(iter(payload)): attachment}],
        [payload, attachment],
        [{**payload, "extra": [attachment, attachment]}],
    ):
        answer = await scene.host.ask(event, *args)
        assert answer == INVALID
        scene.host.emit(event, *args)
    await scene.host.unread()


@pytest.mark.parametrize(
    "event",
    [
        "no-such-event",
        "",
        " ",
        "join",
        "JOIN-ROOM",
        "room-joined",
        "user-left",
        "force-disconnect",
        "room-ended",
        "message",
        "ping",
        "__proto__",
        "constructor",
        "😀\x00",
        "x" * 10_000,
    ],
)
async def test_an_unknown_event(scene: Scene, event: str) -> None:
    for args in ([], [None], [{"roomId": scene.place.id}], ["x" * 100_000], [nested(200)]):
        assert await scene.host.ask(event, *args) == failure("Unknown event")
        scene.host.emit(event, *args)
    assert await scene.host.unread() == []


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_message_beyond_the_transports_limit_ends_its_sender_alone(
    meet: Meet, scene: Scene, transport: str
) -> None:
    flooder = await meet.connect(transports=[transport])
    flooder.emit("chat-message", {"roomId": scene.place.id, "content": "x" * 2_000_000})
    assert await flooder.next("$disconnected") in ("transport close", "transport error")


async def test_a_flooder_in_the_room_is_missed_by_those_who_see_it_go(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    flooder = await meet.join(place)
    await host.unread()
    flooder.emit("offer", {"targetId": host.sid, "sdp": "x" * 2_000_000})
    assert (await host.next("user-left"))["socketId"] == flooder.sid
    assert await host.unread() == []
    assert await meet.open_rows(place) == 1


async def test_refusals_are_counted(meet: Meet, scene: Scene) -> None:
    before = meet.refused
    scene.host.emit("offer", None)
    scene.host.emit("no-such-thing")
    await scene.host.sync()  # an unknown event itself
    assert meet.refused["INVALID_REQUEST"] == before["INVALID_REQUEST"] + 1
    assert meet.refused["UNKNOWN_EVENT"] == before["UNKNOWN_EVENT"] + 2


async def test_a_refused_join_leaves_nothing_behind(meet: Meet, scene: Scene) -> None:
    guest = await meet.connect()
    for _ in range(3):
        assert await enter(guest, scene.place, roomCode=7) == INVALID
    assert len(await meet.rows(scene.place)) == 2
