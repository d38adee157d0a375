"""Every domain error on one screen: code, HTTP status and the text that reaches the wire.

The texts are fixed by the contract (docs/protocol.md); front ends compare them. Nothing else in the
server spells a wire message out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is refused: a stable `code`, the `status` REST answers with, the wire `message`."""

    code: str
    status: int
    message: str


class Refused(Exception):
    """A request that the rules refuse. Carries its :class:`Refusal`; never an internal detail."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refuse(refusal: Refusal | None) -> None:
    """Raise :class:`Refused` where a rule gave a refusal; nothing where it gave None."""
    if refusal is not None:
        raise Refused(refusal)


# -- any event, any request
INVALID_REQUEST = Refusal("INVALID_REQUEST", 400, "Invalid request")
UNKNOWN_EVENT = Refusal("UNKNOWN_EVENT", 400, "Unknown event")
NOT_AUTHORIZED = Refusal("NOT_AUTHORIZED", 403, "Not authorized")
TOO_MANY_REQUESTS = Refusal("TOO_MANY_REQUESTS", 429, "Too many requests")
UNAVAILABLE = Refusal("UNAVAILABLE", 503, "Service temporarily unavailable")
INTERNAL = Refusal("INTERNAL", 500, "Internal server error")

# -- Engine.IO's own, by its codes (Node's engine.io, lib/server.ts)
ENGINE_ERRORS = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)
BINARY_PARSER = "Binary packets are not supported: use the default parser"
"""Reason of a close frame with code 1003."""

# -- join-room, in the order in which they are checked
INVALID_ROOM_CODE = Refusal("INVALID_ROOM_CODE", 400, "Invalid room code")
ROOM_NOT_FOUND = Refusal("ROOM_NOT_FOUND", 404, "Room not found")
ROOM_NOT_ACTIVE = Refusal("ROOM_NOT_ACTIVE", 410, "Room is no longer active")
REMOVED_FROM_MEETING = Refusal("REMOVED_FROM_MEETING", 403, "You were removed from this meeting")
ROOM_LOCKED = Refusal("ROOM_LOCKED", 423, "Room is locked")
AUTHENTICATION_REQUIRED = Refusal("AUTHENTICATION_REQUIRED", 401, "Authentication required")
ROOM_FULL = Refusal("ROOM_FULL", 409, "Room is full")
WAITING_FOR_HOST = Refusal("WAITING_FOR_HOST", 202, "Waiting for the host to let you in")
DENIED_BY_HOST = Refusal("DENIED_BY_HOST", 403, "The host did not let you in")
JOIN_FAILED_CODE = "JOIN_FAILED"

# -- in a room
NOT_IN_ROOM = Refusal("NOT_IN_ROOM", 403, "Not in this room")
TARGET_NOT_IN_ROOM = Refusal("TARGET_NOT_IN_ROOM", 404, "Participant not found")
SCREEN_SHARE_DISABLED = Refusal("SCREEN_SHARE_DISABLED", 403, "Screen sharing is disabled")

# -- chat
CONTENT_REQUIRED = Refusal("CONTENT_REQUIRED", 400, "Message content is required")
MESSAGE_TOO_LONG = Refusal("MESSAGE_TOO_LONG", 400, "Message is too long")
CHAT_DISABLED = Refusal("CHAT_DISABLED", 403, "Chat is disabled")
TOO_MANY_MESSAGES = Refusal("TOO_MANY_MESSAGES", 429, "Too many messages")
SEND_FAILED = Refusal("SEND_FAILED", 503, "Failed to send message")

# -- accounts and REST
UNAUTHORIZED = Refusal("UNAUTHORIZED", 401, "Unauthorized")
INVALID_CREDENTIALS = Refusal("INVALID_CREDENTIALS", 401, "Invalid credentials")
EMAIL_TAKEN = Refusal("EMAIL_TAKEN", 409, "Email already registered")
USER_NOT_FOUND = Refusal("USER_NOT_FOUND", 404, "User not found")
ONLY_HOST_SETTINGS = Refusal("ONLY_HOST_SETTINGS", 403, "Only the host can update room settings")
ONLY_HOST_END = Refusal("ONLY_HOST_END", 403, "Only the host can end the room")
TOO_MANY_ROOMS = Refusal("TOO_MANY_ROOMS", 409, "You have too many open rooms. End one of them first.")

# -- the handshake
INVALID_TOKEN = Refusal("INVALID_TOKEN", 401, "Your session has expired. Please sign in again.")

# -- reasons that travel inside events
TAKEN_OVER = "Joined from another device"
REMOVED_BY_HOST = "Removed by host"
ENDED_BY_HOST = "The host ended the meeting"
REMOVED_BY_OPERATOR = "Removed by the operator"
ENDED_BY_OPERATOR = "The operator ended the meeting"

# -- what is no request: not Express's words, which has others for each
NO_HTTP = "The request is not valid HTTP"
LINE_TOO_LONG = "The address is too long"
HEADERS_TOO_LARGE = "The headers are too large"
NO_SUCH_EXPECTATION = "The expectation cannot be met"


class PresenceUnavailable(Refused):
    """The other nodes are out of reach, because Redis is. `ticket`: of what may have been done all the same."""

    def __init__(self, ticket: str = "") -> None:
        super().__init__(UNAVAILABLE)
        self.ticket = ticket
