"""The state machine of presence, for one node and for many: what may happen in any order, and what always holds."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from neuron_meet.errors import Refused, refuse
from neuron_meet.rooms.policy import Entrant, RoomRules
from neuron_meet.signaling.effects import Outcome, settled
from neuron_meet.signaling.presence.interface import Presence, Step
from neuron_meet.signaling.presence.participant import Participant, seat_of
from neuron_meet.signaling.presence.room import LiveRoom

T = TypeVar("T")

CODES = ("aaa-aaa-aaa", "bbb-bbb-bbb")
# Sockets and the accounts behind them: two devices of Ada, three of Bob, the host, four guests.
ACCOUNTS = {
    "ada1": "ada", "ada2": "ada", "bob1": "bob", "bob2": "bob", "bob3": "bob", "host1": "host",
    "g1": None, "g2": None, "g3": None, "g4": None,
}  # fmt: skip
SOCKETS = st.sampled_from(sorted(ACCOUNTS))
ROOMS = st.sampled_from(CODES)


def participant(sid: str, code: str, user_id: str | None, node: str = "") -> Participant:
    return Participant(
        sid=sid,
        room_code=code,
        room_id=f"id of {code}",
        record_id=f"row of {sid}",
        user_id=user_id,
        display_name=sid,
        account_name=None,
        account_display_name=None,
        avatar_url=None,
        is_host=user_id == "host",
        joined_at=datetime.now(UTC),
        node=node,
    )


async def settled_members(presence: Presence, code: str) -> list[Participant]:
    return await settled(presence.members(code))


def only(change: Callable[[LiveRoom], object]) -> Step:
    """A step that changes something and tells nobody."""

    def step(room: LiveRoom) -> Outcome:
        change(room)
        return Outcome()

    return step


@dataclass
class Join:
    """A join between its seat and its end."""

    sid: str
    user_id: str | None
    code: str
    held: AbstractAsyncContextManager[LiveRoom]
    gone: bool = False


class Meetings(RuleBasedStateMachine):
    """Uses presence as the use cases do, step by step; keeps its own books beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.all: Sequence[Presence] = ()
        self.all = self.run(self.start())
        self.rules_of = {
            code: RoomRules(room_id=f"id of {code}", code=code, host_id="host", max_participants=3)
            for code in CODES
        }
        self.joins: dict[str, Join] = {}
        self.inside: dict[str, str] = {}

    @abstractmethod
    async def start(self) -> Sequence[Presence]:
        """The nodes, started."""

    async def settle(self) -> None:
        """Return when every node knows what was done."""

    async def stop(self) -> None:
        """Stop the nodes."""

    def run(self, work: Coroutine[object, object, T]) -> T:
        async def done_and_known() -> T:
            result = await work
            await self.settle()
            return result

        return self.loop.run_until_complete(done_and_known())

    def home(self, sid: str) -> Presence:
        """The node that has a socket."""
        return self.all[self.at(sid) % len(self.all)]

    @staticmethod
    def at(sid: str) -> int:
        """Whose socket it is: the number of the node."""
        return sorted(ACCOUNTS).index(sid) % 3

    def act(self, presence: Presence, code: str, step: Step) -> None:
        async def work() -> None:
            await settled(presence.act(code, step))

        self.run(work())

    # -- what may happen
    @rule(sid=SOCKETS, code=ROOMS)
    def begin(self, sid: str, code: str) -> None:
        if sid in self.joins:  # a connection's joins wait for each other (Lane)
            return
        user_id, presence = ACCOUNTS[sid], self.home(sid)
        if self.inside.get(sid, code) != code:
            self.leave(sid)
        held = presence.hold(code)
        room = self.run(held.__aenter__())
        assert room is presence.room(code)
        version, seat = room.rules_version, seat_of(sid, user_id)

        def reserve(room: LiveRoom) -> Outcome:
            room.learn(self.rules_of[code], known_version=version)
            refuse(room.refuse_entry(seat, Entrant(user_id)))
            room.reserve(f"row of {sid}", seat, presence.node)
            return Outcome()

        try:
            self.act(presence, code, reserve)
        except Refused:
            # Refused: then there is a reason that the books know too.
            rules, others = self.rules_of[code], {seat_of(s, ACCOUNTS[s]) for s in self.claimants(code)}
            full = len(others - {seat}) >= rules.max_participants
            assert not self.seated(seat, code)
            assert full or (rules.is_locked and user_id != "host")
            self.run(held.__aexit__(None, None, None))
        else:
            self.joins[sid] = Join(sid, user_id, code, held)

    @precondition(lambda self: self.joins)
    @rule(data=st.data(), written=st.booleans())
    def finish(self, data: st.DataObject, written: bool) -> None:
        join = self.joins.pop(data.draw(st.sampled_from(sorted(self.joins))))
        sid, user_id, code, presence = join.sid, join.user_id, join.code, self.home(join.sid)
        seat = seat_of(sid, user_id)

        def admit(room: LiveRoom) -> Outcome:
            refuse(room.refuse_entry(seat, Entrant(user_id)))
            room.leave(sid)
            if former := room.holder(user_id):
                room.leave(former.sid)
                left.append(former.sid)
            others.extend(other.sid for other in room.admit(participant(sid, code, user_id, presence.node)))
            return Outcome()

        left: list[str] = []
        others: list[str] = []
        newcomer, rules = not self.seated(seat, code), self.rules_of[code]
        try:
            if written and not join.gone:
                self.act(presence, code, admit)
            came_in = written and not join.gone
        except Refused:
            came_in = False
        if not came_in:
            self.act(presence, code, only(lambda room: room.release(f"row of {sid}")))
        else:
            for gone in (*left, sid):
                self.inside.pop(gone, None)
            assert others == [s for s, where in self.inside.items() if where == code]
            self.inside[sid] = code
            if newcomer:
                assert len(others) < rules.max_participants
                assert not rules.is_locked or user_id == "host"
        self.run(join.held.__aexit__(None, None, None))

    @rule(sid=SOCKETS)
    def leave(self, sid: str) -> None:
        code, left = self.inside.pop(sid, None), []
        if code is None:
            assert self.home(sid).participant(sid) is None
            return

        def step(room: LiveRoom) -> Outcome:
            left[:] = [room.leave(sid), room.leave(sid)]
            return Outcome()

        self.act(self.home(sid), code, step)
        assert left[0] is not None
        assert (left[0].sid, left[1]) == (sid, None)

    @rule(sid=SOCKETS)
    def disconnect(self, sid: str) -> None:
        if sid in self.joins:
            self.joins[sid].gone = True
        self.leave(sid)

    @rule(code=ROOMS, is_locked=st.booleans(), max_participants=st.integers(2, 4), node=st.integers(0, 9))
    def change(self, code: str, is_locked: bool, max_participants: int, node: int) -> None:
        rules = replace(self.rules_of[code], is_locked=is_locked, max_participants=max_participants)
        self.rules_of[code] = rules
        self.act(
            self.all[node % len(self.all)],
            code,
            only(lambda room: room.change(rules)),
        )

    # -- what the books say
    def claimants(self, code: str) -> list[str]:
        """Sockets with a place in a room: those in it, and joins under way."""
        inside = [sid for sid, where in self.inside.items() if where == code]
        return inside + [join.sid for join in self.joins.values() if join.code == code]

    def seated(self, seat: str, code: str) -> bool:
        return any(
            where == code and seat_of(sid, ACCOUNTS[sid]) == seat for sid, where in self.inside.items()
        )

    # -- what always holds
    @invariant()
    def presence_agrees_with_the_books(self) -> None:
        for presence in self.all:
            mine = {member.sid: member.room_code for member in presence.participants()}
            assert mine == {s: code for s, code in self.inside.items() if self.home(s) is presence}
        for sid, code in self.inside.items():
            located = self.home(sid).located(sid)
            assert located is not None
            member, room = located
            assert (member.sid, room.code, room.members[sid]) == (sid, code, member)
            everybody = self.run(settled_members(self.all[0], code))
            assert {one.sid for one in everybody} == {s for s, where in self.inside.items() if where == code}

    @invariant()
    def seats_are_members_and_reservations(self) -> None:
        for code in CODES:
            seats = Counter(seat_of(sid, ACCOUNTS[sid]) for sid in self.claimants(code))
            for presence in self.all:
                room = presence.room(code)
                assert (room.seats if room else seats) == seats

    @invariant()
    def an_account_is_in_a_room_once(self) -> None:
        for presence in self.all:
            for room in presence.rooms():
                seats = [member.seat for member in room.members.values()]
                assert len(seats) == len(set(seats))

    @invariant()
    def no_room_is_left_over(self) -> None:
        for presence in self.all:
            in_use = {code for sid, code in self.inside.items() if self.home(sid) is presence}
            in_use |= {join.code for join in self.joins.values() if self.home(join.sid) is presence}
            assert {room.code for room in presence.rooms()} == in_use

    def teardown(self) -> None:
        for join in self.joins.values():
            self.act(
                self.home(join.sid),
                join.code,
                only(lambda room, sid=join.sid: room.release(f"row of {sid}")),
            )
            self.run(join.held.__aexit__(None, None, None))
        for sid in list(self.inside):
            self.leave(sid)
        for presence in self.all:
            assert list(presence.rooms()) == []
            assert list(presence.participants()) == []
        self.loop.run_until_complete(self.stop())
        self.loop.close()
