"""A usual hour, and how it is put into less time: everybody does the same number of things, with shorter pauses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Hour:
    """An hour of so many rooms. What people do is counted for each of them in an hour that they are there."""

    rooms: int = 60
    people: int = 5
    """In each room; one who has gone for good is followed by another."""
    meeting_minutes: float = 30
    messages: float = 20
    toggles: float = 12
    """Microphone, camera, hand."""
    drops: float = 3
    """Of the connection, without a word."""
    share_lost: float = 0.25
    """Of the drops, those after which somebody does not come back."""
    candidates: int = 6
    """From each of two, when they meet, beside offer and answer."""

    @property
    def expected(self) -> dict[str, float]:
        """What comes of it in the hour."""
        there = self.rooms * self.people
        meetings = self.rooms * 60 / self.meeting_minutes
        lost = there * self.drops * self.share_lost
        return {
            "meetings": meetings,
            "joins": meetings * self.people + lost,
            "messages": there * self.messages,
            "toggles": there * self.toggles,
            "drops with return": there * self.drops - lost,
            "drops without return": lost,
        }

    def equivalent(self, done: Counter[str]) -> dict[str, float]:
        """How many such hours have passed, by each kind of event that was done."""
        return {kind: round(done[kind] / number, 2) for kind, number in self.expected.items()}


@dataclass(frozen=True)
class Pace:
    """An hour in so many minutes."""

    minutes: float

    @property
    def factor(self) -> float:
        """How many times faster than usual."""
        return 60 / self.minutes

    def seconds(self, usual_minutes: float) -> float:
        """How long something takes that takes so many minutes usually."""
        return usual_minutes * 60 / self.factor

    def rate(self, an_hour: float) -> float:
        """Times a second of what is done so many times in a usual hour."""
        return an_hour * self.factor / 3600
