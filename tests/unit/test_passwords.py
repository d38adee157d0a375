"""Password hashes: the former server's format, bounded work, and an event loop that goes on."""

import asyncio
import threading
from collections.abc import Iterator

import bcrypt
import pytest

from neuron_meet.auth.passwords import WAITING_PER_THREAD, Passwords
from neuron_meet.errors import UNAVAILABLE, Refused

# The published test vectors of bcrypt ($2a$, John the Ripper's set) and the same ones under the other prefixes.
VECTORS = [
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
]

CHEAP = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(threads=2)
    yield made
    made.close()


async def test_a_hash_is_of_its_password_only(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse 🐴")
    assert hashed.startswith("$2b$10$")
    assert len(hashed) == 60
    assert await passwords.verify("correct horse 🐴", hashed)
    assert not await passwords.verify("correct horse", hashed)
    assert not await passwords.verify("", hashed)
    assert await passwords.hash("correct horse 🐴") != hashed


@pytest.mark.parametrize(("password", "hashed"), VECTORS)
async def test_hashes_of_every_bcrypt_prefix_are_known(
    passwords: Passwords, password: str, hashed: str
) -> None:
    assert await passwords.verify(password, hashed)
    assert not await passwords.verify(password + "x", hashed)


async def test_of_a_longer_password_72_bytes_count_at_login(passwords: Passwords) -> None:
    """As in the former server, which cut them; a new one of that length is refused at registration."""
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await passwords.verify("x" * 90, hashed)
    assert not await passwords.verify("x" * 71, hashed)
    with pytest.raises(ValueError, match="72 bytes"):
        await passwords.hash("x" * 73)


async def test_a_nul_does_not_end_a_password(passwords: Passwords) -> None:
    hashed = await passwords.hash("before\0after")
    assert await passwords.verify("before\0after", hashed)
    assert not await passwords.verify("before", hashed)
    assert not await passwords.verify("before\0other", hashed)


@pytest.mark.parametrize(
    "hashed", ["", "plain text", "$2b$10$short", "$argon2id$v=19$m=1,t=1,p=1$YQ$YQ", "é"]
)
async def test_what_is_not_a_hash_matches_nothing(passwords: Passwords, hashed: str) -> None:
    assert not await passwords.verify("plain text", hashed)


async def test_nobodys_hash_is_a_real_one_and_nobody_matches_it(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []

    def recording(password: bytes, hashed: bytes) -> bool:
        result = real(password, hashed)  # raises for a hash that is not one
        checked.append(hashed)
        return result

    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", recording)
    assert not await passwords.verify_nobody("whatever")
    assert [hashed[:7] for hashed in checked] == [b"$2b$10$"]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """bcrypt does not begin before this event is set."""
    event = threading.Event()
    real = bcrypt.checkpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        assert event.wait(30)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    yield event
    event.set()


async def test_work_that_cannot_be_done_in_time_is_refused(
    passwords: Passwords, held: threading.Event
) -> None:
    most = 2 * (1 + WAITING_PER_THREAD)
    calls = [asyncio.ensure_future(passwords.verify("secret", CHEAP)) for _ in range(most)]
    await asyncio.sleep(0)  # lets them queue
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            await passwords.verify("secret", CHEAP)
        assert caught.value.refusal == UNAVAILABLE
    held.set()
    assert await asyncio.gather(*calls) == [True] * most
    assert await passwords.verify("secret", CHEAP), "work goes on when the queue is empty"


async def test_callers_that_give_up_free_their_places(passwords: Passwords, held: threading.Event) -> None:
    most = 2 * (1 + WAITING_PER_THREAD)
    calls = [asyncio.ensure_future(passwords.verify("secret", CHEAP)) for _ in range(most)]
    await asyncio.sleep(0)  # lets them queue
    for call in calls[2:]:
        call.cancel()
    await asyncio.gather(*calls[2:], return_exceptions=True)
    again = [asyncio.ensure_future(passwords.verify("secret", CHEAP)) for _ in range(most - 2)]
    await asyncio.sleep(0)
    with pytest.raises(Refused):  # the two that the threads hold still count
        await passwords.verify("secret", CHEAP)
    held.set()
    assert await asyncio.gather(*calls[:2], *again) == [True] * most


async def test_the_event_loop_goes_on(passwords: Passwords) -> None:
    turns = 0
    hashing = asyncio.ensure_future(passwords.hash("correct horse"))
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10, "the loop took turns while a password was hashed"


async def served(passwords: Passwords, order: list[str], address: str) -> None:
    try:
        await passwords.verify("secret", CHEAP, address)
    except Refused:
        order.append(f"{address} refused")
    else:
        order.append(address)


async def test_one_network_does_not_fill_the_queue(held: threading.Event) -> None:
    """Sixty-four networks of one /48 count as one; who comes from elsewhere finds room, and is served next."""
    passwords, order = Passwords(threads=1), list[str]()
    strangers = [
        asyncio.ensure_future(served(passwords, order, f"2001:db8:0:{n:x}::1"))
        for n in range(1 + WAITING_PER_THREAD)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Refused):
        passwords.refuse_if_full("2001:db8:0:ffff::1")
    honest = ["203.0.113.9", "203.0.113.10", "2001:db8:1::1"]
    for address in honest:
        passwords.refuse_if_full(address)
    others = [asyncio.ensure_future(served(passwords, order, address)) for address in honest]
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*strangers, *others)
    refused = [each for each in order if each.endswith("refused")]
    assert refused == [
        f"2001:db8:0:{n:x}::1 refused" for n in range(WAITING_PER_THREAD, WAITING_PER_THREAD - 3, -1)
    ]
    done = [each for each in order if not each.endswith("refused")]
    assert done[:5] == ["2001:db8:0:0::1", "2001:db8:0:1::1", *honest]
    assert len(done) == 1 + WAITING_PER_THREAD
    passwords.close()


async def test_what_waits_when_it_is_closed_is_over(held: threading.Event) -> None:
    passwords = Passwords(threads=1)
    calls = [asyncio.ensure_future(passwords.verify("secret", CHEAP)) for _ in range(5)]
    await asyncio.sleep(0)
    passwords.close()
    held.set()
    await asyncio.wait(calls)
    assert calls[0].result() is True
    assert all(call.cancelled() for call in calls[1:])
