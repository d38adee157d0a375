"""Access tokens: JWT (RFC 7519), HS256, interchangeable with the former server's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt

ALGORITHM = "HS256"
"""The only algorithm that is accepted, whatever a token's header says (RFC 8725 §3.1)."""
_LONGEST_TOKEN = 4096
_LAST_MOMENT = 253402300799
"""The end of the year 9999 in Unix seconds: the latest moment that calendars here can express."""


class InvalidTokenError(Exception):
    """A token that is not ours, was changed, has expired or says too little. Carries no detail for clients."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says: account id, e-mail at issue ("" if absent), expiry in Unix seconds."""

    sub: str
    email: str
    exp: int


class Tokens:
    """Issues tokens with one secret, and verifies those of it and of former ones. Pure and fast (about 20 µs for each
    secret): call it on the event loop.
    """

    def __init__(self, secret: str, life_seconds: int, former: Sequence[str] = ()) -> None:
        """`former`: secrets that tokens may be signed with as well (docs/operations.md#changing-secrets)."""
        self._secret = secret
        self._all = (secret, *former)
        self._life_seconds = life_seconds
        # Any: PyJWT's annotations name classes of `cryptography`, which HS256 does not need.
        self._jwt: Any = jwt.PyJWT()

    def issue(self, user_id: str, email: str) -> str:
        """A token `{sub, email, iat, exp}` for the account (contract/rest.md, "JWT")."""
        now = int(time.time())
        claims: dict[str, Any] = {"sub": user_id, "email": email, "iat": now, "exp": now + self._life_seconds}
        return str(self._jwt.encode(claims, self._secret, ALGORITHM))

    def verify(self, token: str) -> Claims:
        """The claims of a token that is signed with one of our secrets and has not expired.

        No leeway: issuer and verifier are one server. `iat` is not compared with the clock, which the former
        server's library did not do either. Raises :class:`InvalidTokenError`.
        """
        if len(token) > _LONGEST_TOKEN:
            raise InvalidTokenError
        claims = self._decoded(token)
        subject, email, expiry = claims["sub"], claims.get("email"), claims["exp"]
        if not isinstance(subject, str) or not subject:
            raise InvalidTokenError
        # A number (RFC 7519 §2, NumericDate), as the former server had it; the library would take "1795419749".
        if isinstance(expiry, bool) or not isinstance(expiry, int | float) or expiry > _LAST_MOMENT:
            raise InvalidTokenError
        return Claims(sub=subject, email=email if isinstance(email, str) else "", exp=int(expiry))

    def _decoded(self, token: str) -> dict[str, Any]:
        for secret in self._all:
            try:
                return self._jwt.decode(
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    options={"require": ["exp", "sub"], "verify_iat": False, "verify_aud": False},
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, ValueError):  # ValueError: lone surrogates and the like
                break
        raise InvalidTokenError
