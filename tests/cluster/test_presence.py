"""Presence over three nodes: the same state machine as on one, with a real Redis between them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable, Sequence

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from neuron_meet.cluster.link import Link
from neuron_meet.errors import Refused, refuse
from neuron_meet.rooms.policy import Entrant, RoomRules
from neuron_meet.signaling.effects import Outcome, RoomEffect, ToRoom, settled
from neuron_meet.signaling.events import EncodedPayload, UserLeft
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.entries import apply, decode, parts
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.kept_out import SharedKeptOut
from neuron_meet.signaling.presence.participant import seat_of
from neuron_meet.signaling.presence.room import LiveRoom, Whereabouts
from tests.presence.meetings import ACCOUNTS, CODES, Meetings, participant


def as_known(room: LiveRoom) -> tuple[object, ...]:
    """What must be equal everywhere."""
    return (
        room.version, room.rules, room.rules_version, set(room.members), set(room.reserved), list(room.waiting),
        dict(room.seats),
    )  # fmt: skip


PATIENCE_SECONDS = 30
"""For a Redis on a busy machine: these walks are not about its absence."""


async def three_nodes(
    redis_url: str,
    at: Callable[[str], int],
    carry_out: Callable[[int, Iterable[RoomEffect]], None],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> list[ClusterPresence]:
    """Three nodes with an empty Redis; `at` says which one has a socket."""
    nodes: list[ClusterPresence] = []
    for number in range(3):
        node = ClusterPresence(
            Link(redis_url, patience_seconds),
            f"node{number}",
            carry_out=lambda effects, number=number: carry_out(number, effects),
            connected=lambda sid, number=number: at(sid) == number,
        )
        await node.hosting.link.check()
        await node.hosting.link.do("FLUSHDB")
        await node.hosting.channels.start(node.hosting.keys.node_channel(node.node), lambda _data: None)
        node.hosting.up = True
        nodes.append(node)
    return nodes


async def stop(nodes: list[ClusterPresence]) -> None:
    for node in nodes:
        await node.stop()
        await node.hosting.link.close()


class OverThreeNodes(Meetings):
    """Everybody's socket is at one of three nodes; each operation happens at the node of whoever does it."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self.nodes: list[ClusterPresence] = []
        super().__init__()

    async def start(self) -> Sequence[ClusterPresence]:
        self.nodes = await three_nodes(self._redis_url, self.at, lambda _node, _effects: None)
        return self.nodes

    async def settle(self) -> None:
        for code in CODES:
            for presence in self.nodes:
                stored = await presence.hosting.load(code)
                await presence.hosting.catch_up(code, stored.version)
                if (replica := presence.hosting.replicas.get(code)) is not None:
                    assert as_known(replica.room) == as_known(stored)

    async def stop(self) -> None:
        await stop(self.nodes)


def test_meetings_over_three_nodes(redis_url: str) -> None:
    run_state_machine_as_test(
        lambda: OverThreeNodes(redis_url),
        settings=settings(max_examples=60, stateful_step_count=50, deadline=None),
    )


class Crowd:
    """Everybody of `ACCOUNTS` comes and goes in one room, at three nodes at once."""

    code = CODES[0]

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.nodes: list[ClusterPresence] = []
        self.told: list[list[str]] = [[], [], []]
        self.rows = itertools.count()
        self.admitted = 0
        self.stored = RoomRules(room_id="id", code=self.code, host_id="host", max_participants=3)

    @staticmethod
    def at(sid: str) -> int:
        return sorted(ACCOUNTS).index(sid) % 3

    def hear(self, node: int, effects: Iterable[RoomEffect]) -> None:
        for effect in effects:
            assert isinstance(effect, ToRoom)
            payload = effect.payload
            body = payload.body if isinstance(payload, EncodedPayload) else msgspec.json.encode(payload)
            self.told[node].append(msgspec.json.decode(body)["socketId"])

    def step(self, change: Callable[[LiveRoom], object]) -> Step:
        """A step that tells everybody something that nothing else tells."""
        name = f"{next(self.rows)}"

        def step(room: LiveRoom) -> Outcome:
            change(room)
            return Outcome([ToRoom(room.code, UserLeft(socket_id=name, user_id=None))])

        return step

    async def live(self, sid: str) -> None:
        """Come and go."""
        node, user_id = self.nodes[self.at(sid)], ACCOUNTS[sid]
        seat = seat_of(sid, user_id)
        for _ in range(40):
            if node.participant(sid) and self.dice.random() < 0.5:
                await settled(node.act(self.code, self.step(lambda room: room.leave(sid))))
                continue
            row = f"row {next(self.rows)}"

            def reserve(room: LiveRoom, row: str = row) -> None:
                room.learn(self.stored, known_version=0)
                refuse(room.refuse_entry(seat, Entrant(user_id)))
                room.reserve(row, seat, node.node)

            def admit(room: LiveRoom, row: str = row) -> None:
                refuse(room.refuse_entry(seat, Entrant(user_id)))
                room.leave(sid)
                if former := room.holder(user_id):
                    room.leave(former.sid)
                room.admit(replace(participant(sid, self.code, user_id, node.node), record_id=row))

            with contextlib.suppress(Refused):
                await settled(node.act(self.code, self.step(reserve)))
                try:
                    await settled(node.act(self.code, self.step(admit)))
                except Refused:
                    await settled(node.act(self.code, self.step(lambda room, row=row: room.release(row))))

    async def rule(self) -> None:
        """Change the rules."""
        for _ in range(15):
            rules = dataclasses.replace(
                self.stored, is_locked=self.dice.random() < 0.3, max_participants=self.dice.randint(2, 4)
            )
            node = self.dice.choice(self.nodes)
            await settled(node.act(self.code, self.step(lambda room, rules=rules: room.change(rules))))

    async def history(self) -> LiveRoom:
        """The room as its log leads to it, each entry looked at: was it legal where it stands?"""
        hosting = self.nodes[0].hosting
        entries = await hosting.link.do("XRANGE", hosting.keys.room_log(self.code), "-", "+")
        room = LiveRoom(self.code, Whereabouts(), SharedKeptOut())
        for _, fields in entries:
            found, version, body = parts(fields[b"e"])
            entry = decode(body)
            assert found == room.version, "two steps have seen the same"
            for sid, member in entry.members.items():
                if member is not None and not room.is_present(member.seat):
                    self.admitted += 1
                    after = (room.members.keys() - entry.members.keys()) | {
                        sid for sid, one in entry.members.items() if one is not None
                    }
                    assert len(after) <= room.known_rules.max_participants, f"{sid} was one too many"
                    assert member.is_host or not room.known_rules.is_locked, f"{sid} came into a locked room"
            apply(entry, room)
            room.version = version
            seats = [member.seat for member in room.members.values()]
            assert len(seats) == len(set(seats)), "an account is in twice"
        return room


@pytest.mark.parametrize("seed", range(4))
async def test_steps_of_three_nodes_at_once_have_one_history(redis_url: str, seed: int) -> None:
    await everybody_at_once(redis_url, seed)


async def everybody_at_once(redis_url: str, seed: int) -> None:
    """A crowd comes and goes at three nodes; what happened is one history, the same at each and for Redis."""
    crowd = Crowd(seed)
    crowd.nodes = await three_nodes(redis_url, crowd.at, crowd.hear)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(stop, crowd.nodes)
        for node in crowd.nodes:  # so that each is told of everything
            await stack.enter_async_context(node.hold(crowd.code))
        await asyncio.gather(*(crowd.live(sid) for sid in ACCOUNTS), crowd.rule())
        room = await crowd.history()
        for node in crowd.nodes:
            await node.hosting.catch_up(crowd.code, room.version)
            assert as_known(node.hosting.replicas[crowd.code].room) == as_known(room)
        assert as_known(await crowd.nodes[0].hosting.load(crowd.code)) == as_known(room)
        assert crowd.admitted > 5
        assert not room.reserved
        assert crowd.told[0] == crowd.told[1] == crowd.told[2]
        assert len(crowd.told[0]) == len(set(crowd.told[0])) > 60
        assert sum(node.commits.conflicts for node in crowd.nodes) > 10, (
            "they did not get into each other's way"
        )
