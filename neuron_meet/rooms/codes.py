"""Room codes: `xxx-xxx-xxx`, nine lower-case letters (contract/rest.md, last lines)."""

from __future__ import annotations

import re
import secrets
import string

_LONGEST_TYPED = 128
"""Characters in which a code is looked for, blanks included."""
_CODE = re.compile(r"[a-z]{3}-[a-z]{3}-[a-z]{3}")


def new_room_code() -> str:
    """A code from the system's cryptographic source: one of 26^9 (about 42 bits)."""
    letters = [secrets.choice(string.ascii_lowercase) for _ in range(9)]
    return "-".join("".join(letters[start : start + 3]) for start in (0, 3, 6))


def room_code_in(text: str) -> str | None:
    """The room code that a client means: in any casing, blanks around it; None where it is none."""
    if len(text) > _LONGEST_TYPED:
        return None
    code = text.strip().lower()
    return code if is_room_code(code) else None


def is_room_code(text: str) -> bool:
    """Whether `text` is written like a room code: lower case, with its hyphens, and nothing around it."""
    return _CODE.fullmatch(text) is not None
