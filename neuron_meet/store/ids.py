"""Ids that the server makes itself, so that a row needs no answer from the database to be named.

They have the length and alphabet of Prisma's cuids (25 characters, base 36) and fit the same columns.
"""

from __future__ import annotations

import hashlib
import secrets

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
INSTANCE_LENGTH = 10
PARTICIPANT_PREFIX = "n"
"""First letter of a participant id made here; Prisma's own cuids begin with `c`."""


def _random(length: int) -> str:
    return _letters(secrets.token_bytes(length), length)


def _letters(data: bytes, length: int) -> str:
    number = int.from_bytes(data, "big")
    letters: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def new_id() -> str:
    """A new id: `c` and 24 random characters (about 124 bits)."""
    return "c" + _random(24)


def message_id(room_id: str, identity: str, client_id: str) -> str:
    """The id of the message that a sender calls `client_id`, each time the same: `c` and 24 characters of a SHA-256.

    `identity` is the sender's, and no other sender's.
    """
    named = "\0".join((room_id, identity, client_id))  # the first two have no NUL
    return "c" + _letters(hashlib.sha256(named.encode()).digest(), 24)


def new_instance() -> str:
    """A name for one run of one server: 10 random characters."""
    return _random(INSTANCE_LENGTH)


def participant_id(instance: str) -> str:
    """A new Participant id that tells which run of which server opened the row (store/lease.py reads it)."""
    return participant_prefix(instance) + _random(24 - INSTANCE_LENGTH)


def participant_prefix(instance: str) -> str:
    """What all Participant ids of one run begin with."""
    return PARTICIPANT_PREFIX + instance
