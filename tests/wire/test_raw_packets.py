"""Packets that no client library sends, on a bare websocket and on bare polling."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.wire.clients import Client
from tests.wire.meeting import OK, Meet, Place, failure
from tests.wire.raw import acknowledgement, join, raw_connection, raw_socket

pytestmark = pytest.mark.one_node("packets, not rooms")

UNKNOWN = failure("Unknown event")
INVALID = failure("Invalid request")


@pytest.fixture
async def witness(meet: Meet) -> AsyncIterator[tuple[Place, Client]]:
    """A room and somebody in it, who notices nothing and goes on."""
    place = await meet.place()
    client = await meet.join(place, place.host)
    yield place, client
    assert await client.unread() == []
    assert meet.present(place) == [client.sid]


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    "packet",
    [
        "42",
        "42{}",
        "42[]",
        "42[7]",
        "42[null]",
        '42["chat-message"',
        '42["chat-message",]',
        "42[[[[",
        '42["chat-message",NaN]',
        '42["chat-message",{"roomId":"x","content":Infinity}]',
        '42["chat-message",{"roomId":"x","content":"a\x01b"}]',
        '42["chat-message",{"roomId":"x","content":"\\x"}]',
        "42" + "[" * 50_000,
        "42[" + '"a",' * 5_000,
        '42["offer",' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "]",
        "42-1[]",
        '42/other,["chat-message",{}]',
        "42" + "9" * 400 + '["x"]',
        "421e9[]",
        "43",
        "431[]",
        "439999999[{}]",
        "44",
        '44{"message":"x"}',
        "45",
        "450-[]",
        "451-",
        '451-["chat-message",{"_placeholder":true,"num":0}]',
        '45999999999-["chat-message"]',
        '451-["x",{"_placeholder":true,"num":99}]',
        "461-1[]",
        "46",
        "47",
        "49",
        "4",
        "4x",
        "40",
        '40{"token":"x"}',
        "40nonsense",
        "40/other,",
        "",
        "2",
        "2probe",
        "3",
        "3probe",
        "5",
        "6",
        "7",
        "b" + "QUJD",
        "x",
        "\x00",
        "\ufeff42[]",
        "😀",
    ],
    ids=lambda packet: repr(packet)[:40],
)
async def test_a_malformed_packet_is_passed_over(meet: Meet, packet: str) -> None:
    async with raw_socket(meet.url) as socket:
        await socket.send(packet)
        assert await socket.alive()


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    ("packet", "number", "answer"),
    [
        ('427["chat-message"', 7, INVALID),
        ("427[]", 7, INVALID),
        ("427[7]", 7, INVALID),
        ("427{}", 7, INVALID),
        ("427", 7, INVALID),
        ('420["x"]', 0, UNKNOWN),
        ('42999999999999999["x"]', 999999999999999, UNKNOWN),
        ('427["chat-message",NaN]', 7, INVALID),
        ('427["chat-message",{"roomId":"x","content":"a\\ud800b"}]', 7, failure("Not in this room")),
        ('451-7["chat-message",{"_placeholder":true,"num":0}]', 7, INVALID),
        ('427["chat-message",{"roomId":"x","roomId":"y","content":1}]', 7, INVALID),
    ],
)
async def test_a_malformed_packet_with_an_id_is_answered(
    meet: Meet, packet: str, number: int, answer: dict[str, Any]
) -> None:
    async with raw_socket(meet.url) as socket:
        await socket.send(packet)
        assert acknowledgement(await socket.receive()) == (number, answer)
        assert await socket.alive()


@pytest.mark.usefixtures("witness")
async def test_binary_frames(meet: Meet) -> None:
    async with raw_socket(meet.url) as socket:
        await socket.send_bytes(b"")
        await socket.send_bytes(b'42["chat-message",{}]')
        await socket.send_bytes(bytes(range(256)) * 100)
        assert await socket.alive()


async def test_events_before_the_namespace(meet: Meet, witness: tuple[Place, Client]) -> None:
    place, _ = witness
    async with raw_connection(meet.url) as socket:
        await socket.event("join-room", {"roomCode": place.code, "displayName": "Early"}, ack=1)
        await socket.event("chat-message", {"roomId": place.id, "content": "x"}, ack=2)
        await socket.send("41")
        await socket.send("451-3[]")
        await socket.open()
        assert await socket.alive()


@pytest.mark.usefixtures("witness")
async def test_a_second_connect_packet_changes_nobody(meet: Meet) -> None:
    """Neither the id nor the identity of a socket that is connected."""
    ada = await meet.person("Ada")
    place = await meet.place()
    async with raw_socket(meet.url) as socket:
        await socket.send(f"40{json.dumps({'token': ada.token})}")
        await join(socket, place)
        later = await meet.connect()
        ack = await later.ask("join-room", {"roomCode": place.code, "displayName": "y"})
        assert [(one["socketId"], one["userId"]) for one in ack["participants"]] == [(socket.sid, None)]


async def test_disconnect_and_connect_again_on_one_connection(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with raw_socket(meet.url) as socket:
        await join(socket, place)
        former = socket.sid
        await socket.send("41")
        assert (await host.next("user-left"))["socketId"] == former
        await socket.event("typing-start", {"roomId": place.id}, ack=5)  # nobody is there to answer
        await socket.open()
        assert socket.sid != former
        await join(socket, place)
    assert (await host.next("user-joined"))["participant"]["socketId"] == former
    assert (await host.next("user-joined"))["participant"]["socketId"] == socket.sid
    assert (await host.next("user-left"))["socketId"] == socket.sid


@pytest.mark.parametrize("receiver", ["websocket", "polling"])
async def test_a_separator_of_packets_is_not_relayed_as_one(meet: Meet, receiver: str) -> None:
    """U+001E separates packets in polling: raw in a payload it is no JSON, escaped it is text."""
    place = await meet.place()
    host = await meet.join(place, place.host, transports=[receiver])
    async with raw_socket(meet.url) as socket:
        await join(socket, place)
        await host.unread()
        await socket.send(f'427["offer",{{"targetId":"{host.sid}","sdp":"x\x1e41"}}]')
        assert acknowledgement(await socket.receive()) == (7, INVALID)
        await socket.send(f'428["offer",{{"targetId":"{host.sid}","sdp":"x\\u001e41"}}]')
        assert acknowledgement(await socket.receive()) == (8, OK)
        assert (await host.next("offer"))["sdp"] == "x\x1e41"
        assert await host.unread() == []


async def test_a_message_beyond_the_limit_closes_with_1009(meet: Meet) -> None:
    async with raw_socket(meet.url) as socket:
        await socket.send('42["x","' + "x" * 2_000_000 + '"]')
        assert await socket.close_code() == 1009


async def test_no_stack_and_no_class_name_is_told(meet: Meet) -> None:
    async with ClientSession(meet.url) as session:
        for query in (
            "",
            "?EIO=3&transport=websocket",
            "?EIO=4&transport=carrier-pigeon",
            "?EIO=4&transport=polling&sid=unknown",
            "?EIO=4&transport=polling&sid=" + "x" * 2000,
        ):
            async with session.get(f"/socket.io/{query}") as response:
                text = await response.text()
                assert response.status == 400
                assert "Traceback" not in text
                assert "neuron_meet" not in text


# -- polling
async def opened(session: ClientSession) -> str:
    """The query of a polling connection that is a socket of the default namespace."""
    async with session.get("/socket.io/?EIO=4&transport=polling") as response:
        text = await response.text()
    assert text.startswith("0{")
    query = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(text[1:])['sid']}"
    async with session.post(query, data="40") as response:
        assert (response.status, await response.text()) == (200, "ok")
    async with session.get(query) as response:
        assert (await response.text()).startswith('40{"sid"')
    return query


@pytest.mark.parametrize(
    "body",
    [b"", b"\x1e", b"\x1e\x1e\x1e", b"\xff\xfe", b"42[", b"9", b"42[]\x1e\x1e4", b"bQUJD", b"b!!!"],
    ids=repr,
)
async def test_malformed_polling_bodies(meet: Meet, body: bytes) -> None:
    async with ClientSession(meet.url) as session:
        query = await opened(session)
        async with session.post(query, data=body) as response:
            assert response.status in (200, 400)
        async with session.post(query, data='427["no-such-event"]') as response:
            assert response.status == 200
        async with session.get(query) as response:
            assert acknowledgement((await response.text()).split("\x1e")[-1]) == (7, UNKNOWN)


async def test_a_polling_body_beyond_the_limit(meet: Meet, witness: tuple[Place, Client]) -> None:
    async with ClientSession(meet.url) as session:
        query = await opened(session)
        async with session.post(query, data=BytesIO(b"x" * 2_000_000)) as response:
            assert response.status in (400, 413)
    assert await witness[1].unread() == []


async def test_a_packet_for_many(meet: Meet) -> None:
    """A polling client sends what has piled up in one request."""
    place = await meet.place()
    host = await meet.join(place, place.host)
    async with ClientSession(meet.url) as session:
        query = await opened(session)
        packets = ['42["join-room",{"roomCode":"%s","displayName":"P"}]' % place.code]  # noqa: UP031
        packets += ['42["ice-candidate",{"targetId":"%s","candidate":%d}]' % (host.sid, n) for n in range(60)]  # noqa: UP031
        async with session.post(query, data="\x1e".join(packets)) as response:
            assert response.status == 200
        await host.next("user-joined")
        got = [(await host.next("ice-candidate"))["candidate"] for _ in range(60)]
        assert got == list(range(60))
