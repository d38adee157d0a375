"""Tokens that are not ours, and secrets that would let others make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from neuron_meet.settings import Settings
from tests.rest.server import SECRET, Server
from tests.rest.shapes import UNAUTHORIZED

KNOWN_SECRETS = [
    "neuron-meet-development-secret-do-not-use-in-production",
    "neuron-meet-secret",
    "your-production-secret-change-me",
    "your-super-secret-jwt-key-change-in-production",
    "your-super-secret-jwt-key",
    "your-secret-key",
    "a-string-secret-at-least-256-bits-long",
    "changeme",
]
"""This server's former default, the former server's (its code, its compose file, its example of a .env), tutorials'."""

HS256 = {"alg": "HS256", "typ": "JWT"}
HOUR = 3600


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(payload: object, header: object = HS256, secret: str = SECRET, hashed: str = "sha256") -> str:
    """A JWT made by hand, so that it may hold what no library would write."""
    text = f"{part(header)}.{part(payload)}"
    signature = hmac.new(secret.encode(), text.encode(), hashed).digest()
    return f"{text}.{part(signature)}"


def claims(account_id: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"sub": account_id, "email": "a@example.com", "iat": now, "exp": now + HOUR} | changes
    return {name: value for name, value in made.items() if value is not None}


def expiring(raw: str) -> Callable[[str], str]:
    """Claims with `exp` as these characters of JSON."""
    return lambda account_id: token(f'{{"sub":"{account_id}","exp":{raw}}}'.encode())


FORGED: dict[str, Callable[[str], str]] = {
    "alg none, unsigned": lambda a: f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims(a))}.",
    "alg none, signed": lambda a: token(claims(a), {"alg": "none"}),
    "alg None": lambda a: f"{part({'alg': 'None'})}.{part(claims(a))}.",
    "alg null": lambda a: token(claims(a), {"alg": None}),
    "alg a list": lambda a: token(claims(a), {"alg": ["HS256"]}),
    "no alg": lambda a: token(claims(a), {"typ": "JWT"}),
    "alg in lower case": lambda a: token(claims(a), {"alg": "hs256"}),
    "RS256 with our secret as its key": lambda a: token(claims(a), {"alg": "RS256"}),
    "ES256 with our secret as its key": lambda a: token(claims(a), {"alg": "ES256"}),
    "HS512 with our secret": lambda a: token(claims(a), {"alg": "HS512"}, hashed="sha512"),
    "HS256 that is HS512": lambda a: token(claims(a), hashed="sha512"),
    "a foreign secret": lambda a: token(claims(a), secret="another-secret-of-at-least-32-bytes!!"),
    "an empty secret": lambda a: token(claims(a), secret=""),
    "the secret that development once had": lambda a: token(claims(a), secret=KNOWN_SECRETS[0]),
    "the former server's default secret": lambda a: token(claims(a), secret=KNOWN_SECRETS[1]),
    "a key of the sender's": lambda a: token(
        claims(a), HS256 | {"jwk": {"kty": "oct", "k": part(b"x" * 32)}}, secret="x" * 32
    ),
    "a critical extension": lambda a: token(claims(a), HS256 | {"crit": ["exp2"], "exp2": 1}),
    "an unencoded payload": lambda a: token(claims(a), HS256 | {"b64": False, "crit": ["b64"]}),
    "no subject": lambda a: token(claims(a, sub=None)),
    "a subject that is a list": lambda a: token(claims(a, sub=[a])),
    "a subject that is a rule": lambda a: token(claims(a, sub={"not": ""})),
    "an empty subject": lambda a: token(claims(a, sub="")),
    "somebody who is not there": lambda a: token(claims(f"{a}x")),
    "no expiry": lambda a: token(claims(a, exp=None)),
    "expired": lambda a: token(claims(a, exp=int(time.time()) - 1)),
    "expired long ago": expiring("-1"),
    "expiry as a string": expiring('"4949019749"'),
    "expiry as a word": expiring('"never"'),
    "expiry true": expiring("true"),
    "expiry a list": expiring("[4949019749]"),
    "expiry null": expiring("null"),
    "expiry infinite": expiring("1e999"),
    "expiry Infinity": expiring("Infinity"),
    "expiry NaN": expiring("NaN"),
    "expiry of 2,000 digits": expiring("9" * 2000),
    "expiry after the year 9999": expiring("253402300800"),
    "not valid yet": lambda a: token(claims(a, nbf=int(time.time()) + HOUR)),
    "claims that are a list": lambda a: token([a]),
    "claims nested deep": lambda a: token(b"[" * 2900),
    "a header nested deep": lambda a: f"{part(b'[' * 2900)}.{part(claims(a))}.x",
    "longer than any token": lambda a: token(claims(a, email="x" * 4000)),
    "five parts": lambda a: token(claims(a)) + ".a.b",
    "nothing but dots": lambda _: "." * 3000,
    "a part of it": lambda a: token(claims(a)).rpartition(".")[0],
}


@pytest.mark.parametrize("forge", [pytest.param(forge, id=name) for name, forge in FORGED.items()])
async def test_forged_tokens(server: Server, forge: Callable[[str], str]) -> None:
    account, _ = await server.account()
    answer = await server.get("/api/auth/me", forge(account.id))
    assert (answer.status, answer.body) == (401, UNAUTHORIZED)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"exp": time.time() + HOUR + 0.5},
        {"exp": 253402300799},
        {"iat": None},
        {"iat": int(time.time()) + HOUR},
        {"email": None},
        {"aud": "other", "iss": "elsewhere", "jti": "1", "nbf": 0},
    ],
)
async def test_tokens_that_are_good(server: Server, changes: dict[str, Any]) -> None:
    """The same way of making them, so that the ones above fail for the reason that they name."""
    account, _ = await server.account()
    answer = await server.get("/api/auth/me", token(claims(account.id, **changes)))
    assert (answer.status, answer.body.get("id")) == (200, account.id)


async def test_a_change_of_any_part_is_noticed(server: Server) -> None:
    account, _ = await server.account()
    grace, _ = await server.account("Grace")
    header, payload, signature = token(claims(account.id)).split(".")
    other_payload = part(claims(grace.id))
    digest = part(hashlib.sha256(f"{header}.{payload}".encode()).digest())
    for changed in (
        f"{header}.{other_payload}.{signature}",
        f"{part({'alg': 'HS256'})}.{payload}.{signature}",
        f"{header}.{payload}.{digest}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}.{signature[::-1]}",
    ):
        answer = await server.get("/api/auth/me", changed)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED)


async def test_a_token_is_read_from_its_header_only(server: Server) -> None:
    _, good = await server.account()
    for path, headers in (
        (f"/api/auth/me?token={good}&access_token={good}", {}),
        ("/api/auth/me", {"Cookie": f"token={good}; Authorization=Bearer {good}"}),
        ("/api/auth/me", {"X-Authorization": f"Bearer {good}"}),
        ("/api/auth/me", {"Authorization": f"Basic {good}"}),
        ("/api/auth/me", {"Authorization": f"Bearer {good}, Bearer {good}"}),
    ):
        answer = await server.call("GET", path, headers=headers)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED), path


def production(secret: str | None) -> Settings:
    given = {"node_env": "production"} | ({} if secret is None else {"jwt_secret": secret})
    return Settings(_env_file=None, **given)  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    "secret", [None, *KNOWN_SECRETS, f"'{KNOWN_SECRETS[3]}'", f"  {KNOWN_SECRETS[2].upper()}"]
)
def test_production_refuses_known_secrets(secret: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JWT_SECRET", raising=False)
    with pytest.raises(ValidationError, match=r"anybody could issue tokens\. Set one of at least 32 bytes"):
        production(secret)


@pytest.mark.parametrize("secret", ["x" * 31, "ü" * 15, "0123456789"])
def test_production_refuses_short_secrets(secret: str) -> None:
    with pytest.raises(ValidationError, match=r"shorter than 32 bytes.*Set a longer one") as refused:
        production(secret)
    assert secret not in str(refused.value)


@pytest.mark.parametrize("secret", ["x" * 32, "ü" * 16])
def test_production_takes_secrets_of_32_bytes(secret: str) -> None:
    assert production(secret).signing_key == secret
