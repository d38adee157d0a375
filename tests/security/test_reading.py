"""Who is out reads nothing of what goes on afterwards, over REST as little as over a socket, restart or not."""

from __future__ import annotations

from typing import Any

from neuron_meet.signaling.effects import Outcome, settled
from neuron_meet.signaling.presence.room import LiveRoom
from tests.security.test_removal import REMOVED, remove
from tests.wire.clients import Client, Driver
from tests.wire.meeting import OK, Meet, Person, Place, enter, failure, locked, meeting_on

NOT_FOUND = 404, {"message": "Room not found", "error": "Not Found", "statusCode": 404}


async def say(client: Client, place: Place, text: str) -> None:
    assert (await client.ask("chat-message", {"roomId": place.id, "content": text}))["success"] is True


async def read(meet: Meet, place: Place, who: Person) -> list[str]:
    """What an account reads, asked at each node: the same everywhere."""
    found: list[Any] = []
    for _ in meet.servers:
        status, body = await meet.rest("GET", f"/api/rooms/{place.id}/messages", who)
        assert status == 200, body
        found.append([message["content"] for message in body])
    assert all(one == found[0] for one in found)
    return found[0]


async def who_is_in(meet: Meet, place: Place, who: Person) -> int:
    status, body = await meet.rest("GET", f"/api/rooms/{place.id}/participants", who)
    assert status == 200, body
    return len(body)


async def refused(meet: Meet, place: Place, who: Person) -> None:
    """Both are 404, at each node."""
    for _ in meet.servers:
        for what in ("messages", "participants"):
            assert await meet.rest("GET", f"/api/rooms/{place.id}/{what}", who) == NOT_FOUND


def forgive(room: LiveRoom) -> Outcome:
    """The step by which presence knows of nobody any more whom it keeps out, as when the time is up."""
    room.kept_out.forget()
    return Outcome()


async def test_who_was_removed_reads_nothing(meet: Meet) -> None:
    place, ada = await meet.place(), await meet.person("Ada")
    host, target = await meet.join(place, place.host), await meet.join(place, ada)
    await say(host, place, "before")
    assert await read(meet, place, ada) == ["before"]
    assert await who_is_in(meet, place, ada) == 2
    await remove(host, place, target)
    await refused(meet, place, ada)
    await say(host, place, "secret")
    await refused(meet, place, ada)
    assert await read(meet, place, place.host) == ["before", "secret"]
    # When that is over, as one who left then; `meet.rows` waits until the row is closed.
    await meet.rows(place)
    await settled(meet.server.signaling.act(place.code, forgive))
    await meet.sql('UPDATE "RoomRemoval" SET "until" = "removedAt" WHERE "roomId" = $1', place.id)
    assert await read(meet, place, ada) == ["before"]
    assert await who_is_in(meet, place, ada) == 0


async def test_who_left_reads_nothing_younger_and_who_is_back_everything(meet: Meet) -> None:
    place, ada = await meet.place(), await meet.person("Ada")
    host, target = await meet.join(place, place.host), await meet.join(place, ada)
    await say(target, place, "hello")
    assert await target.ask("leave-room", {"roomId": place.id}) == OK
    await meet.rows(place)
    await say(host, place, "she is gone")
    assert await read(meet, place, ada) == ["hello"]
    assert await who_is_in(meet, place, ada) == 0
    assert await who_is_in(meet, place, place.host) == 1
    assert (await enter(target, place))["success"] is True
    assert await read(meet, place, ada) == ["hello", "she is gone"]
    assert await who_is_in(meet, place, ada) == 2


async def test_who_is_away_for_a_moment_reads_everything(js: Driver, shared_database: str) -> None:
    """A place that is held for a recovery is a place; once it is given up, it is not."""
    async with meeting_on(shared_database, js, recovery_grace_seconds=60) as meet:
        place, ada = await meet.place(), await meet.person("Ada")
        host, target = await meet.join(place, place.host), await meet.join(place, ada)
        meet.forget(target)
        target.kill()
        await say(host, place, "she is away")
        assert await read(meet, place, ada) == ["she is away"]
        assert await who_is_in(meet, place, ada) == 2
        await remove(host, place, target)
        await say(host, place, "secret")
        await refused(meet, place, ada)


async def test_a_removal_is_stored_before_it_is_acknowledged(meet: Meet) -> None:
    """The person is out at once all the same."""
    place, ada = await meet.place(), await meet.person("Ada")
    host, target = await meet.join(place, place.host), await meet.join(place, ada)
    async with locked(meet, "RoomRemoval") as writing:
        removal = host.request("remove-participant", {"roomId": place.id, "targetId": target.sid})
        await writing()
        assert (await target.next("force-disconnect"))["reason"] == "Removed by host"
        assert await enter(target, place) == failure(REMOVED)
        assert not removal.done()
    assert await removal == [OK]
    rows = await meet.sql('SELECT * FROM "RoomRemoval" WHERE "roomId" = $1', place.id)
    assert [(row["userId"], (row["until"] - row["removedAt"]).total_seconds()) for row in rows] == [
        (ada.id, 12 * 3600)
    ]


async def test_a_guests_removal_is_no_row(meet: Meet) -> None:
    place = await meet.place()
    host, guest = await meet.join(place, place.host), await meet.join(place, name="Gus")
    await remove(host, place, guest)
    assert await meet.sql('SELECT * FROM "RoomRemoval" WHERE "roomId" = $1', place.id) == []


async def test_a_removal_survives_a_restart(js: Driver, shared_database: str) -> None:
    """Of a server that has it in its memory only, and of another room nothing is kept."""
    async with meeting_on(shared_database, js) as meet:
        place, other, ada = await meet.place(), await meet.place(), await meet.person("Ada")
        host, target = await meet.join(place, place.host), await meet.join(place, ada)
        await say(host, place, "before")
        await remove(host, place, target)
        await say(host, place, "secret")
    async with meeting_on(shared_database, js) as after:
        await refused(after, place, ada)
        assert await enter(await after.connect(ada), place) == failure(REMOVED)
        assert (await enter(await after.connect(ada), other))["success"] is True
        assert await enter(await after.connect(ada), place, "Another") == failure(REMOVED)
        assert await read(after, place, place.host) == ["before", "secret"]


async def test_a_removal_survives_redis_and_all_nodes(
    js: Driver, shared_database: str, redis_urls: list[str]
) -> None:
    """All nodes stop, and the next ones find a Redis that knows nothing."""
    async with meeting_on(shared_database, js, nodes=2, redis_url=redis_urls[0]) as meet:
        place, ada = await meet.place(), await meet.person("Ada")
        host, target = await meet.join(place, place.host), await meet.join(place, ada)
        await remove(host, place, target)
    async with meeting_on(shared_database, js, nodes=2, redis_url=redis_urls[1]) as after:
        await refused(after, place, ada)
        for _ in after.servers:
            assert await enter(await after.connect(ada), place) == failure(REMOVED)


async def test_a_removal_that_the_database_has_not_taken_is_tried_again(
    js: Driver, shared_database: str
) -> None:
    async with meeting_on(shared_database, js, database_timeout_seconds=0.5) as meet:
        place, ada = await meet.place(), await meet.person("Ada")
        host, target = await meet.join(place, place.host), await meet.join(place, ada)
        async with locked(meet, "RoomRemoval"):
            await remove(host, place, target)
            assert await enter(target, place) == failure(REMOVED)
            assert meet.server.signaling.bans.unwritten == 1
        assert await meet.server.signaling.bans.drain(30) == 0
        rows = await meet.sql('SELECT "userId" FROM "RoomRemoval" WHERE "roomId" = $1', place.id)
        assert [row["userId"] for row in rows] == [ada.id]
