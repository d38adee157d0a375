"""Socket.IO 5, sentence by sentence (github.com/socketio/socket.io-protocol): each test has one of them in own words.

What is not served, and what its client sees: docs/protocol.md#what-is-not-served.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from neuron_meet.realtime import connecting
from tests.wire.clients import Driver
from tests.wire.handmade import BINARY, CLOSE, TEXT, Session, Stranger, frame, polling, stranger
from tests.wire.meeting import Meet, meeting_on

pytestmark = pytest.mark.one_node("packets, not rooms")

UNKNOWN = '{"error":"Unknown event","success":false}'
INVALID = '{"error":"Invalid request","success":false}'
ASK, ANSWER = '427["no-such-event"]', f"437[{UNKNOWN}]"


def event(name: str, number: int | str = "", /, **payload: Any) -> str:
    """An EVENT packet."""
    return f"42{number}{json.dumps([name, payload])}"


class Wire:
    """Packets by websocket, or by polling."""

    def __init__(self, carrier: Stranger | Session) -> None:
        self._carrier = carrier
        self._read: list[str] = []

    async def send(self, *packets: str) -> None:
        """Send packets."""
        if isinstance(self._carrier, Stranger):
            self._carrier.send(*(frame(TEXT, packet.encode()) for packet in packets))
            return
        body = "\x1e".join(packets).encode()
        assert await self._carrier.lines[0].exchange(self._carrier.post(body)) == (200, b"ok")

    async def next(self) -> str:
        """The next packet of the server."""
        while not self._read:
            if isinstance(self._carrier, Stranger):
                packets = [(await self._carrier.receive())[1]]
            else:
                packets = (await self._carrier.lines[0].exchange(self._carrier.get))[1].split(b"\x1e")
            self._read += [packet.decode() for packet in packets if packet != b"2"]
        return self._read.pop(0)

    async def said(self, *packets: str) -> list[str]:
        """Everything that the server says to these packets."""
        await self.send(*packets, '42999["no-such-event"]')
        said: list[str] = []
        while not said or said[-1] != f"43999[{UNKNOWN}]":
            said.append(await self.next())
        return said[:-1]


@asynccontextmanager
async def connected(meet: Meet, transport: str) -> AsyncIterator[Wire]:
    """A socket of the default namespace."""
    if transport == "websocket":
        async with stranger(meet.url) as websocket:
            yield Wire(websocket)
        return
    async with polling(meet) as session:
        yield Wire(session)


@pytest.fixture(params=["websocket", "polling"])
async def wire(meet: Meet, request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """One on either transport."""
    async with connected(meet, request.param) as wire:
        yield wire


# -- connection to a namespace
@pytest.mark.parametrize(
    "packet",
    ["40", "40{}", '40{"token":"123"}', "40/", "40/,", '40/,{"displayName":"Ada"}', "40null", "40[]"],
)
async def test_connect_is_answered_with_an_id(meet: Meet, packet: str) -> None:
    """The main namespace is written as nothing or by its name; a payload may follow."""
    async with stranger(meet.url, opened=False) as websocket:
        websocket.send(frame(TEXT, packet.encode()))
        kind, answer = await websocket.receive()
        assert (kind, answer[:2]) == (TEXT, b"40")
        opening = json.loads(answer[2:])
        assert opening.keys() == {"sid"}  # and `pid` where recovery is on
        assert isinstance(opening["sid"], str)


@pytest.mark.parametrize("packet", ["40/admin", "40/admin,", '40/admin,{"token":"123"}'])
async def test_another_namespace_is_refused(meet: Meet, packet: str) -> None:
    """By CONNECT_ERROR with a message; the connection goes on, and may ask for the main one."""
    async with stranger(meet.url, opened=False) as websocket:
        websocket.send(frame(TEXT, packet.encode()), frame(TEXT, b"40"))
        assert await websocket.receive() == (TEXT, b'44/admin,{"message":"Invalid namespace"}')
        assert (await websocket.receive())[1].startswith(b'40{"sid"')


async def test_a_namespace_beside_the_main_one_is_refused(wire: Wire) -> None:
    assert await wire.said("40/admin,") == ['44/admin,{"message":"Invalid namespace"}']


async def test_a_second_connect_changes_nothing(wire: Wire) -> None:
    assert await wire.said("40", '40{"token":"x"}') == []


async def test_who_does_not_connect_is_closed(
    js: Driver, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events before it are not handled. The document has them close the connection at once; here they only wait."""
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_SECONDS", 0.3)
    async with meeting_on(shared_database, js) as meet, stranger(meet.url, opened=False) as websocket:
        websocket.send(frame(TEXT, ASK.encode()))
        assert await websocket.receive() == (TEXT, b"1")
        assert await websocket.close_code() == 1000


# -- sending and receiving data
async def test_an_event_of_the_server(meet: Meet) -> None:
    """Its name, its payload; with recovery on, one more argument."""
    place = await meet.place()
    async with stranger(meet.url) as websocket:
        wire = Wire(websocket)
        await wire.send(event("join-room", roomCode=place.code, displayName="Ada"))
        assert (await wire.next()).startswith('42["room-joined",{')


@pytest.mark.parametrize("packet", ["42[]", "42{}", "42", "42null", '42"x"', "42[7]", "42[{}]", "42[null]"])
async def test_an_event_needs_an_array_that_begins_with_a_name(wire: Wire, packet: str) -> None:
    """The document has any other end the connection. Here its acknowledgement says so, where one is asked for."""
    assert await wire.said(packet) == []
    assert await wire.said(packet[:2] + "7" + packet[2:]) == [f"437[{INVALID}]"]


@pytest.mark.parametrize("packet", ['42abc["x"]', '42-1["x"]', '421.5["x"]', "47", "48[]", "4x", "4"])
async def test_what_is_no_packet_is_passed_over(wire: Wire, packet: str) -> None:
    """An unknown type, an id that is none. The document has them end the connection."""
    said = await wire.said(packet)
    assert said in ([], [f"431[{INVALID}]"])


async def test_an_event_of_another_namespace_is_nobodys(wire: Wire) -> None:
    assert await wire.said('42/admin,["no-such-event"]', '42/admin,7["no-such-event"]') == []


@pytest.mark.parametrize("name", ["", "/,"])
async def test_the_main_namespace_may_be_named(wire: Wire, name: str) -> None:
    assert await wire.said(f'42{name}7["no-such-event"]') == [ANSWER]


# -- acknowledgements
@pytest.mark.parametrize("number", ["0", "7", "12", "999999999999999"])
async def test_an_acknowledgement_has_the_id_of_its_event(wire: Wire, number: str) -> None:
    assert await wire.said(f'42{number}["no-such-event"]') == [f"43{number}[{UNKNOWN}]"]


async def test_there_is_none_where_none_was_asked_for(wire: Wire) -> None:
    assert await wire.said('42["no-such-event"]') == []


@pytest.mark.parametrize("packet", ["437[]", '437["x"]', "43[]", '461-7[{"_placeholder":true,"num":0}]'])
async def test_acknowledgements_that_nobody_asked_for(wire: Wire, packet: str) -> None:
    assert await wire.said(packet) == []


# -- binary
async def test_binary_events_are_refused(meet: Meet) -> None:
    """With their acknowledgement, whatever their attachments are."""
    async with stranger(meet.url) as websocket:
        wire = Wire(websocket)
        for count in (0, 1, 2):
            places = "".join(f',{{"_placeholder":true,"num":{n}}}' for n in range(count))
            await wire.send(f'45{count}-7["chat-message"{places}]')
            websocket.send(frame(BINARY, b"\x01\x02\x03\x04") * count)
            assert await wire.next() == f"437[{INVALID}]"
        assert await wire.said('451-["chat-message",{"_placeholder":true,"num":0}]') == []
        assert await wire.said('451-/admin,7["x",{"_placeholder":true,"num":0}]') == [f"437[{INVALID}]"]


# -- disconnection
async def test_disconnect_has_no_answer_and_leaves_the_connection(wire: Wire) -> None:
    """Nothing is handled until the next CONNECT, which gives another id."""
    await wire.send("41", ASK, "40", ASK)
    assert (await wire.next()).startswith('40{"sid"')
    assert await wire.next() == ANSWER


async def test_leaving_another_namespace_changes_nothing(wire: Wire) -> None:
    assert await wire.said("41/admin,", "41/admin") == []


# -- a whole session
async def test_the_sample_session(meet: Meet) -> None:
    """Polling, an upgrade, another namespace, an acknowledgement, a close: as the document's last example goes."""
    place = await meet.place()
    async with polling(meet) as session:
        wire = Wire(session)
        await wire.send(
            event("join-room", 1, roomCode=place.code, displayName="Ada"),
            event("toggle-audio", roomId=place.id, enabled=False),
        )
        assert (await wire.next()).startswith('42["room-joined"')
        assert (await wire.next()).startswith("431[{")
        websocket = await Stranger.to(session.url)
        assert isinstance(websocket, Stranger)
        session.lines.append(websocket)
        assert (await websocket.exchange(session.upgrade))[0] == 101
        websocket.send(frame(TEXT, b"2probe"))
        assert await websocket.receive() == (TEXT, b"3probe")
        websocket.send(frame(TEXT, b"5"))
        over = Wire(websocket)
        assert await over.said("40/admin,") == ['44/admin,{"message":"Invalid namespace"}']
        await over.send(event("toggle-audio", 7, roomId=place.id, enabled=True))
        assert await over.next() == '437[{"success":true}]'
        await over.send("1")
        assert CLOSE in await websocket.everything()
