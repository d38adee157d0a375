"""A room that is in use: who is in it, which seats are taken, what was said since it came to life."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import msgspec
from msgspec import Struct
from msgspec.structs import replace as msgspec_replace

from neuron_meet.errors import Refusal
from neuron_meet.rooms.policy import Entrant, RoomRules, refuse_entry
from neuron_meet.rooms.removals import KeptOut
from neuron_meet.signaling.events import HistoryMessage
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.waiter import Waiter

REPLAYED_MESSAGES = 50
"""How many messages a joiner gets at most (docs/protocol.md, "Joining")."""
REPLAYED_BYTES = 256_000
"""How many bytes of JSON those have at most: what a joiner on a slow connection, 1 MB/s, waits a quarter of a second
for; twice, as the event and the acknowledgement carry it."""
_MOST_BYTES_A_CHARACTER = 6
"""A control character in JSON: `\\u0000`."""
_MOST_BYTES_AROUND = 2_000
"""What a message has beside its content: three names of 50 characters, ids of this server's or Prisma's, the rest."""
_encode = msgspec.json.Encoder().encode


def newest_that_fit(messages: list[HistoryMessage]) -> list[HistoryMessage]:
    """Of messages in ascending order the newest that a replay has room for; one alone larger than that is left out."""
    characters = sum(len(message.content) for message in messages)
    if characters * _MOST_BYTES_A_CHARACTER + len(messages) * _MOST_BYTES_AROUND <= REPLAYED_BYTES:
        return messages  # nearly always
    fitting: list[HistoryMessage] = []
    room = most = REPLAYED_BYTES - 1  # the list's brackets, less the comma that the last one has not
    for message in reversed(messages):
        if len(message.content) > most:  # a row of the former server's, of megabytes perhaps
            continue
        size = len(_encode(message)) + 1  # and a comma
        if size > most:
            continue
        room -= size
        if room < 0:
            break
        fitting.append(message)
    fitting.reverse()
    return fitting


class Reservation(Struct, frozen=True, eq=False):
    """A seat taken by a join that is under way, and the server that it is under way on."""

    seat: str
    node: str = ""


@dataclass(slots=True)
class Whereabouts:
    """Which room a socket is in, and at which one it waits: by socket id, the room's code."""

    inside: dict[str, str] = field(default_factory=dict[str, str])
    waiting: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Touched:
    """What a step has changed of a room: the ids whose entries are others now."""

    members: set[str] = field(default_factory=set[str])
    reserved: set[str] = field(default_factory=set[str])
    waiting: set[str] = field(default_factory=set[str])
    said: list[HistoryMessage] = field(default_factory=list[HistoryMessage])
    rules: bool = False


class LiveRoom:
    """The state of one room while anybody is in it or on the way in. Synchronous, so atomic on the loop.

    Everything that changes goes through a method, so that `whereabouts` follows and a fork knows what it changed.
    """

    __slots__ = (
        "changing",
        "code",
        "holds",
        "kept_out",
        "members",
        "recent",
        "replayed",
        "reserved",
        "rules",
        "rules_version",
        "seats",
        "touched",
        "version",
        "waiting",
        "whereabouts",
    )

    def __init__(self, code: str, whereabouts: Whereabouts, kept_out: KeptOut) -> None:
        self.code = code
        self.whereabouts = whereabouts
        self.kept_out = kept_out
        self.rules: RoomRules | None = None
        self.rules_version = 0
        self.members: dict[str, Participant] = {}
        self.reserved: dict[str, Reservation] = {}
        """Seats of joins under way, by the id of the row that each writes."""
        self.seats: Counter[str] = Counter()
        self.waiting: dict[str, Waiter] = {}
        self.recent: deque[HistoryMessage] = deque(maxlen=REPLAYED_MESSAGES)
        self.replayed: dict[str, HistoryMessage] = {}
        """The stored messages of the last join, by id: the next one finds most of them unchanged."""
        self.changing = asyncio.Lock()
        self.holds = 0
        self.version = 0
        self.touched: Touched | None = None

    # -- looking
    def taken_by_others(self, seat: str) -> int:
        """Seats taken by others than `seat`, those of joins under way included."""
        return len(self.seats) - (seat in self.seats)

    def is_present(self, seat: str) -> bool:
        """Whether somebody in the room sits on `seat` (a join under way does not)."""
        return seat in self.seats and any(member.seat == seat for member in self.members.values())

    def refuse_entry(self, seat: str, entrant: Entrant) -> Refusal | None:
        """Why one may not come in and sit on `seat` as things are now, or None."""
        entrant = replace(entrant, present=self.is_present(seat))
        return refuse_entry(self.known_rules, entrant, others=self.taken_by_others(seat))

    @property
    def idle(self) -> bool:
        """Whether nobody is in it, on the way in, waiting at the door, or changing it."""
        return not self.members and not self.reserved and not self.waiting and self.holds == 0

    @property
    def known_rules(self) -> RoomRules:
        """The rules. Only for a room that a join has looked up; AssertionError before that."""
        assert self.rules is not None  # noqa: S101 -- a join learns them before anything asks
        return self.rules

    def holder(self, user_id: str | None) -> Participant | None:
        """The participant whose account is `user_id`, None for guests."""
        if user_id is None:
            return None
        return next((member for member in self.members.values() if member.user_id == user_id), None)

    def host(self) -> Participant | None:
        """The host, while in the room."""
        return next((member for member in self.members.values() if member.is_host), None)

    def replay(self, stored: list[HistoryMessage]) -> list[HistoryMessage]:
        """The newest messages, ascending: those `stored` when the join began and those said since."""
        if not self.recent:
            return stored
        known = {message.id for message in stored}
        merged = stored + [message for message in self.recent if message.id not in known]
        merged.sort(key=lambda message: (message.timestamp, message.id))
        return newest_that_fit(merged[-REPLAYED_MESSAGES:])

    # -- rules
    def learn(self, rules: RoomRules, *, known_version: int) -> RoomRules:
        """Take over rules that were read from the database when this room was at `known_version`.

        What was changed here in the meantime is newer than what was read, and stays. Returns what holds now.
        """
        if self.rules is None or (self.rules_version == known_version and self.rules != rules):
            self.rules = rules
            if self.touched is not None:
                self.touched.rules = True
        return self.rules

    def change(self, rules: RoomRules) -> None:
        """Rules that were just stored: they hold for every join that is under way."""
        self.rules = rules
        self.rules_version += 1
        if self.touched is not None:
            self.touched.rules = True

    # -- coming
    def reserve(self, record_id: str, seat: str, node: str = "") -> None:
        """Take a seat for the join that writes the row `record_id`. Follow with `admit` or `release`."""
        self.put_reservation(record_id, Reservation(seat, node))

    def release(self, record_id: str) -> None:
        """Give back the seat of a join that does not come in. Nothing happens where there is none."""
        self.put_reservation(record_id, None)

    def admit(self, participant: Participant) -> list[Participant]:
        """Turn a reservation into presence. Returns the others, in the order in which they joined.

        The same socket, and any other socket of the same account, must have left before (`leave`).
        """
        others = list(self.members.values())
        if self.version:  # only among nodes
            participant = msgspec_replace(participant, admitted_after=self.version)
        self.put_member(participant.sid, participant)
        self.release(participant.record_id)
        return others

    def update(self, participant: Participant) -> None:
        """New state of somebody who is in."""
        self.members[participant.sid] = participant
        if self.touched is not None:
            self.touched.members.add(participant.sid)

    def knock(self, waiter: Waiter) -> None:
        """Somebody waits at the door."""
        self.put_waiter(waiter.sid, waiter)

    def forget_knock(self, sid: str) -> Waiter | None:
        """Somebody no longer waits: let in, not let in, or gone. Returns who; None where they did not wait."""
        waiter = self.waiting.get(sid)
        if waiter is not None:
            self.put_waiter(sid, None)
        return waiter

    # -- keeping out
    def remove(self, participant: Participant) -> None:
        """Keep somebody out of this meeting from now on. They must leave besides (`leave`)."""
        self.kept_out.remove(participant.visitor(), self._host_id)

    def deny(self, waiter: Waiter) -> None:
        """Do not let somebody ask again, for some minutes."""
        self.kept_out.deny(waiter.visitor(), self._host_id)

    @property
    def _host_id(self) -> str:
        return self.rules.host_id if self.rules else ""

    # -- going
    def leave(self, sid: str) -> Participant | None:
        """Take a socket out. Returns who left; None where it is not in this room."""
        participant = self.members.get(sid)
        if participant is not None:
            self.put_member(sid, None)
        return participant

    # -- chat
    def say(self, message: HistoryMessage) -> None:
        """Remember a message for those who are on the way in."""
        self.recent.append(message)
        if self.touched is not None:
            self.touched.said.append(message)

    # -- entries, as they are written by the methods above and by what other servers decided
    def put_member(self, sid: str, participant: Participant | None) -> None:
        """Make `participant` (None: nobody) what is known of the socket `sid`; seats and whereabouts follow."""
        former = self.members.get(sid)
        if participant is not None:
            self._count(participant.seat, 1)
            self.members[sid] = participant
            self.whereabouts.inside[sid] = self.code
        elif former is not None:
            del self.members[sid]
            if self.whereabouts.inside.get(sid) == self.code:
                del self.whereabouts.inside[sid]
        if former is not None:
            self._count(former.seat, -1)
        if self.touched is not None:
            self.touched.members.add(sid)

    def put_reservation(self, record_id: str, reservation: Reservation | None) -> None:
        """Make `reservation` (None: none) the seat of the join that writes the row `record_id`."""
        former = self.reserved.pop(record_id, None)
        if reservation is not None:
            self.reserved[record_id] = reservation
            self._count(reservation.seat, 1)
        if former is not None:
            self._count(former.seat, -1)
        if self.touched is not None and (former is not None or reservation is not None):
            self.touched.reserved.add(record_id)

    def put_waiter(self, sid: str, waiter: Waiter | None) -> None:
        """Make `waiter` (None: nobody) what is known of a knock of the socket `sid`."""
        if waiter is not None:
            self.waiting[sid] = waiter
            self.whereabouts.waiting[sid] = self.code
        elif self.waiting.pop(sid, None) is not None and self.whereabouts.waiting.get(sid) == self.code:
            del self.whereabouts.waiting[sid]
        if self.touched is not None:
            self.touched.waiting.add(sid)

    def fork(self) -> LiveRoom:
        """A copy to try a step on; its `touched` tells what the step changed. The original stays as it is."""
        copy = LiveRoom(self.code, Whereabouts(), self.kept_out.fork())
        copy.rules, copy.rules_version, copy.version = self.rules, self.rules_version, self.version
        copy.members, copy.reserved, copy.waiting = (
            dict(self.members),
            dict(self.reserved),
            dict(self.waiting),
        )
        copy.seats, copy.recent = Counter(self.seats), self.recent.copy()
        copy.touched = Touched()
        return copy

    def _count(self, seat: str, change: int) -> None:
        self.seats[seat] += change
        if self.seats[seat] <= 0:
            del self.seats[seat]
