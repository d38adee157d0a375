"""How much there may be at once."""

from __future__ import annotations

import pytest

from neuron_meet.ceilings import ALL, AtOnce


def filled(at_once: AtOnce, addresses: list[str]) -> int:
    """How many there was room for; those are there then."""
    taken = 0
    for address in addresses:
        if at_once.has_room(address):
            at_once.take(address)
            taken += 1
    return taken


@pytest.mark.parametrize(
    ("addresses", "most"),
    [
        (["203.0.113.9"] * 5, 3),
        (["203.0.113.9"] * 5 + ["203.0.113.10"] * 5, 6),
        ([f"2001:db8:0:1::{n:x}" for n in range(9)], 3),
        ([f"2001:db8:0:{n:x}::1" for n in range(99)], 12),
        ([f"2001:db8:0:{n:x}::1" for n in range(0, 65536, 97)], 48),
        ([""] * 5, 3),
    ],
)
def test_of_one_address_and_of_the_networks_around_it(addresses: list[str], most: int) -> None:
    at_once = AtOnce(3, None)
    assert filled(at_once, addresses) == at_once.total == most
    assert at_once.refused == len(addresses) - most


def test_what_is_gone_takes_no_place_here() -> None:
    at_once = AtOnce(3, 100)
    addresses = [f"2001:db8:{n:x}::1" for n in range(20)] + [f"203.0.113.{n}" for n in range(20)] * 3
    assert filled(at_once, addresses) == 80
    assert at_once.keys == 20 * 3 + 20
    assert at_once.count("203.0.113.7") == 3
    for address in addresses:
        at_once.release(address)
    assert (at_once.total, at_once.keys) == (0, 0)


def test_in_all() -> None:
    at_once = AtOnce(3, 4)
    assert filled(at_once, ["a", "b", "c", "d", "e"]) == 4
    assert at_once.lacking("f") == ALL
    at_once.release("a")
    assert at_once.lacking("f") is None
    assert filled(AtOnce(None, None), ["a"] * 1000) == 1000


def test_an_address_of_many_has_the_bound_for_all_alone() -> None:
    at_once = AtOnce(3, 10, lambda address: address == "10.0.0.1")
    assert filled(at_once, ["10.0.0.1"] * 20) == 10
