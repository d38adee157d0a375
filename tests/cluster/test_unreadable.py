"""Something that no node has written stands in Redis where a room should: 503 for a moment, and it is put back."""

from __future__ import annotations

from typing import Any

import pytest
import structlog.testing

from tests.wire.clients import Driver
from tests.wire.meeting import OK, Meet, enter, meeting_on

GARBAGE = {
    "a version": ("HSET", "state", "v", "x"),
    "rules": ("HSET", "state", "rules", "x"),
    "a member": ("HSET", "state", "m:somebody", b"\xff\x00"),
    "a waiter": ("HSET", "state", "w:somebody", b"\x91"),
    "a field's name": ("HSET", "state", b"m:\xff", b"\xff"),
    "another kind": ("SET", "state", "x"),
    "another kind of those kept out": ("SET", "out", "x"),
}


async def put(meet: Meet, code: str, command: tuple[Any, ...]) -> None:
    node = meet.server.node
    assert node is not None
    verb, what, *arguments = command
    name = node.link.keys.room_state(code).removesuffix("state") + what
    if verb == "SET":
        await node.link.do("DEL", name)
    await node.link.do(verb, name, *arguments)


async def shown(meet: Meet, code: str, node: int) -> tuple[int, Any]:
    """What a node says of who is in the room."""
    path = f"{meet.servers[node].url}/api/rooms/code/{code}/participants"
    async with meet._session.get(path) as response:
        return response.status, await response.json()


def repairs(logs: list[Any]) -> int:
    return sum(entry["event"].startswith("the state of a room in redis was unreadable") for entry in logs)


@pytest.mark.parametrize("what", GARBAGE)
async def test_who_has_people_in_the_room_puts_it_back(
    js: Driver, shared_database: str, redis_url: str, what: str
) -> None:
    """The third node has nobody in it, and finds what it cannot read; the others have a guest each."""
    async with meeting_on(shared_database, js, nodes=3, redis_url=redis_url) as meet:
        place = await meet.place()
        first, second = await meet.join(place, name="Ann"), await meet.join(place, name="Bea")
        await first.unread()
        with structlog.testing.capture_logs() as logs:
            await put(meet, place.code, GARBAGE[what])
            seen = [await shown(meet, place.code, 2) for _ in range(2)]
            assert seen[0][0] == 503
            assert seen[0][1]["message"] == "Service temporarily unavailable"
            while seen[-1][0] == 503 or not seen[-1][1]:  # until those who have it have heard
                seen.append(await shown(meet, place.code, 2))
            assert sorted(person["displayName"] for person in seen[-1][1]) == ["Ann", "Bea"]
        assert repairs(logs) == 1
        assert {status for status, _ in seen} == {200, 503}
        assert all(server.node is not None and server.node.up for server in meet.servers)
        third = await meet.connect()
        assert (await enter(third, place, "Cleo"))["success"] is True
        for client in (first, second):
            assert (await client.next("user-joined"))["participant"]["displayName"] == "Cleo"
            assert not any(name == "user-left" for name, _ in await client.unread())
        raised = {"roomId": place.id, "raised": True}
        assert await second.ask("toggle-hand-raise", raised) == OK
        assert (await first.next("user-hand-raised"))["socketId"] == second.sid


async def test_a_room_that_nobody_is_in_is_as_new(js: Driver, shared_database: str, redis_url: str) -> None:
    async with meeting_on(shared_database, js, nodes=2, redis_url=redis_url) as meet:
        place = await meet.place()
        await put(meet, place.code, GARBAGE["a member"])
        assert [(await shown(meet, place.code, 1))[0] for _ in range(2)] == [503, 200]
        await meet.join(place, name="Ann")


async def test_a_step_finds_another_kind_of_log(js: Driver, shared_database: str, redis_url: str) -> None:
    """It is refused once, or done here and told later where it must not fail; nobody is taken for cut off."""
    async with meeting_on(shared_database, js, nodes=2, redis_url=redis_url) as meet:
        place = await meet.place()
        first, second = await meet.join(place, name="Ann"), await meet.join(place, name="Bea")
        await first.unread()
        await put(meet, place.code, ("SET", "log", "x"))
        assert await second.ask("toggle-hand-raise", {"roomId": place.id, "raised": True}) == OK
        assert (await first.next("user-hand-raised"))["socketId"] == second.sid
        assert all(server.node is not None and server.node.up for server in meet.servers)
        assert await meet.known(place) == [{first.sid, second.sid}] * 2
