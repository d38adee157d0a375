"""What the tests of single steps share: what nodes' sockets are told, and how one comes in."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from neuron_meet.rooms.policy import RoomRules
from neuron_meet.signaling.effects import RoomEffect, ToRoom, ToSocket, settled
from neuron_meet.signaling.events import EncodedPayload
from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.room import LiveRoom
from tests.presence.meetings import CODES, only, participant

CODE = CODES[0]
RULES = RoomRules(room_id="id", code=CODE, host_id="host", max_participants=9)


class Told:
    """What the nodes' sockets were told, by node."""

    def __init__(self) -> None:
        self.effects: list[list[RoomEffect]] = [[], [], []]

    def hear(self, node: int, effects: Iterable[RoomEffect]) -> None:
        self.effects[node] += effects

    def kinds(self, node: int) -> list[type[RoomEffect]]:
        return [type(effect) for effect in self.effects[node]]


async def come(node: ClusterPresence, sid: str) -> None:
    """A socket of this node is in the room."""

    def step(room: LiveRoom) -> None:
        room.learn(RULES, known_version=0)
        room.admit(participant(sid, CODE, None, node.node))

    await settled(node.act(CODE, only(step)))


def payload_of(effect: ToSocket | ToRoom) -> dict[str, object]:
    payload = effect.payload
    return msgspec.json.decode(
        payload.body if isinstance(payload, EncodedPayload) else msgspec.json.encode(payload)
    )
