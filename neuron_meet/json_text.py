r"""Half characters in JSON: `JSON.parse` takes a lone surrogate (`"\ud83d"`, half an emoji), the decoder here does not.

A front end that cuts a name or a message after so many UTF-16 units sends them. They are read as U+FFFD, and what is
relayed without being read goes on as it came.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

MOST_SURROGATES = 2_000
"""Escaped surrogates in a text that is looked through, two for an emoji: each that is alone costs a microsecond."""

_LONE = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
    re.DOTALL,
)
"""What is to be kept, as much as there is of it, or a lone surrogate."""
_STRING_BEFORE_VALUE = re.compile(rb'[ \t\r\n]*"(?:[^"\\]|\\.)*+"[ \t\r\n]*[,:][ \t\r\n]*', re.DOTALL)
_members = msgspec.json.Decoder(dict[str, Raw])


def unicode_text(text: bytes) -> bytes | None:
    r"""JSON with `\ufffd` in place of each lone surrogate, byte for byte as long as before; None where it has none."""
    surrogates = text.count(b"\\ud") + text.count(b"\\uD")
    if not 0 < surrogates <= MOST_SURROGATES:
        return None
    readable = _LONE.sub(lambda found: found[1] or rb"\ufffd", text)
    return readable if readable != text else None


def second_value(array: bytes) -> int:
    """Where the second value of a JSON array begins whose first is a string. Raises ValueError where there is none."""
    match = _STRING_BEFORE_VALUE.match(array, array.index(b"[") + 1)
    if match is None:
        raise ValueError("no second value")
    return match.end()


def member_as_it_came(original: bytes, readable: bytes, name: str) -> bytes | None:
    """The value of a JSON object's member in `original`, found in `readable`, what `unicode_text` made of it.

    None where it cannot be told, as in an object that has a name twice.
    """
    at = readable.index(b"{") + 1
    for each, value in _members.decode(readable).items():
        match = _STRING_BEFORE_VALUE.match(readable, at)
        if match is None:
            return None
        start, end = match.end(), match.end() + len(memoryview(value))
        if readable[start:end] != bytes(value):
            return None
        if each == name:
            return original[start:end]
        at = readable.find(b",", end) + 1
    return None
