"""Who is kept out, as Redis has it: bounded, by names that tell nobody's identity, known to new nodes and new Redis."""

from __future__ import annotations

import asyncio
import time

import pytest

from neuron_meet.cluster.keys import FORMAT
from neuron_meet.rooms.removals import MAX_OF_ROOM, Visitor
from neuron_meet.signaling.effects import settled
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.kept_out import SharedKeptOut
from neuron_meet.signaling.presence.room import LiveRoom
from tests.cluster.told import CODE, come
from tests.presence.meetings import only
from tests.wire.clients import Driver
from tests.wire.meeting import enter, meeting_on

ADA = Visitor("s1", "ada", "203.0.113.9", "Ada")


async def test_what_ends_soonest_goes_where_a_room_has_too_many(presences: list[ClusterPresence]) -> None:
    """In Redis as at each node; what is over goes before all else."""
    first, other = presences[0], presences[1]
    await come(first, "one0")
    await come(other, "two1")
    hosting = first.hosting
    over = [part for number in range(100) for part in (f"removed {number}", str(time.time() - 1))]
    await hosting.link.do("HSET", hosting.keys.room_kept_out(CODE), *over)
    await settled(first.act(CODE, only(lambda room: room.kept_out.remove(ADA, "host"))))

    def remove_guests(number: int) -> Step:
        def step(room: LiveRoom) -> None:
            for each in range(number, number + 100):
                room.kept_out.remove(Visitor(f"s{each}", None, "203.0.113.7", f"Gus {each}"), "host")

        return only(step)

    for number in range(0, MAX_OF_ROOM, 100):
        await settled(first.act(CODE, remove_guests(number)))
        kept = await hosting.link.do("HKEYS", hosting.keys.room_kept_out(CODE))
        assert len(kept) <= MAX_OF_ROOM
    assert not any(len(name) < len("removed ") + 32 for name in kept)
    loaded = await hosting.load(CODE)
    await other.hosting.catch_up(CODE, loaded.version)
    last = Visitor("new", None, "203.0.113.7", f"Gus {MAX_OF_ROOM - 1}")
    for room in (loaded, first.room(CODE), other.room(CODE)):
        assert room is not None
        assert room.kept_out.removed(ADA)
        assert room.kept_out.removed(last)
        assert isinstance(room.kept_out, SharedKeptOut)
        assert len(room.kept_out.until) <= MAX_OF_ROOM


async def test_no_name_in_redis_tells_who_somebody_is(
    js: Driver, shared_database: str, redis_url: str
) -> None:
    """Names of keys and of fields get into logs and monitors: they hold no address, no name, no pid."""
    settings = {"redis_url": redis_url, "recovery_grace_seconds": 60, "rate_limit_enabled": True}
    async with meeting_on(shared_database, js, nodes=2, **settings) as meet:
        place, ada = await meet.place(), await meet.person("Ada")
        host = await meet.join(place, place.host)
        guest, target = await meet.join(place, name="Gus Guestmann"), await meet.join(place, ada)
        for client in (guest, target):
            request = {"roomId": place.id, "targetId": client.sid}
            assert (await host.ask("remove-participant", request))["success"] is True
        assert (await enter(await meet.connect(), place, "gus guestmann"))["success"] is False
        status, _ = await meet.rest(
            "POST", "/api/auth/login", None, {"email": "a@example.com", "password": "x" * 9}
        )
        assert status == 401
        away = await meet.connect(reconnection=False)
        assert (await enter(away, place, "Away"))["success"] is True
        node, pid = meet.servers[0].node, None
        assert node is not None
        connections = [one for server in meet.servers for one in server.sockets.recovery.connections()]
        pid = next(one.pid for one in connections if one.caller.sid == away.sid)
        assert pid is not None
        assert node.moves is not None
        await node.moves._parking.note_node(pid)
        link = node.link
        names: list[bytes] = await link.do("KEYS", "*")
        for key in list(names):
            if await link.do("TYPE", key) == b"hash":
                names += await link.do("HKEYS", key)
        text = b"\n".join(names).decode().casefold()
        assert f"neuron-meet:v{FORMAT}:" in text
        assert "removed " in text
        assert ":limit:" in text
        assert ":window:" in text
        assert "{pid " in text
        for secret in (
            "127.0.0.1",
            "gus",
            "example.com",
            pid.casefold(),
            pid.casefold().partition(".")[0],
            ada.id,
        ):
            assert secret not in text, secret


async def test_without_redis_nobody_knows_who_is_inside(
    js: Driver, shared_database: str, redis_urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host reads on; whoever else asks is told to come again."""
    async with meeting_on(shared_database, js, nodes=2, redis_url=redis_urls[0]) as meet:
        place, ada = await meet.place(), await meet.person("Ada")
        await meet.join(place, ada)
        for server in meet.servers:
            assert server.node is not None
            server.node.presence.hosting.lost()
            monkeypatch.setattr(server.node.presence, "come_back", _stays_away)
        for what in ("messages", "participants"):
            path = f"/api/rooms/{place.id}/{what}"
            for _ in meet.servers:
                assert (await meet.rest("GET", path, ada))[0] == 503
                assert (await meet.rest("GET", path, place.host))[0] == 200


async def _stays_away() -> None:
    return


async def test_a_redis_that_has_lost_everything_is_told_again(
    js: Driver, shared_database: str, redis_urls: list[str]
) -> None:
    """Of a room that nobody is in, so that no node could put it back. Takes the 3 s for which nodes put back whom they
    have.
    """
    async with meeting_on(shared_database, js, nodes=2, redis_url=redis_urls[0]) as meet:
        place, ada = await meet.place(), await meet.person("Ada")
        host, target = await meet.join(place, place.host), await meet.join(place, ada)
        request = {"roomId": place.id, "targetId": target.sid}
        assert (await host.ask("remove-participant", request))["success"] is True
        assert (await host.ask("leave-room", {"roomId": place.id}))["success"] is True
        node = meet.server.node
        assert node is not None
        await node.link.do("FLUSHDB")
        async with asyncio.timeout(30):
            while await node.link.do("GET", node.link.keys.bans_of) is None:
                await asyncio.sleep(0.05)
        assert (await enter(target, place))["error"] == "You were removed from this meeting"
