"""Rates of addresses: what counts as one, and tables that nobody can have forgotten."""

from __future__ import annotations

import pytest

from neuron_meet import rates
from neuron_meet.rates import Buckets, Rate, address_key, counted, widest

SLOW = Rate.parse("3 per hour")


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("::1", "::"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, key: str) -> None:
    assert address_key(address) == key


def test_the_networks_around_an_address() -> None:
    assert counted("203.0.113.9") == (("203.0.113.9", 1),)
    assert counted("2001:db8:1:2345:6::7") == (
        ("2001:db8:1:2345::", 1),
        ("2001:db8:1:2300::/56", 4),
        ("2001:db8:1::/48", 16),
    )
    assert counted("") == (("", 1),)
    assert widest("2001:db8:1:2345:6::7") == "2001:db8:1::/48"
    assert widest("203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize(
    ("networks", "times"),
    [
        (["203.0.113.9"], 1),
        (["2001:db8:0:1::1"], 1),
        ([f"2001:db8:0:{n:x}::1" for n in range(256)], 4),
        ([f"2001:db8:0:{n:x}::1" for n in range(0, 65536, 97)], 16),
        ([f"2001:db8:{n:x}::1" for n in range(20)], 20),
    ],
)
def test_a_networks_customers_have_a_few_times_as_much(networks: list[str], times: int) -> None:
    buckets = Buckets(SLOW)
    taken = sum(buckets.take(network) for network in networks for _ in range(4))
    assert taken == 3 * times


def test_a_refusal_takes_nothing_of_the_networks_around() -> None:
    buckets = Buckets(SLOW)
    assert [buckets.take("2001:db8::1") for _ in range(50)].count(True) == 3
    assert [buckets.take(f"2001:db8:0:{n:x}::1") for n in range(1, 4) for _ in range(3)].count(True) == 9


def test_a_network_that_is_out_makes_no_new_entries() -> None:
    buckets = Buckets(SLOW)
    for n in range(2000):
        buckets.take(f"2001:db8:0:{n:x}::1")
    assert len(buckets._buckets) <= 16 * 3 + 16 + 1


class Time:
    """The monotonic clock, which a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(rates, "monotonic", made)
    return made


def test_nobody_has_a_bucket_forgotten_by_making_others(clock: Time) -> None:
    buckets = Buckets(SLOW, most=10)
    assert [buckets.take("203.0.113.9") for _ in range(4)] == [True, True, True, False]
    for n in range(5000):
        buckets.take(f"198.51.{n // 250}.{n % 250}")
    assert not buckets.take("203.0.113.9")
    assert len(buckets._buckets) <= 10 + 256, "strangers share what there is beyond"
    clock.now += 3600
    assert buckets.take("203.0.113.9")


def test_buckets_that_are_full_again_make_room(clock: Time) -> None:
    buckets = Buckets(SLOW, most=10)
    for n in range(10):
        assert buckets.take(f"198.51.100.{n}")
    clock.now += 3600
    assert all(buckets.take(f"203.0.113.{n}") for n in range(10))
    assert sorted(buckets._buckets) == sorted(f"203.0.113.{n}" for n in range(10))


def test_who_takes_ahead_of_time_waits_for_as_long(clock: Time) -> None:
    """Each in its turn; what was asked ahead is paid, also when nobody waited for it."""
    buckets = Buckets(Rate.parse("3 per 3 seconds"))
    assert [buckets.charge("203.0.113.9") for _ in range(5)] == [0, 0, 0, 1, 2]
    assert buckets.charge("203.0.113.10") == 0
    clock.now += 2
    assert [buckets.charge("203.0.113.9") for _ in range(2)] == [1, 2]
    clock.now += 60
    assert [buckets.charge("203.0.113.9") for _ in range(4)] == [0, 0, 0, 1]


def test_a_network_waits_for_what_its_neighbours_took(clock: Time) -> None:
    buckets = Buckets(Rate.parse("3 per 3 seconds"))
    waits = [buckets.charge(f"2001:db8:0:{n:x}::1") for n in range(256) for _ in range(3)]
    assert waits.count(0) == 4 * 3
    assert max(waits) == pytest.approx((256 * 3 - 12) / 4)
