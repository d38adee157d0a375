"""Display names: what is kept of what a client calls itself."""

from __future__ import annotations

import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from neuron_meet.names import MAX_NAME_LENGTH, clean_name

RIGHT_TO_LEFT_OVERRIDE, JOINER, NON_JOINER, SOFT_HYPHEN = "\u202e", "\u200d", "\u200c", "\u00ad"
FAMILY = JOINER.join(("\U0001f469", "\U0001f469", "\U0001f467"))


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
    ],
)
def test_names(given_name: str | None, kept: str) -> None:
    assert clean_name(given_name) == kept


@given(st.text(st.characters(), max_size=200))
@example(f"\t{JOINER}\n")
@example("x" * 49 + " y")
def test_whatever_is_typed_a_name_is_short_trimmed_visible_and_stable(text: str) -> None:
    name = clean_name(text)
    assert len(name) <= MAX_NAME_LENGTH
    assert name == name.strip()
    assert clean_name(name) == name
    joiners = JOINER + NON_JOINER
    assert all(
        character in joiners or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        for character in name
    )
    assert name == "" or name.strip(joiners + " ") != ""
