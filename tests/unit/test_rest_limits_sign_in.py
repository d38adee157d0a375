"""Sign-ins by address, failures by account, and an owner who is not kept out by others' failures."""

from __future__ import annotations

import pytest

from neuron_meet.auth.limits import SignInLimits
from neuron_meet.errors import INVALID_CREDENTIALS, UNAVAILABLE, Refusal, Refused, refuse
from neuron_meet.rest.limits import TooManyRequests
from neuron_meet.settings import Settings

ADA = "ada@example.com"
HOME, AWAY = "203.0.113.9", "198.51.100.7"
MINUTE, DAY = 60, 86_400


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_795_420_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, **settings: object) -> SignInLimits:
    given = {"limit_login_address": "1000 per minute", "limit_login_account": "3 per 5 minutes"} | settings
    return SignInLimits(Settings(_env_file=None, **given), clock)  # type: ignore[call-arg, arg-type]


async def sign_in(
    made: SignInLimits, address: str, outcome: Refusal | None = None, email: str = ADA
) -> int | None:
    """Try a password that is right, or wrong with `outcome`. The seconds to wait if it was not even looked at."""
    try:
        async with made.sign_in(email, address):
            refuse(outcome)
    except TooManyRequests as refused:
        return refused.retry_after
    except Refused as refused:
        assert refused.refusal == outcome
    return None


async def guess(made: SignInLimits, times: int, address: str = AWAY, email: str = ADA) -> list[int | None]:
    return [await sign_in(made, address, INVALID_CREDENTIALS, email) for _ in range(times)]


async def test_failures_at_an_account_are_limited_wherever_they_come_from(clock: Clock) -> None:
    made = limits(clock)
    for number, spelling in enumerate((ADA, ADA.upper(), ADA.title())):
        assert await guess(made, 1, f"198.51.100.{number}", spelling) == [None]
    assert await guess(made, 1, "192.0.2.1") == [300]
    assert await sign_in(made, "192.0.2.1") == 300, "even the right password: it is not looked at"
    assert await guess(made, 1, "192.0.2.1", "grace@example.com") == [None]
    clock.now += 301
    assert await guess(made, 4) == [None] * 3 + [300]


async def test_who_fails_elsewhere_does_not_keep_the_owner_out(clock: Clock) -> None:
    made = limits(clock)
    assert await sign_in(made, HOME) is None
    assert await guess(made, 4) == [None] * 3 + [300]
    assert [await sign_in(made, HOME) for _ in range(20)] == [None] * 20
    assert await guess(made, 1) == [300], "and the owner's coming home does not open the door for others"
    assert await guess(made, 4, HOME) == [None] * 3 + [300], "at home, too, only so many tries"


async def test_a_place_is_known_for_thirty_days(clock: Clock) -> None:
    made = limits(clock)
    assert await sign_in(made, HOME) is None
    clock.now += 30 * DAY + 1
    assert await guess(made, 3) == [None] * 3
    assert await sign_in(made, HOME) == 300


async def test_a_place_is_known_of_one_account_only(clock: Clock) -> None:
    made = limits(clock)
    assert await sign_in(made, AWAY, email="mallory@example.com") is None
    assert await guess(made, 3, HOME) == [None] * 3
    assert await guess(made, 1) == [300]


async def test_what_cannot_be_verified_is_no_failure(clock: Clock) -> None:
    made = limits(clock)
    assert [await sign_in(made, HOME, UNAVAILABLE) for _ in range(20)] == [None] * 20
    assert await sign_in(made, HOME) is None


async def test_sign_ins_of_one_address_are_limited_whoever_signs_in(clock: Clock) -> None:
    made = limits(clock, limit_login_address="5 per minute")
    assert [await sign_in(made, HOME, email=f"{number}@example.com") for number in range(6)] == [None] * 5 + [
        60
    ]
    assert await sign_in(made, AWAY) is None


async def test_one_ipv6_subscriber_is_one_address(clock: Clock) -> None:
    made = limits(clock, limit_login_address="2 per minute", limit_register_address="2 per hour")
    addresses = [f"2001:db8:1:2::{number}" for number in range(3)]
    assert [await sign_in(made, address) for address in addresses] == [None, None, 60]
    for address in addresses[:2]:
        await made.register(address)
    with pytest.raises(TooManyRequests):
        await made.register(addresses[2])
    await made.register("2001:db8:1:3::1")


async def test_all_limits_can_be_switched_off(clock: Clock) -> None:
    made = limits(clock, rate_limit_enabled=False, limit_login_address="1 per minute")
    assert await guess(made, 100) == [None] * 100
    for _ in range(100):
        await made.register(HOME)
