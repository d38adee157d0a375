"""Presence on a Redis Cluster: the same promises as on one Redis, whichever shard has a room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from neuron_meet.cluster import channels, link
from neuron_meet.cluster.link import Link, RedisUnreachable
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.signaling.effects import Outcome, ToRoom, settled
from neuron_meet.signaling.events import UserLeft
from tests.cluster.test_presence import OverThreeNodes, everybody_at_once, stop, three_nodes
from tests.cluster.told import CODE, Told, come, payload_of
from tests.redis_cluster import RedisCluster
from tests.security.test_admission_walk import AWAY_SECONDS, walk_in
from tests.wire.clients import DEADLINE, Driver
from tests.wire.meeting import enter, failure, meeting_on


@pytest.fixture(scope="module")
def redis_cluster() -> Iterator[RedisCluster]:
    """A running one of this test worker's."""
    cluster = RedisCluster.in_new_folder()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(params=["channels of shards", "channels of all"])
def cluster_url(
    request: pytest.FixtureRequest, redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Its URL, as Redis 7 and later have channels, and as those before it."""
    if request.param == "channels of all":
        monkeypatch.setattr(link, "SHARDED_FROM", 99)
    return redis_cluster.url


def test_meetings_over_three_nodes(cluster_url: str) -> None:
    run_state_machine_as_test(
        lambda: OverThreeNodes(cluster_url),
        settings=settings(max_examples=15, stateful_step_count=40, deadline=None),
    )


async def test_steps_of_three_nodes_at_once_have_one_history(redis_cluster: RedisCluster) -> None:
    await everybody_at_once(redis_cluster.url, 1)


async def test_a_meeting_over_three_nodes(js: Driver, database_url: str, redis_cluster: RedisCluster) -> None:
    """Everybody comes and goes, knocks, is let in, drops and comes back at another node."""
    async with meeting_on(
        database_url, js, nodes=3, redis_url=redis_cluster.url, recovery_grace_seconds=AWAY_SECONDS
    ) as meet:
        await walk_in(meet, None)


async def test_a_room_whose_slot_moves_to_another_server(redis_cluster: RedisCluster) -> None:
    """Nothing is lost, told twice, or told out of order; its channel is listened to where it is now."""
    told = Told()
    presences = await three_nodes(redis_cluster.url, lambda sid: int(sid[-1]), told.hear)
    hosting = presences[1].hosting
    said = 0

    async def say() -> None:
        nonlocal said
        said += 1
        left = Outcome([ToRoom(CODE, UserLeft(socket_id=str(said), user_id=None))])
        await settled(presences[0].act(CODE, lambda _: left))

    await come(presences[0], "one0")
    await come(presences[1], "two1")
    for _ in range(3):
        former = hosting.link.place(hosting.keys.room_channel(CODE))
        await say()
        await asyncio.to_thread(redis_cluster.move, hosting.keys.room_state(CODE))
        async with asyncio.timeout(DEADLINE):
            while hosting.link.place(hosting.keys.room_channel(CODE)) == former:
                await asyncio.sleep(0.01)
            for presence in presences[:2]:
                await presence.hosting.channels.ready()
                await presence.resync.missed()
        await say()
        await hosting.catch_up(CODE, (await hosting.load(CODE)).version)
        heard = [payload_of(effect)["socketId"] for effect in told.effects[1] if isinstance(effect, ToRoom)]
        assert heard == [str(number) for number in range(1, said + 1)]
    await stop(presences)


async def test_a_shard_that_does_not_answer_is_a_redis_that_is_away(
    redis_cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its silence is noticed by who only listens, too; afterwards all is heard again."""
    monkeypatch.setattr(channels, "WATCH_SECONDS", 0.1)
    told, lost = Told(), asyncio.Event()
    presences = await three_nodes(
        redis_cluster.url, lambda sid: int(sid[-1]), told.hear, patience_seconds=link.TIMEOUT_SECONDS
    )
    hosting = presences[1].hosting
    await come(presences[1], "two1")
    monkeypatch.setattr(hosting.channels, "_lost", lost.set)
    with redis_cluster.paused(hosting.keys.room_state(CODE)):
        async with asyncio.timeout(DEADLINE):
            await lost.wait()
        with pytest.raises(PresenceUnavailable):
            await hosting.link.life()
        with pytest.raises(PresenceUnavailable):
            await come(presences[1], "three1")
    async with asyncio.timeout(DEADLINE):
        while not hosting.up:
            with contextlib.suppress(PresenceUnavailable):
                await presences[1].come_back()
    await come(presences[0], "four0")
    await hosting.catch_up(CODE, (await hosting.load(CODE)).version)
    room = presences[1].room(CODE)
    assert room is not None
    assert {"two1", "four0"} <= room.members.keys()
    await stop(presences)


async def test_a_shard_that_is_started_anew_with_nothing(
    js: Driver, database_url: str, redis_cluster: RedisCluster
) -> None:
    """Who was in its room still is, for both nodes and for Redis, and the next one who comes finds them there."""
    async with meeting_on(database_url, js, nodes=2, redis_url=redis_cluster.url) as meet:
        place = await meet.place()
        people = [await meet.join(place, name=f"P{number}") for number in range(4)]
        node = meet.server.node
        assert node is not None
        await asyncio.to_thread(redis_cluster.restart, node.link.keys.room_state(place.code))
        newcomer = await meet.connect()
        async with asyncio.timeout(DEADLINE):
            while (ack := await enter(newcomer, place, "New"))["success"] is not True:
                assert ack == failure("Service temporarily unavailable")
                await asyncio.sleep(0.1)
        inside = {client.sid for client in [*people, newcomer]}
        assert {one["socketId"] for one in ack["participants"]} == inside - {newcomer.sid}
        assert await meet.known(place) == [inside] * 2
        assert set((await node.presence.hosting.load(place.code)).members) == inside


async def test_one_of_its_servers_is_no_redis_of_its_own(redis_cluster: RedisCluster) -> None:
    """Its address as that of a Redis alone is refused, with what to write instead."""
    alone = Link(redis_cluster.url.replace("+cluster", ""))
    with pytest.raises(RedisUnreachable, match=r"redis\+cluster://"):
        await alone.check()
    await alone.close()
