"""Room codes: their form, and where they come from."""

import pytest

from neuron_meet.rooms.codes import is_room_code, new_room_code


def test_new_codes_have_the_form_and_differ() -> None:
    codes = {new_room_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(is_room_code(code) for code in codes)
    # Every letter of the alphabet at every place: no place is fixed, no letter left out.
    assert all(len({code[place] for code in codes}) == 26 for place in (0, 1, 2, 4, 5, 6, 8, 9, 10))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc-def-gh",
        "abc-def-ghij",
        "ABC-def-ghi",
        "abcdefghi",
        "abc-def-gh1",
        " abc-def-ghi",
        "abc-def-ghi\n",
        "abc-dëf-ghi",
        "abc_def_ghi",
    ],
)
def test_other_texts_are_no_codes(text: str) -> None:
    assert not is_room_code(text)
