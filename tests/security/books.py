"""The test's own books on who may be where, kept beside the server's presence and compared with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from neuron_meet.rooms.policy import RoomRules
from neuron_meet.signaling.presence.entries import Entry
from neuron_meet.signaling.presence.hosting import Hosting
from neuron_meet.signaling.presence.interface import Presence
from neuron_meet.signaling.presence.participant import Participant, seat_of
from neuron_meet.signaling.presence.replica import Replica
from neuron_meet.signaling.presence.room import LiveRoom
from tests.wire.meeting import Place

Seat = tuple[str, str]
"""Room code and seat."""


class Books:
    """Watches every admission as it happens, and knows what the host has said about whom."""

    def __init__(self, presences: Sequence[Presence], capacity: dict[str, int]) -> None:
        self._presences = presences
        self._capacity = capacity
        self._versions: dict[str, int] = {}
        self._just_left: set[Seat] = set()
        self.approved: set[Seat] = set()
        """Seats that the host has asked to admit, since they last knocked."""
        self.removed: set[Seat] = set()
        self.shut: set[str] = set()
        """Rooms that the host was told are locked, until it asks to open them."""
        self.waited: set[str] = set()
        """Rooms whose waiting room is on for sure: between the answer to one change and the request of the next."""
        self.ended: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.broken: list[str] = []

    @contextmanager
    def watching(self) -> Generator[None]:
        """See every admission and departure in the same turn of the loop."""
        with pytest.MonkeyPatch.context() as patch:
            if len(self._presences) > 1:
                happen = Hosting.happen

                def watched(hosting: Hosting, replica: Replica, entry: Entry, version: int) -> None:
                    self._happens(replica.room, entry, version)
                    happen(hosting, replica, entry, version)

                patch.setattr(Hosting, "happen", watched)
                yield
                return
            admit, leave = LiveRoom.admit, LiveRoom.leave

            def watched_admit(room: LiveRoom, participant: Participant) -> list[Participant]:
                self._admitted(room, participant, room.known_rules, len(room.members))
                return admit(room, participant)

            def watched_leave(room: LiveRoom, sid: str) -> Participant | None:
                left = leave(room, sid)
                if left is not None:
                    seat = left.room_code, left.seat
                    self._just_left.add(seat)
                    asyncio.get_running_loop().call_soon(self._just_left.discard, seat)
                return left

            patch.setattr(LiveRoom, "admit", watched_admit)
            patch.setattr(LiveRoom, "leave", watched_leave)
            yield

    def _happens(self, room: LiveRoom, entry: Entry, version: int) -> None:
        """A room's next step, at the first node that hears of it."""
        if version <= self._versions.get(room.code, 0):
            return
        self._versions[room.code] = version
        before = {member.record_id: member for member in room.members.values()}
        after = {sid: member for sid, member in room.members.items() if sid not in entry.members}
        after |= {sid: member for sid, member in entry.members.items() if member is not None}
        rows = {member.record_id for member in after.values()}
        self._just_left = {(room.code, member.seat) for row, member in before.items() if row not in rows}
        for member in after.values():
            if member.record_id not in before:
                self._admitted(room, member, entry.rules or room.known_rules, len(after) - 1)
        self._just_left = set()

    def _admitted(self, room: LiveRoom, participant: Participant, rules: RoomRules, others: int) -> None:
        try:
            self._check_admission(room.code, participant, rules, others)
        except AssertionError as broken:  # the server would take it for a failed join
            self.broken.append(str(broken))

    def _check_admission(self, code: str, participant: Participant, rules: RoomRules, others: int) -> None:
        seat = code, participant.seat
        self.outcomes["admitted"] += 1
        assert others < self._capacity[code], f"{code} is over capacity"
        assert code not in self.ended, "somebody came into a room that had ended"
        if participant.is_host:
            return
        assert seat not in self.removed, "somebody came back who was removed"
        if (
            seat in self._just_left
        ):  # was in until this moment: the same socket again, or the same account's other
            self.outcomes["stayed"] += 1
            return
        assert code not in self.shut, "somebody came into a locked room"
        assert not rules.is_locked, "somebody came into a locked room"
        assert rules.allow_guest_access or participant.user_id, "a guest came where guests are not allowed"
        if code in self.waited or rules.waiting_room:
            assert seat in self.approved, "somebody came past the waiting room"
            self.outcomes["approved"] += 1
        self.approved.discard(seat)

    def check(self) -> None:
        """What holds at every moment."""
        assert self.broken == []
        for presence in self._presences:
            self._check_at(presence)

    def _check_at(self, presence: Presence) -> None:
        waiting: dict[str, str] = {}
        for room in presence.rooms():
            seats = Counter(member.seat for member in room.members.values())
            assert all(count == 1 for count in seats.values()), "one account is in a room twice"
            assert not seats - room.seats, "a member has no seat"
            assert len(room.members) <= self._capacity[room.code], f"{room.code} is over capacity"
            queue = Counter(waiter.seat for waiter in room.waiting.values())
            assert all(count == 1 for count in queue.values()), "one account waits twice"
            assert not queue & seats, "somebody is in and waits as well"
            assert waiting.keys().isdisjoint(room.waiting)
            waiting |= dict.fromkeys(room.waiting, room.code)
        assert waiting == presence.whereabouts.waiting

    def check_at_rest(self, place: Place, open_rows: list[dict[str, Any]]) -> None:
        """What holds when nothing is under way: no seat is lost, the rows say the same, and so does every node."""
        self.check()
        rooms = [room for presence in self._presences if (room := presence.room(place.code))]
        at_home = {
            member.record_id
            for presence in self._presences
            for member in presence.participants()
            if member.room_code == place.code
        }
        assert {row["id"] for row in open_rows} == at_home
        for room in rooms:
            members = list(room.members.values())
            seats = Counter(seat_of(member.sid, member.user_id) for member in members)
            assert room.seats == seats, "a seat is taken by nobody"
            assert {member.record_id for member in members} == at_home
            assert list(room.waiting) == list(rooms[0].waiting)
            assert members or room.waiting, "an empty room is kept"
