"""The handshake: who connects. Identity is the verified token's subject, and nothing else that a client says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from neuron_meet.auth.tokens import InvalidTokenError, Tokens
from neuron_meet.names import clean_name
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.events import ServerPayload
from neuron_meet.signaling.identity import AUTH_ERROR

KNOWN_CAPABILITIES = frozenset({"waiting-room"})
_CAPABILITIES_READ = 100


@dataclass(frozen=True, slots=True)
class Greeting:
    """A connection that may go on: its caller, and the events it gets at once."""

    caller: Caller
    events: list[ServerPayload] = field(default_factory=list[ServerPayload])


class Handshake:
    """Turns a CONNECT packet's `auth = { token?, userId?, displayName?, capabilities? }` into a caller."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def greet(self, sid: str, auth: Mapping[str, object], address: str) -> Greeting:
        """The caller behind a new socket.

        A token that is present but proves nothing refuses nobody: the socket is a guest and gets
        `auth-error` (contract, Handshake). `auth.userId` is not even read.
        """
        caller = Caller(
            sid=sid,
            auth_name=clean_name(_text(auth.get("displayName"))),
            address=address,
            capabilities=_capabilities(auth.get("capabilities")),
        )
        token = auth.get("token")
        if token is None or token == "":
            return Greeting(caller)
        try:
            caller.user_id = self._tokens.verify(_text(token) or "").sub
        except InvalidTokenError:
            return Greeting(caller, [AUTH_ERROR])
        return Greeting(caller)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _capabilities(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        return frozenset()
    named = cast("list[object]", value)[:_CAPABILITIES_READ]
    return frozenset(known for known in KNOWN_CAPABILITIES if known in named)
