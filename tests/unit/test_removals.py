"""Who is kept out of a meeting, and until when; the clock is the test's."""

from __future__ import annotations

import pytest

from neuron_meet.rooms.removals import (
    MAX_OF_ROOM,
    MAX_REMOVALS,
    REMOVED_ACCOUNT_SECONDS,
    REMOVED_GUEST_SECONDS,
    Removals,
    Visitor,
    fair_share,
)

ROOM, OTHER, HOST = "aaa-aaa-aaa", "bbb-bbb-bbb", "host"
ADA = Visitor(sid="s1", user_id="ada", address="203.0.113.9", name="Ada")
GUEST = Visitor(sid="s2", user_id=None, address="203.0.113.9", name="Gus")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("visitor", "again", "kept_out"),
    [
        (ADA, ADA, True),
        (ADA, ADA._replace(sid="s9", address="198.51.100.1", name="Eve"), True),
        (ADA, ADA._replace(user_id="bob"), False),
        (ADA, ADA._replace(user_id=None), True),  # the same socket without its account
        (ADA, ADA._replace(sid="s9", user_id=None), True),  # a private window: the same name from the same address
        (ADA, ADA._replace(sid="s9", user_id=None, name="Eve"), False),
        (GUEST, GUEST, True),
        (GUEST, GUEST._replace(name="Somebody else", address="198.51.100.1"), True),  # the same socket
        (GUEST, GUEST._replace(sid="s9"), True),  # the same name from the same address
        (GUEST, GUEST._replace(sid="s9", name="GUS"), True),
        (GUEST, GUEST._replace(sid="s9", name="Gustav"), False),
        (GUEST, GUEST._replace(sid="s9", address="198.51.100.1"), False),
        (GUEST, GUEST._replace(sid="s9", user_id="ada"), False),
    ],
)  # fmt: skip
def test_who_is_kept_out(visitor: Visitor, again: Visitor, kept_out: bool) -> None:
    removals = Removals()
    assert not removals.applies(ROOM, visitor)
    removals.record(ROOM, visitor, HOST)
    assert removals.applies(ROOM, again) is kept_out
    assert not removals.applies(OTHER, again)


@pytest.mark.parametrize(
    ("visitor", "seconds"), [(ADA, REMOVED_ACCOUNT_SECONDS), (GUEST, REMOVED_GUEST_SECONDS)]
)
def test_until_when(visitor: Visitor, seconds: float) -> None:
    clock = Clock()
    removals = Removals(now=clock)
    removals.record(ROOM, visitor, HOST)
    clock.seconds += seconds - 0.001
    assert removals.applies(ROOM, visitor)
    clock.seconds += 0.001
    assert not removals.applies(ROOM, visitor)
    removals.record(ROOM, visitor, HOST)
    assert removals.applies(ROOM, visitor)


def test_a_second_removal_counts_from_its_own_time() -> None:
    clock = Clock()
    removals = Removals(account_seconds=10, guest_seconds=5, now=clock)
    removals.record(ROOM, ADA, HOST)
    clock.seconds += 9
    removals.record(ROOM, ADA, HOST)
    clock.seconds += 9
    assert removals.applies(ROOM, ADA)
    clock.seconds += 1
    assert not removals.applies(ROOM, ADA)


def test_the_end_of_a_meeting_forgets_its_own_only() -> None:
    removals = Removals()
    for code in (ROOM, OTHER):
        removals.record(code, ADA, HOST)
        removals.record(code, GUEST, HOST)
    removals.forget(ROOM)
    assert not removals.applies(ROOM, ADA)
    assert not removals.applies(ROOM, GUEST)
    assert removals.applies(OTHER, ADA)
    assert removals.applies(OTHER, GUEST)


def crowd(name: str, count: int) -> list[Visitor]:
    """Accounts of which none is another's in any way."""
    return [Visitor(f"{name}{n}", f"{name}{n}", "203.0.113.7", f"{name}{n}") for n in range(count)]


def test_what_ends_soonest_goes_where_a_room_has_too_many() -> None:
    """Guests' entries of ten minutes before accounts' of twelve hours, however many follow."""
    clock = Clock()
    removals = Removals(now=clock)
    removals.record(ROOM, ADA, HOST)
    guests = [visitor._replace(user_id=None) for visitor in crowd("p", MAX_OF_ROOM)]
    for guest in guests:
        clock.seconds += 0.01
        removals.record(ROOM, guest, HOST)
    assert len(removals) <= MAX_OF_ROOM
    assert removals.applies(ROOM, ADA)
    assert removals.applies(ROOM, guests[-1])


def test_what_is_over_goes_first() -> None:
    clock = Clock()
    removals = Removals(now=clock)
    for visitor in crowd("p", MAX_OF_ROOM // 3):
        removals.record(ROOM, visitor, HOST)
    clock.seconds += REMOVED_GUEST_SECONDS
    for visitor in crowd("q", MAX_OF_ROOM // 6):
        removals.record(ROOM, visitor, HOST)
    assert all(removals.applies(ROOM, visitor) for visitor in crowd("p", MAX_OF_ROOM // 3))
    assert all(removals.applies(ROOM, visitor) for visitor in crowd("q", MAX_OF_ROOM // 6))


def test_nobody_is_pushed_out_by_what_is_done_in_rooms_of_others() -> None:
    """The walk of an attack: 100 rooms of one's own, and as many removals there as it takes."""
    removals = Removals()
    removals.record(ROOM, GUEST, HOST)
    removals.record(ROOM, ADA, HOST)
    for number in range(100):
        for visitor in crowd(f"room {number}", 260):
            removals.record(f"room {number}", visitor, "mallory")
    assert len(removals) <= MAX_REMOVALS
    assert removals.applies(ROOM, ADA)
    assert removals.applies(ROOM, GUEST)
    assert removals.applies(f"room {number}", visitor), "the newest of one's own holds"
    for number in range(100):
        removals.forget(f"room {number}")
    assert len(removals) == 5


@pytest.mark.parametrize(
    ("sizes", "most", "share"),
    [
        ([], 10, 1),
        ([3, 4], 10, 4),
        ([3, 4, 3], 10, 4),
        ([3, 4, 4], 10, 3),
        ([100], 10, 10),
        ([3, 100], 10, 7),
        ([1] * 20, 10, 1),
    ],
)
def test_a_fair_share(sizes: list[int], most: int, share: int) -> None:
    assert fair_share(sizes, most) == share


def test_an_account_that_was_removed_before_this_process_began() -> None:
    clock = Clock()
    removals = Removals(now=clock)
    removals.record_account(ROOM, "ada", HOST, 100.0)
    clock.seconds += 99.0
    assert removals.applies(ROOM, ADA)
    clock.seconds += 1.0
    assert not removals.applies(ROOM, ADA)
