"""Who is kept out of a meeting, and until when; the clock is the test's."""

from __future__ import annotations

import pytest

from neuron_meet.rooms.removals import (
    MAX_REMOVALS,
    REMOVED_ACCOUNT_SECONDS,
    REMOVED_GUEST_SECONDS,
    Removals,
    Visitor,
)

ROOM, OTHER = "aaa-aaa-aaa", "bbb-bbb-bbb"
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
    removals.record(ROOM, visitor)
    assert removals.applies(ROOM, again) is kept_out
    assert not removals.applies(OTHER, again)


@pytest.mark.parametrize(
    ("visitor", "seconds"), [(ADA, REMOVED_ACCOUNT_SECONDS), (GUEST, REMOVED_GUEST_SECONDS)]
)
def test_until_when(visitor: Visitor, seconds: float) -> None:
    clock = Clock()
    removals = Removals(now=clock)
    removals.record(ROOM, visitor)
    clock.seconds += seconds - 0.001
    assert removals.applies(ROOM, visitor)
    clock.seconds += 0.001
    assert not removals.applies(ROOM, visitor)
    removals.record(ROOM, visitor)
    assert removals.applies(ROOM, visitor)


def test_a_second_removal_counts_from_its_own_time() -> None:
    clock = Clock()
    removals = Removals(account_seconds=10, guest_seconds=5, now=clock)
    removals.record(ROOM, ADA)
    clock.seconds += 9
    removals.record(ROOM, ADA)
    clock.seconds += 9
    assert removals.applies(ROOM, ADA)
    clock.seconds += 1
    assert not removals.applies(ROOM, ADA)


def test_the_end_of_a_meeting_forgets_its_own_only() -> None:
    removals = Removals()
    for code in (ROOM, OTHER):
        removals.record(code, ADA)
        removals.record(code, GUEST)
    removals.forget(ROOM)
    assert not removals.applies(ROOM, ADA)
    assert not removals.applies(ROOM, GUEST)
    assert removals.applies(OTHER, ADA)
    assert removals.applies(OTHER, GUEST)


def test_the_oldest_go_when_there_are_too_many() -> None:
    removals = Removals()
    people = [
        ADA._replace(user_id=str(n), sid=f"s{n}", name=f"n{n}") for n in range(MAX_REMOVALS // 3)
    ]  # 3 keys each
    for visitor in people:
        removals.record(ROOM, visitor)
    removals.record(ROOM, people[0])  # as good as new
    removals.record(ROOM, ADA)
    removals.record(ROOM, ADA._replace(user_id="bob", sid="s-bob", name="Bob"))
    assert not removals.applies(ROOM, people[1])
    for visitor in (people[0], people[2], people[-1], ADA):
        assert removals.applies(ROOM, visitor)
