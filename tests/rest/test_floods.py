"""Floods: more work than there is capacity for is refused quickly, and the rest goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import Counter

import pytest

from neuron_meet.auth.limits import SignInLimits
from neuron_meet.auth.passwords import WAITING_PER_THREAD, Passwords
from neuron_meet.auth.service import Accounts
from neuron_meet.auth.tokens import Tokens
from neuron_meet.errors import UNAVAILABLE, Refused
from neuron_meet.settings import Settings
from neuron_meet.store.client import Database
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.users import Users
from tests.rest.server import SECRET, Server, coming_from, new_email, serving
from tests.rest.shapes import error

BUSY = error(503, "Service temporarily unavailable")


async def test_a_flood_of_sign_ins_from_everywhere(database: Database) -> None:
    """Limits off, as if each came from another address: one thread's queue is full, the others hear at once.

    Meanwhile the server answers others: passwords are hashed off the event loop.
    """
    async with serving(database, bcrypt_threads=1) as server:
        places = 1 + WAITING_PER_THREAD
        refused_after: list[float] = []

        async def sign_in() -> int:
            begun = time.perf_counter()
            body = {"email": new_email(), "password": "guess"}
            answer = await server.post("/api/auth/login", body)
            if answer.status == 503:
                assert answer.body == BUSY
                assert answer.headers["retry-after"] == "1"
                refused_after.append(time.perf_counter() - begun)
            return answer.status

        begun = time.perf_counter()
        flood = asyncio.gather(*(sign_in() for _ in range(3 * places)))
        slowest = 0.0
        async with coming_from(server, "127.0.0.2") as other:  # connections of its own
            while not flood.done():
                asked = time.perf_counter()
                assert (await other.get("/api/health")).status == 200
                slowest = max(slowest, time.perf_counter() - asked)
                await asyncio.wait([flood], timeout=0.02)  # a probe, not a flood of its own
        statuses = Counter(await flood)
        took = time.perf_counter() - begun

    assert statuses.keys() <= {401, 503}
    assert statuses[401] >= places, "a full queue's worth is served"
    assert statuses[503] > 0, "and what does not fit is told so"
    assert min(refused_after) < took / 4
    assert slowest < took / 2, "nobody else waited for the flood"


async def test_a_full_queue_asks_the_database_nothing() -> None:
    """Else the flood would only move: an unknown address is looked for in the whole table."""
    database = Database("postgresql://nobody@127.0.0.1/nothing")  # not started: it raises when it is asked
    passwords = Passwords(1)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    accounts = Accounts(Users(database), passwords, Tokens(SECRET, 60), SignInLimits(settings))
    login = {"email": new_email(), "password": "a password", "client": "127.0.0.1"}
    with pytest.raises(EngineUnavailable):
        await accounts.login(**login)

    hashes = [
        asyncio.ensure_future(passwords.hash("a password", "127.0.0.1"))
        for _ in range(1 + WAITING_PER_THREAD)
    ]
    await asyncio.sleep(0)  # they are in the queue now
    with pytest.raises(Refused) as refused:
        await accounts.login(**login)
    assert refused.value.refusal == UNAVAILABLE
    with pytest.raises(Refused) as refused:
        await accounts.register(**login, display_name="Ada")
    assert refused.value.refusal == UNAVAILABLE

    passwords.close()
    await asyncio.wait(hashes)


async def test_a_body_that_grows_when_unpacked(server: Server) -> None:
    """50 MB of spaces, packed into 220 kB: given up at the limit, not unpacked."""
    bomb = gzip.compress(b" " * 50_000_000, compresslevel=1)
    for headers in ({"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}):
        answer = await server.call("POST", "/api/auth/login", data=bomb, headers=headers)
        assert answer.status in (400, 413)
        assert answer.body["statusCode"] == answer.status


async def test_a_body_that_is_packed(server: Server) -> None:
    body = gzip.compress(json.dumps({"email": "x"}).encode())
    answer = await server.call("POST", "/api/auth/login", data=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.body["message"][0]) == (400, "email must be an email")


async def test_a_body_that_is_not_packed_as_it_says(server: Server) -> None:
    answer = await server.call(
        "POST", "/api/auth/login", data=b'{"email": "x"}', headers={"Content-Encoding": "gzip"}
    )
    assert (answer.status, answer.body) == (400, error(400, "The request body is not valid JSON"))


async def test_expectations(server: Server) -> None:
    """What waits to be asked is asked; other expectations are ignored."""
    answer = await server.call("POST", "/api/auth/login", json={}, expect100=True)
    assert (answer.status, answer.body["statusCode"]) == (400, 400)
    answer = await server.call("POST", "/api/auth/login", json={}, headers={"Expect": "the impossible"})
    assert (answer.status, answer.body["statusCode"]) == (400, 400)


async def test_no_answer_says_what_it_runs_on(server: Server) -> None:
    for path in ("/api", "/api/health", "/api/nothing", "/", "/api/auth/me"):
        answer = await server.get(path)
        assert "server" not in answer.headers
        assert "x-powered-by" not in answer.headers
