"""A slow store delays chat, and keeps the order of everything else: nothing overtakes, nothing is held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from neuron_meet.app import Server, running
from neuron_meet.settings import Settings
from tests.process.visitor import Visitor, visiting
from tests.store.seeds import nobody_writes


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[Server]:
    settings = Settings(
        _env_file=None, node_env="test", port=0, jwt_secret="a-secret-of-these-tests-with-32-bytes"
    )  # type: ignore[call-arg]
    async with running(settings, database_url) as server:
        yield server


@pytest.fixture
async def ada(server: Server) -> AsyncIterator[Visitor]:
    async with visiting(server.url) as visitor:
        await visitor.register()
        yield visitor


async def test_candidates_do_not_overtake_the_offer_behind_a_join(ada: Visitor, database_url: str) -> None:
    room = await ada.room()
    joining = {"roomCode": room["code"], "displayName": "Somebody"}
    sender, target = await ada.socket(), await ada.socket(guest=True)
    for socket in (target, sender):
        assert (await socket.ask("join-room", joining))["success"]
    await sender.next("room-joined")
    async with nobody_writes(database_url, "Message"):
        # In one go: join again, say something (which will take its time), offer.
        await sender.emit("join-room", joining)
        await sender.emit("chat-message", {"roomId": room["id"], "content": "slow"})
        await sender.emit("offer", {"targetId": target.sid, "sdp": "the offer"})
        await sender.next("room-joined")
        await sender.emit("ice-candidate", {"targetId": target.sid, "candidate": "the candidate"})
        await target.ask("leave-room", {"roomId": "another"})  # a round trip of both: all of it has arrived
        await ada.call("GET", "/api/health")
    order = [await target.next_of("offer", "ice-candidate") for _ in range(2)]
    assert order == ["offer", "ice-candidate"]


async def test_a_slow_chat_holds_up_no_candidate(ada: Visitor, database_url: str) -> None:
    room = await ada.room()
    joining = {"roomCode": room["code"], "displayName": "Somebody"}
    sender, target = await ada.socket(), await ada.socket(guest=True)
    for socket in (target, sender):
        assert (await socket.ask("join-room", joining))["success"]
    async with nobody_writes(database_url, "Message"):
        said = [
            asyncio.create_task(sender.ask("chat-message", {"roomId": room["id"], "content": str(n)}))
            for n in range(3)
        ]
        await asyncio.sleep(0)
        for n in range(20):
            relayed = {"targetId": target.sid, "candidate": str(n)}
            assert await sender.ask("ice-candidate", relayed) == {"success": True}
            assert (await target.next("ice-candidate"))["candidate"] == str(n)
        assert not any(each.done() for each in said)
    acks = await asyncio.gather(*said)
    assert [ack["message"]["content"] for ack in acks] == ["0", "1", "2"]
    assert [(await target.next("chat-message"))["content"] for _ in range(3)] == ["0", "1", "2"]
