"""Display names as everybody sees them."""

from __future__ import annotations

import unicodedata

MAX_NAME_LENGTH = 50
GUEST_NAME = "Guest"
_JOINERS = "\u200c\u200d"
"""Format characters that words need: U+200C in Persian, U+200D in emoji."""


def visible_text(text: str) -> str:
    """`text` trimmed, inner white space made single, without control and format characters.

    Format characters (Unicode Cf, such as U+202E, which reorders text) forge other people's names.
    """
    words = " ".join(text.split())  # first: a tab is a control character too
    if words.isascii() and words.isprintable():
        return words  # nearly every name: ASCII has none of these but control characters
    kept = (
        each for each in words if each in _JOINERS or unicodedata.category(each) not in ("Cc", "Cf", "Cs")
    )
    return " ".join("".join(kept).split()).strip(" " + _JOINERS)


def clean_name(text: str | None) -> str:
    """A display name from `text`: visible, at most 50 characters; empty where nothing is left.

    Source: contract, Handshake.
    """
    return visible_text(visible_text(text or "")[:MAX_NAME_LENGTH])
