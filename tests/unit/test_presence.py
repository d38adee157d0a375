"""Presence as a state machine: joins, take-overs, leaves, failures and changes of rules, in any interleaving."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings

from neuron_meet.rooms.policy import Entrant, RoomRules
from neuron_meet.rooms.removals import Removals
from neuron_meet.signaling.presence.memory import MemoryPresence
from neuron_meet.signaling.presence.participant import seat_of
from neuron_meet.signaling.presence.room import LiveRoom
from tests.presence.meetings import CODES, Meetings, participant


class OnOneNode(Meetings):
    """The only node."""

    async def start(self) -> list[MemoryPresence]:
        return [a_presence()]


TestMeetings = OnOneNode.TestCase
TestMeetings.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def a_presence() -> MemoryPresence:
    return MemoryPresence(Removals(), Removals())


def a_room(presence: MemoryPresence) -> LiveRoom:
    room = presence.hold(CODES[0]).room
    room.learn(rules(), known_version=0)
    return room


def begin(room: LiveRoom, sid: str, user_id: str | None) -> str | None:
    refusal = room.refuse_entry(seat_of(sid, user_id), Entrant(user_id))
    if refusal is not None:
        return refusal.message
    room.reserve(f"row of {sid}", seat_of(sid, user_id))
    return None


def rules(**changed: object) -> RoomRules:
    return replace(RoomRules(room_id="r", code=CODES[0], host_id="host", max_participants=2), **changed)


def test_a_join_under_way_holds_its_place_and_gives_it_back() -> None:
    presence = a_presence()
    held = presence.hold(CODES[0])
    room = held.room
    room.learn(rules(), known_version=0)
    assert [begin(room, sid, None) for sid in ("a", "b", "c")] == [None, None, "Room is full"]
    room.release("row of a")
    assert begin(room, "c", None) is None
    room.release("row of b")
    room.release("row of c")
    held.end()
    assert presence.room(CODES[0]) is None


def test_devices_of_one_account_on_the_way_in_are_one_seat() -> None:
    room = a_room(a_presence())
    told = [begin(room, sid, user) for sid, user in
            (("a1", "ada"), ("a2", "ada"), ("b", "bob"), ("a3", "ada"), ("c", "cy"))]  # fmt: skip
    assert told == [None, None, None, None, "Room is full"]


def test_a_lock_shuts_out_a_second_device_while_the_first_is_only_on_the_way_in() -> None:
    room = a_room(a_presence())
    assert begin(room, "a1", "ada") is None
    room.change(rules(is_locked=True))
    assert begin(room, "a2", "ada") == "Room is locked"
    refusal = room.refuse_entry(seat_of("a1", "ada"), Entrant("ada"))
    assert refusal is not None
    assert refusal.message == "Room is locked"


def test_rules_read_before_a_change_do_not_undo_it() -> None:
    room = a_presence().hold(CODES[0]).room
    version = room.rules_version
    room.change(rules(is_locked=True))
    assert room.learn(rules(), known_version=version).is_locked
    assert room.learn(rules(max_participants=9), known_version=room.rules_version).max_participants == 9


def test_a_late_removal_does_not_touch_a_successor() -> None:
    presence = a_presence()
    room = a_room(presence)
    for sid in ("old", "new"):
        assert begin(room, sid, "ada") is None
        if former := room.holder("ada"):
            room.leave(former.sid)
        room.admit(participant(sid, CODES[0], "ada"))
    assert room.leave("old") is None
    assert [member.sid for member in room.members.values()] == ["new"]
    assert presence.participant("old") is None


def test_a_step_on_a_fork_leaves_the_room_alone_and_says_what_it_changed() -> None:
    presence = a_presence()
    room = a_room(presence)
    begin(room, "a", None)
    fork = room.fork()
    fork.admit(participant("a", CODES[0], None))
    assert begin(fork, "b", None) is None
    assert begin(fork, "c", None) == "Room is full"
    assert (room.members, list(room.reserved), len(room.seats)) == ({}, ["row of a"], 1)
    assert presence.participant("a") is None
    assert fork.touched is not None
    assert (fork.touched.members, fork.touched.reserved) == ({"a"}, {"row of a", "row of b"})
