"""Each JavaScript client since 4.0, and both of python-socketio: a join, chat, a relay, a drop and a return.

From 4.6 on the JavaScript client asks for its former place, the others come back as somebody new
(docs/protocol.md#clients-that-do-not-recover).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio

from tests.recovery.away import until
from tests.recovery.proxy import Proxy, proxied
from tests.recovery.test_coming_back import SELF_RETURNING, comes_back, said
from tests.wire.clients import Client, Driver
from tests.wire.meeting import Meet, Place, enter

TRANSPORTS = pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join
)
VERSIONS = {"4.0": False, "4.5": False, "4.6": True, "4.7": True, "4.8": True}
"""And whether they recover."""


async def cut(proxy: Proxy, member: Client | Visitor, host: Client, place: Place) -> None:
    """Cut the network, have something missed, and let the network come back."""
    proxy.accepting = False
    proxy.cut()
    await member.next("$disconnected")
    await said(host, "missed", place.id)
    proxy.accepting = True


@TRANSPORTS
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_javascript_client(meet: Meet, js: Driver, version: str, transports: list[str]) -> None:
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    async with proxied(meet.server.url) as (proxy, url):
        package = {} if version == "4.8" else {"client": f"socket.io-client-{version}"}
        options: dict[str, Any] = {"transports": transports, "auth": {"token": mina.token}, **SELF_RETURNING}
        member = await js.connect(url, **options, **package)
        if len(transports) > 1:
            await member.next("$upgraded")
        ack = await enter(member, place, "Mina")
        assert [each["socketId"] for each in ack["participants"]] == [host.sid]
        assert (await host.next("user-joined"))["participant"]["socketId"] == member.sid
        await said(member, "hello", place.id)
        assert (await host.next("chat-message"))["content"] == "hello"
        assert (await member.next("chat-message"))["content"] == "hello"
        for one, other in ((host, member), (member, host)):
            assert await one.ask("offer", {"targetId": other.sid, "sdp": {"n": 1}}) == {"success": True}
            offer = await other.next("offer")
            assert (offer["senderId"], offer["sdp"]) == (one.sid, {"n": 1})

        former = member.sid
        await cut(proxy, member, host, place)
        assert await comes_back(member) is VERSIONS[version]
        if VERSIONS[version]:
            assert member.sid == former
            assert (await member.next("chat-message"))["content"] == "missed"
        else:
            assert member.sid != former
            ack = await enter(member, place, "Mina")
            assert [each["socketId"] for each in ack["participants"]] == [host.sid], "not its former self"
            assert [message["content"] for message in ack["messages"]] == ["hello", "missed"]
            assert (await host.next("user-left"))["socketId"] == former
            assert (await host.next("user-joined"))["participant"]["socketId"] == member.sid
        await said(member, "back", place.id)
        assert (await member.next("chat-message"))["content"] == "back"
        assert meet.present(place) == [host.sid, member.sid]
        member.disconnect()
        await host.next("user-left")


async def test_a_guest_of_an_old_client_meets_its_former_self(brief_meet: Meet) -> None:
    """Nothing says that it is the same: the former one goes when its time is up."""
    meet = brief_meet
    place = await meet.place()
    host = await meet.join(place, place.host)
    guest = await meet.join(place, client="socket.io-client-4.5")
    former = guest.sid
    guest.drop()
    await guest.next("$disconnected")
    assert await guest.reconnect() is False
    await enter(guest, place, "Gus")
    assert (await host.next("user-left"))["socketId"] == former
    await until(lambda: meet.present(place) == [host.sid, guest.sid])


# -- python-socketio
class Visitor:
    """One of python-socketio's clients; the synchronous one in threads."""

    def __init__(self, client: socketio.AsyncClient | socketio.Client) -> None:
        self.client: Any = client
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        client.on("*", lambda name, *args: self.events.append((name, args)))
        client.on("connect", lambda: self.events.append(("$connected", ())))
        client.on("disconnect", lambda *reason: self.events.append(("$disconnected", reason)))

    async def do(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the client."""
        function = getattr(self.client, method)
        if isinstance(self.client, socketio.AsyncClient):
            return await function(*args, **options)
        return await asyncio.to_thread(function, *args, **options)

    async def ask(self, event: str, payload: dict[str, Any]) -> Any:
        """The acknowledgement of an event."""
        return await self.do("call", event, payload)

    async def next(self, name: str) -> tuple[Any, ...]:
        """What a handler of that event gets."""
        await until(lambda: any(event == name for event, _ in self.events))
        at = next(at for at, (event, _) in enumerate(self.events) if event == name)
        return self.events.pop(at)[1]

    @property
    def sid(self) -> str:
        """The socket's id."""
        return str(self.client.get_sid())


@asynccontextmanager
async def visiting(kind: str, url: str, transports: list[str], token: str) -> AsyncIterator[Visitor]:
    """A connected client that comes back by itself."""
    returning = {"reconnection_delay": 0.02, "reconnection_delay_max": 0.05, "randomization_factor": 0}
    client = (socketio.AsyncClient if kind == "async" else socketio.Client)(**returning, handle_sigint=False)
    visitor = Visitor(client)
    await visitor.do("connect", url, auth={"token": token}, transports=transports)
    await visitor.next("$connected")
    try:
        yield visitor
    finally:
        await visitor.do("disconnect")
        await visitor.do("wait")


@TRANSPORTS
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_python_client(meet: Meet, kind: str, transports: list[str]) -> None:
    """Each handler gets the offset as one more argument; the client does not recover."""
    place, mina = await meet.place(), await meet.person("Mina")
    host = await meet.join(place, place.host)
    async with (
        proxied(meet.server.url) as (proxy, url),
        visiting(kind, url, transports, mina.token) as member,
    ):
        assert member.client.transport() == transports[-1]
        joining = {"roomCode": place.code, "displayName": "Mina"}
        ack = await member.ask("join-room", joining)
        assert [each["socketId"] for each in ack["participants"]] == [host.sid]
        joined, offset = await member.next("room-joined")
        assert joined["roomId"] == place.id
        assert isinstance(offset, str)
        assert (await host.next("user-joined"))["participant"]["socketId"] == member.sid
        chat = {"roomId": place.id, "content": "hello"}
        assert (await member.ask("chat-message", chat))["success"] is True
        assert (await host.next("chat-message"))["content"] == "hello"
        assert (await member.next("chat-message"))[0]["content"] == "hello"
        assert await member.ask("offer", {"targetId": host.sid, "sdp": "a"}) == {"success": True}
        assert (await host.next("offer"))["sdp"] == "a"
        assert await host.ask("offer", {"targetId": member.sid, "sdp": "b"}) == {"success": True}
        assert (await member.next("offer"))[0]["sdp"] == "b"

        former = member.sid
        await cut(proxy, member, host, place)
        await member.next("$connected")
        assert member.sid != former
        ack = await member.ask("join-room", joining)
        assert [each["socketId"] for each in ack["participants"]] == [host.sid], "not its former self"
        assert [message["content"] for message in ack["messages"]] == ["hello", "missed"]
        assert (await host.next("user-left"))["socketId"] == former
        assert meet.present(place) == [host.sid, member.sid]


# -- clients that cannot be understood
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_the_msgpack_parser(meet: Meet, js: Driver, transport: str) -> None:
    """Its client sees an end, where it would wait for ever."""
    client = js.begin(meet.server.url, transports=[transport], parser="socket.io-msgpack-parser")
    if transport == "polling":
        assert await client.next("$disconnected") == "transport error"
        return
    closed = await client.next("$closed")
    assert closed == {"code": 1003, "text": "Binary packets are not supported: use the default parser"}
    assert await client.next("$disconnected") == "transport close"
