"""What others are shown of people and rooms: names and pictures."""

from __future__ import annotations

from typing import overload

import regex
from idna import valid_contextj

MAX_NAME_LENGTH = 50
MAX_ROOM_NAME_LENGTH = 100
GUEST_NAME = "Guest"
MAX_PICTURE_BYTES = 4_096
"""The longest address of a picture that others are sent. The former server stored `data:` pictures of 95 kB, which each
chat message would carry; an account reads its own, and another's profile, whole."""
READ_FOR_EACH_KEPT = 4
"""Characters that are read for each one that a name may have: room for blanks and invisible ones, and a bound on the
work that a text can ask for, however long it is."""

_BLANKS = str.maketrans({"\u2800": " ", "\U0001d159": " "})
"""Empty glyphs that Unicode counts among the symbols: the braille blank, which separates words in braille, and the null
note head. Neither is white space or default-ignorable."""

_CONTEXT = 10
"""Characters to either side of a joiner that are looked at: its neighbours, with marks in between."""
_TAGS = {
    region: "".join(chr(0xE0000 + ord(letter)) for letter in region) for region in ("gbeng", "gbsct", "gbwls")
}
_INVISIBLE = regex.compile(
    rf"""
    (?P<sequence>
        # The flags of England, Scotland and Wales: all tag sequences that are recommended for general interchange.
        \U0001f3f4 (?: {"|".join(_TAGS.values())} ) \U000e007f
        # UTS #51 ED-16, and what it is made of: emoji with a presentation selector or a skin tone, joined by U+200D.
      | \p{{Extended_Pictographic}} \ufe0f? \p{{Emoji_Modifier}}?
        (?: \u200d \p{{Extended_Pictographic}} \ufe0f? \p{{Emoji_Modifier}}? )*+ \ufe0e?
      | [0-9\#*] \ufe0f \u20e3
        # Variants that people's names are written with: of ideographs (UTS #37), of Mongolian letters.
      | (?= [\p{{L}}\p{{N}}] ) \p{{Ideographic}} [\ufe00-\ufe02\U000e0100-\U000e01ef]
      | (?= \p{{L}} ) \p{{Mongolian}} [\u180b-\u180d\u180f]
    )
    | (?P<joiner> [\u200c\u200d] ) [\u200c\u200d]*+
    | [\p{{Default_Ignorable_Code_Point}}\p{{Cc}}\p{{Cf}}\p{{Cs}}\U00016fe4]  # the last fills in Khitan, unseen
    """,
    regex.VERBOSE,
)


def visible_text(text: str) -> str:
    """`text` trimmed, inner white space made single, without what cannot be seen.

    Invisible are control and format characters and lone surrogates (Unicode Cc, Cf, Cs) and the default-ignorable code
    points (UAX #44): they make names that look empty, or like somebody else's. They stay where they are part of what is
    seen: in emoji (UTS #51), in variants of ideographs and Mongolian letters, and joiners where a script needs them, as
    in Persian and Sinhala (RFC 5892 Appendix A.1 and A.2).

    Reads all of `text`: whoever calls it must have measured that (`READ_FOR_EACH_KEPT`).
    """
    words = " ".join(text.split())  # first: a tab is a control character too
    if words.isascii() and words.isprintable():
        return words  # nearly every name: ASCII has none of these but control characters
    words = words.translate(_BLANKS)
    return " ".join(_INVISIBLE.sub(_what_is_seen, words).split())


def _what_is_seen(match: regex.Match[str]) -> str:
    if (sequence := match["sequence"]) is not None:
        return sequence
    joiner = match["joiner"]
    if joiner is None:
        return ""
    before = match.string[max(0, match.start() - _CONTEXT) : match.start()]
    after = match.string[match.end() : match.end() + _CONTEXT]
    try:
        return joiner if valid_contextj(before + joiner + after, len(before)) else ""
    except ValueError:  # beside a code point that is not assigned
        return ""


def clean_name(text: str | None, longest: int = MAX_NAME_LENGTH) -> str:
    """A name from `text`, however long that is: visible, at most `longest` characters; empty where nothing is left."""
    read = (text or "")[: longest * READ_FOR_EACH_KEPT]
    return visible_text(visible_text(read)[:longest])


@overload
def shown_name(stored: str, longest: int = ...) -> str: ...
@overload
def shown_name(stored: str | None, longest: int = ...) -> str | None: ...
def shown_name(stored: str | None, longest: int = MAX_NAME_LENGTH) -> str | None:
    """A stored name as others are sent it: one that is too long, which the former server may have left, is cut."""
    return stored if stored is None or len(stored) <= longest else clean_name(stored, longest)


def shown_picture(stored: str | None) -> str | None:
    """A stored address of a picture as others are sent it: none where it is too long."""
    if stored is None or len(stored) > MAX_PICTURE_BYTES:
        return None
    return stored if stored.isascii() or len(stored.encode()) <= MAX_PICTURE_BYTES else None
