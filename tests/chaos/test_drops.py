"""Unclean drops through a TCP proxy: those who return are recovered and miss nothing, the others leave once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chaos.figures import Figures
from tests.chaos.meeting import entered, program, visitor
from tests.process.visitor import Socket
from tests.recovery.proxy import proxied
from tests.store.password_server import free_port
from tests.wire.clients import Client, Driver

PEOPLE = 20
RETURNING = {"reconnection": True, "reconnectionDelay": 20, "reconnectionDelayMax": 100}
SAID = 5


async def send(host: Socket, room: dict[str, Any], clients: list[Client], turn: int) -> None:
    """What everybody misses: messages to the room, and candidates to each."""
    for number in range(SAID):
        said = await host.ask("chat-message", {"roomId": room["id"], "content": f"{turn}.{number}"})
        assert said["success"] is True
        for client in clients:
            await host.emit("ice-candidate", {"targetId": client.sid, "candidate": f"{turn}.{number}"})
    await host.ask("no-such-event", {})


def kept(host: Socket) -> set[str]:
    """Names of the events that an onlooker who never dropped has got; forgets them."""
    names = {name for name, _ in host.events}
    host.events.clear()
    return names


async def test_drops_with_return_inside_the_grace(
    folder: Path, database_url: str, js: Driver, long: bool, figures: Figures
) -> None:
    turns = 10 if long else 2
    times: list[float] = []
    loop = asyncio.get_running_loop()
    async with (
        program(folder, free_port(), DATABASE_URL=database_url) as running,
        visitor(running.url) as who,
        proxied(running.url) as (proxy, url),
    ):
        await who.register()
        room = await who.room()
        host = await who.socket()
        await entered(host, room["code"], "Host")
        clients = [
            await js.connect(url, transports=["websocket" if number % 4 else "polling"], auth={}, **RETURNING)
            for number in range(PEOPLE)
        ]
        for client in clients:
            assert (await client.ask("join-room", {"roomCode": room["code"]}))["success"] is True
        for client in clients:
            await client.unread()
        former = [client.sid for client in clients]
        await host.ask("no-such-event", {})
        kept(host)
        for turn in range(turns):
            proxy.accepting = False
            proxy.cut()
            await asyncio.gather(*(client.next("$disconnected") for client in clients))
            await send(host, room, clients, turn)
            cut = loop.time()
            proxy.accepting = True
            opened = await asyncio.gather(*(client.next("$connected") for client in clients))
            times.append(loop.time() - cut)
            assert [one["recovered"] for one in opened] == [True] * PEOPLE
            assert [one["id"] for one in opened] == former
            for client in clients:
                events = [event for event in await client.unread() if not event[0].startswith("$")]
                assert [
                    (name, payload.get("content") or payload["candidate"]) for name, payload in events
                ] == [
                    (name, f"{turn}.{number}")
                    for number in range(SAID)
                    for name in ("chat-message", "ice-candidate")
                ]
            assert kept(host) == {"chat-message"}
        status, people = await who.call("GET", f"/api/rooms/code/{room['code']}/participants")
        assert (status, len(people)) == (200, PEOPLE + 1)
        for client in clients:
            client.disconnect()
        for _ in clients:
            await host.next("user-left")
        assert await running.stop() == 0
        assert "differed from presence" not in running.output
        assert "Traceback" not in running.output
    figures.add("drops with return", turns * PEOPLE)
    figures.add("recovered, same id, every missed event once and in order", turns * PEOPLE)
    figures.add("user-left seen", 0)
    figures.spread("all twenty back after the network", times)


async def test_drops_without_return(folder: Path, database_url: str, long: bool, figures: Figures) -> None:
    """Half cut, half silent: the silent ones are noticed by their pings (10 + 8 s; short form: 1 + 1 s)."""
    people, grace = (200, 15.0) if long else (20, 1.0)
    pings = {} if long else {"PING_INTERVAL_SECONDS": "1", "PING_TIMEOUT_SECONDS": "1"}
    loop = asyncio.get_running_loop()
    async with (
        program(
            folder, free_port(), DATABASE_URL=database_url, RECOVERY_GRACE_SECONDS=str(grace), **pings
        ) as running,
        visitor(running.url) as who,
        proxied(running.url) as (cut_off, cut_url),
        proxied(running.url) as (silent, silent_url),
        visitor(cut_url) as dropper,
        visitor(silent_url) as sleeper,
    ):
        await who.register()
        room = await who.room()
        _, settled = await who.call("PATCH", f"/api/rooms/{room['id']}/settings", {"maxParticipants": 100})
        assert settled["settings"]["maxParticipants"] == 100
        host = await who.socket()
        await entered(host, room["code"], "Host")
        rooms = [room, *[await who.room() for _ in range(people // 50)]]
        gone: list[Socket] = []
        for number in range(people):
            side = dropper if number % 2 else sleeper
            gone.append(socket := await side.socket(guest=True))
            await entered(socket, rooms[number % len(rooms)]["code"])
        onlookers = [host, *[await who.socket(guest=True) for _ in rooms[1:]]]
        for onlooker, place in zip(onlookers[1:], rooms[1:], strict=True):
            await entered(onlooker, place["code"], "Onlooker")
        started = loop.time()
        silent.passing.clear()
        cut_off.accepting = False
        cut_off.cut()
        left: dict[str, float] = {}
        expected = {socket.sid for socket in gone}

        async def watch(onlooker: Socket, number: int) -> None:
            for _ in range(number):
                async with asyncio.timeout(grace + 20):
                    sid = (await wait_for(onlooker, "user-left"))["socketId"]
                assert sid not in left, "user-left twice"
                left[sid] = loop.time() - started

        await asyncio.gather(
            *(
                watch(onlooker, sum(socket_room % len(rooms) == index for socket_room in range(people)))
                for index, onlooker in enumerate(onlookers)
            )
        )
        assert left.keys() == expected
        assert min(left.values()) >= grace
        assert max(left.values()) <= grace + 20
        for onlooker in onlookers:
            await onlooker.ask("no-such-event", {})
            assert "user-left" not in kept(onlooker)
        for place in rooms:
            _, people_now = await who.call("GET", f"/api/rooms/code/{place['code']}/participants")
            assert len(people_now) == 1
        silent.cut()
        silent.passing.set()  # whoever slept finds the connection cut
        assert await running.stop() == 0
        assert "differed from presence" not in running.output
        assert "Traceback" not in running.output
    figures.add("drops without return (half cut, half silent)", people)
    figures.add("user-left, once each", len(left))
    figures.add("grace", grace, "s")
    figures.add("user-left after", f"{min(left.values()):.1f} to {max(left.values()):.1f} s")


async def wait_for(socket: Socket, event: str) -> Any:
    """`next` that goes on waiting after its usual deadline, until the caller's own."""
    while True:
        with suppress(TimeoutError):
            return await socket.next(event)
