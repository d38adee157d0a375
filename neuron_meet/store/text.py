"""What a PostgreSQL text column can hold and be compared with."""

from __future__ import annotations

_LONGEST_KEY = 256


def is_storable(text: str) -> bool:
    """Whether `text` could be an id, a code or an address in the database.

    PostgreSQL's text holds no NUL, UTF-8 no lone surrogate; and no key of ours is longer than an e-mail address.
    A query with anything else would be an error instead of "not found".
    """
    if len(text) > _LONGEST_KEY or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
