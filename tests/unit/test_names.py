"""Display names: what is kept of what a client calls itself."""

from __future__ import annotations

import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from neuron_meet import names
from neuron_meet.names import (
    MAX_NAME_LENGTH,
    MAX_PICTURE_BYTES,
    clean_name,
    shown_name,
    shown_picture,
    visible_text,
)

RIGHT_TO_LEFT_OVERRIDE, JOINER, NON_JOINER, SOFT_HYPHEN = "\u202e", "\u200d", "\u200c", "\u00ad"
FAMILY = JOINER.join(("\U0001f469", "\U0001f469", "\U0001f467"))


def flag(region: str) -> str:
    """The black flag with a region's tags (UTS #51 ED-14a)."""
    return "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        (None, ""),
        ("", ""),
        ("Ada", "Ada"),
        ("  Ada   Lovelace \n", "Ada Lovelace"),
        ("Ada\x00\x1b[31m", "Ada[31m"),
        ("Ada\tL", "Ada L"),
        ("\x85Ada\x9f", "Ada"),
        (f"{RIGHT_TO_LEFT_OVERRIDE}adA", "adA"),
        (f"A{SOFT_HYPHEN}da\ufeff", "Ada"),
        ("A\u2028d\u3000a", "A d a"),
        ("\ud800Ada", "Ada"),
        ("Ада Лавлейс 李 نور", "Ада Лавлейс 李 نور"),
        (f"{FAMILY} Ada", f"{FAMILY} Ada"),
        (
            f"\u0639\u0644\u06cc{NON_JOINER}\u0631\u0636\u0627",
            f"\u0639\u0644\u06cc{NON_JOINER}\u0631\u0636\u0627",
        ),
        ("   \t\n", ""),
        ("\x00\u200b", ""),
        (JOINER, ""),
        (f" {JOINER} {JOINER}", ""),
        ("x" * 50, "x" * 50),
        ("x" * 51, "x" * 50),
        ("x" * 49 + " yz", "x" * 49),
        ("\U0001f600" * 60, "\U0001f600" * 50),
        # Nothing to be seen: fillers of Hangul, the braille blank, the grapheme joiner, tags, selectors, reserved ones.
        *((alone, "") for alone in "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u180e\u2065\ufe0f"),
        *((alone, "") for alone in "\U000e0041\U000e0100\U000e0fff\U0001d159\U0001bca0\U0001d173"),
        ("\u3164 \u2800\u034f", ""),
        ("\u180e\u180b", ""),  # Mongolian as a script, and no letters
        ("\U00016fe4", ""),
        ("\U00016fe4\U000e0100", ""),
        ("A\u3164d\u034fa\ufe0f\U000e0041", "Ada"),  # who looks like Ada is called Ada
        (f"A{JOINER}d{NON_JOINER}a", "Ada"),
        ("\u2801\u2819\u2801\u2800\u2807", "\u2801\u2819\u2801 \u2807"),  # words in braille
        # Part of what is seen.
        *((flag(region) + " x", flag(region) + " x") for region in ("gbeng", "gbsct", "gbwls")),
        (flag("usca"), "\U0001f3f4"),
        (flag("gbeng")[:-1], "\U0001f3f4"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("\u2764\ufe0e", "\u2764\ufe0e"),
        ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
        ("1\ufe0f", "1"),
        (f"\U0001f3f3\ufe0f{JOINER}\U0001f308", f"\U0001f3f3\ufe0f{JOINER}\U0001f308"),
        (
            f"\U0001f469\U0001f3fd{JOINER}\u2764\ufe0f{JOINER}\U0001f468",
            f"\U0001f469\U0001f3fd{JOINER}\u2764\ufe0f{JOINER}\U0001f468",
        ),
        (f"\U0001f469{JOINER}", "\U0001f469"),
        ("\u845b\U000e0100\u57ce", "\u845b\U000e0100\u57ce"),  # as a Japanese family writes itself
        ("\u1820\u180b", "\u1820\u180b"),
        (f"\u0dc1\u0dca{JOINER}\u0dbb\u0dd3", f"\u0dc1\u0dca{JOINER}\u0dbb\u0dd3"),  # Sri, in Sinhala
        (f"\u0639\u0644\u06cc{NON_JOINER * 2}\u0631", f"\u0639\u0644\u06cc{NON_JOINER}\u0631"),
    ],
)
def test_names(given_name: str | None, kept: str) -> None:
    assert clean_name(given_name) == kept


INVISIBLE = "\u3164\u2800\u034f\u00ad\u200b\u202e\ufeff\u180e\U000e0041\U000e0fff\ud800\x00"
PARTS = "\u200c\u200d\ufe0f\ufe0e\U000e0100\u180b\u20e3\U0001f3fd1a \u06cc\u0dca\u1820\u845b\U0001f469\U0001f3f4\u2764"


@settings(deadline=None)
@given(
    st.text(st.characters(), max_size=200)
    | st.text(st.sampled_from(INVISIBLE + PARTS), max_size=200)
    | st.lists(st.sampled_from([flag("gbeng"), flag("usca"), FAMILY, *INVISIBLE, *PARTS]), max_size=60).map(
        "".join
    )
)
@example(f"\t{JOINER}\n")
@example("x" * 49 + " y")
@example("x" * 46 + flag("gbeng"))
@example("x" * 48 + FAMILY)
@example("\u180e\u180b")
def test_whatever_is_typed_a_name_is_short_trimmed_visible_and_stable(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= MAX_NAME_LENGTH
    assert name == name.strip()
    assert clean_name(name) == name
    seen = name
    for region in ("gbeng", "gbsct", "gbwls"):
        seen = seen.replace(flag(region), "")
    joiners = JOINER + NON_JOINER
    assert all(
        character in joiners or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        for character in seen
    )
    assert not set(name) & set(INVISIBLE)
    assert name == "" or name.strip(joiners + " \ufe0e\ufe0f\u180b\U000e0100") != ""


@pytest.mark.parametrize("character", ["x", " ", "é", "\u3164", NON_JOINER, "\U0001f469" + JOINER, "\ud800"])
def test_however_long_a_text_is_little_of_it_is_looked_at(
    character: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []

    def looking(text: str) -> str:
        looked_at.append(len(text))
        return visible_text(text)

    monkeypatch.setattr(names, "visible_text", looking)
    clean_name(character * 1_000_000)
    shown_name(character * 1_000_000)
    assert len(looked_at) == 4
    assert max(looked_at) <= 4 * MAX_NAME_LENGTH


def test_a_stored_name_is_shown_as_it_is_unless_it_is_too_long() -> None:
    assert shown_name(None) is None
    assert shown_name(" as it is\u200b") == " as it is\u200b"
    assert shown_name("x" * 51) == "x" * 50
    assert shown_name("x" * 101, 100) == "x" * 100


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, None),
        ("https://example.com/a.png", "https://example.com/a.png"),
        ("x" * MAX_PICTURE_BYTES, "x" * MAX_PICTURE_BYTES),
        ("x" * (MAX_PICTURE_BYTES + 1), None),
        ("data:image/png;base64," + "A" * 95_000, None),
        ("é" * (MAX_PICTURE_BYTES // 2), "é" * (MAX_PICTURE_BYTES // 2)),
        ("é" * (MAX_PICTURE_BYTES // 2 + 1), None),
    ],
)
def test_pictures_that_others_are_sent(stored: str | None, shown: str | None) -> None:
    assert shown_picture(stored) == shown
