"""Access tokens: interchangeable with the former server's, and nothing else gets through."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest

from neuron_meet.auth.tokens import Claims, InvalidTokenError, Tokens

SECRET = "a-secret-for-tests-of-at-least-32-bytes"
TOKENS = Tokens(SECRET, life_seconds=3600)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(header: dict[str, Any], payload: dict[str, Any], secret: str = SECRET) -> str:
    """A JWT made by hand, as jsonwebtoken (the former server's library) makes it."""
    text = f"{part(header)}.{part(payload)}"
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


HEADER = {"alg": "HS256", "typ": "JWT"}


def payload(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"sub": "cabc", "email": "a@b.test", "iat": now, "exp": now + 60} | changes
    return {name: value for name, value in claims.items() if value is not None}


def test_a_token_says_who_and_until_when() -> None:
    before = int(time.time())
    token = TOKENS.issue("cabc", "a@b.test")
    claims = TOKENS.verify(token)
    assert (claims.sub, claims.email) == ("cabc", "a@b.test")
    assert before + 3600 <= claims.exp <= time.time() + 3600
    assert jwt.get_unverified_header(token) == HEADER
    assert set(jwt.decode(token, SECRET, ["HS256"])) == {"sub", "email", "iat", "exp"}


def test_the_former_servers_tokens_are_accepted() -> None:
    claims = payload()
    assert TOKENS.verify(signed(HEADER, claims)) == Claims("cabc", "a@b.test", claims["exp"])


def test_a_clock_that_is_ahead_elsewhere_does_not_matter() -> None:
    assert TOKENS.verify(signed(HEADER, payload(iat=int(time.time()) + 30))).sub == "cabc"


def test_an_email_is_not_required() -> None:
    assert TOKENS.verify(signed(HEADER, payload(email=None))).email == ""


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("abc", id="no parts"),
        pytest.param("a.b.c", id="not base64"),
        pytest.param("\ud800.b.c", id="lone surrogate"),
        pytest.param("é.b.c", id="not ASCII"),
        pytest.param("a" * 100_000, id="huge"),
        pytest.param(signed(HEADER, payload(), "another-secret-of-at-least-32-bytes!!"), id="other secret"),
        pytest.param(signed(HEADER, payload(exp=int(time.time()) - 1)), id="expired"),
        pytest.param(signed(HEADER, payload(exp=None)), id="no expiry"),
        pytest.param(signed(HEADER, payload(sub=None)), id="no subject"),
        pytest.param(signed(HEADER, payload(sub="")), id="empty subject"),
        pytest.param(signed(HEADER, payload(sub=7)), id="subject is a number"),
        pytest.param(signed(HEADER, payload(exp="soon")), id="expiry is a word"),
        pytest.param(signed(HEADER, payload(nbf=int(time.time()) + 60)), id="not valid yet"),
        pytest.param(f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(payload())}.", id="alg none"),
        pytest.param(signed({"alg": "none"}, payload()), id="alg none, signed"),
        pytest.param(jwt.encode(payload(), SECRET * 2, "HS512"), id="HS512 with another key"),
        pytest.param(jwt.encode(payload(), SECRET * 2, "HS384"), id="HS384"),
    ],
)
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        TOKENS.verify(token)


def test_the_right_secret_with_another_algorithm_is_refused() -> None:
    secret = SECRET * 2
    with pytest.raises(InvalidTokenError):
        Tokens(secret, 60).verify(jwt.encode(payload(), secret, "HS512"))


def test_a_changed_payload_is_refused() -> None:
    header, _, signature = TOKENS.issue("cabc", "a@b.test").split(".")
    with pytest.raises(InvalidTokenError):
        TOKENS.verify(f"{header}.{part(payload(sub='cxyz'))}.{signature}")


def test_tokens_of_former_secrets_are_taken_and_none_are_issued() -> None:
    former = Tokens("another-secret-of-at-least-32-bytes-then", 60)
    both = Tokens(
        SECRET, 60, ("a-third-secret-of-at-least-32-bytes", "another-secret-of-at-least-32-bytes-then")
    )
    assert both.verify(former.issue("cabc", "a@b.test")).sub == "cabc"
    assert TOKENS.verify(both.issue("cabc", "a@b.test")).sub == "cabc"
    with pytest.raises(InvalidTokenError):
        former.verify(both.issue("cabc", "a@b.test"))
    expired = jwt.encode(payload(exp=1), "another-secret-of-at-least-32-bytes-then", "HS256")
    unknown = jwt.encode(payload(), "a-fourth-secret-of-at-least-32-bytes", "HS256")
    for refused in (expired, unknown):
        with pytest.raises(InvalidTokenError):
            both.verify(refused)
