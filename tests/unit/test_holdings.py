"""Bytes that are held for connections, by address and in all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from neuron_meet import holdings
from neuron_meet.holdings import NOTED_BYTES, Holdings

MUCH = 10 * NOTED_BYTES


class Holder:
    """A connection."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.size = 0
        self.gave_up = False

    def held_bytes(self) -> int:
        return self.size

    def give_up(self) -> None:
        self.gave_up = True
        self.size = 0


async def looked(book: Holdings) -> None:
    """Return when the book has looked once more, and who must has given up."""
    if (timer := book._sweep) is not None:
        timer.cancel()
        book._look()
    await asyncio.sleep(0)


@pytest.fixture
async def book() -> AsyncIterator[Holdings]:
    made = Holdings(3 * MUCH, 5 * MUCH, lambda address: address == "10.0.0.1")
    yield made
    made.close()


def held(book: Holdings, address: str, *sizes: int) -> list[Holder]:
    """Holders of so many bytes."""
    made = [Holder(address) for _ in sizes]
    for holder, size in zip(made, sizes, strict=True):
        holder.size = size
        book.note(holder)
    return made


async def test_within_the_bounds_nobody_gives_up(book: Holdings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    all_ = [*held(book, "203.0.113.9", MUCH, MUCH, MUCH), *held(book, "203.0.113.10", MUCH, MUCH)]
    await looked(book)
    assert not any(holder.gave_up for holder in all_)
    assert (book.total, book.given_up) == (5 * MUCH, 0)


async def test_who_holds_most_of_an_address_gives_up(book: Holdings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    small, large, other = held(book, "203.0.113.9", MUCH, 2 * MUCH, MUCH)
    (neighbour,) = held(book, "203.0.113.10", MUCH)
    await looked(book)
    assert [holder.gave_up for holder in (small, large, other, neighbour)] == [False, True, False, False]
    assert book.total == 3 * MUCH


async def test_addresses_of_one_network_count_together(
    book: Holdings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    found = [holder for n in range(4) for holder in held(book, f"2001:db8:1:{n}::1", MUCH)]
    await looked(book)
    assert sum(holder.gave_up for holder in found) == 1


async def test_a_proxys_clients_have_the_bound_of_all(
    book: Holdings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "PASSING_SECONDS", 0.0)
    found = held(book, "10.0.0.1", *[MUCH] * 6)
    await looked(book)
    assert sum(holder.gave_up for holder in found) == 1
    assert book.total == 5 * MUCH


async def test_what_only_passes_is_nobodys_fault(book: Holdings) -> None:
    """Until it is twice as much: that may not be there at any moment."""
    found = held(book, "203.0.113.9", *[MUCH] * 6)
    await looked(book)
    assert not any(holder.gave_up for holder in found)
    found += held(book, "203.0.113.9", MUCH)
    await asyncio.sleep(0)
    assert sum(holder.gave_up for holder in found) == 1


async def test_what_has_gone_meanwhile_is_not_counted(book: Holdings) -> None:
    found = held(book, "203.0.113.9", *[MUCH] * 6)
    for holder in found:
        holder.size = 0
    found += held(book, "203.0.113.9", MUCH)
    await asyncio.sleep(0)
    assert not any(holder.gave_up for holder in found)
    assert book.total == MUCH


async def test_nothing_is_left_over(book: Holdings) -> None:
    """What is little is not noted, what is forgotten leaves no timer and no entry."""
    first, second, third = held(book, "203.0.113.9", MUCH, MUCH, NOTED_BYTES)
    first.address = "203.0.113.10"  # somebody who came back from another network
    book.forget(first)
    second.size = NOTED_BYTES
    book.forget(third)
    await looked(book)
    assert (book.total, book._noted, book._each, book._sweep) == (0, {}, {}, None)
