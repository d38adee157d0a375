"""Text of every kind is stored as it is, or refused."""

from __future__ import annotations

import pytest

from neuron_meet.store.errors import InputError
from neuron_meet.store.generated.client import Prisma


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "\"quotes\" 'and' `ticks`",
        "back\\slash \\n \\u0041",
        "new\nlines\r\n\tand tabs",
        "lines of other kinds: \u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e",
        "grüße 漢字 العربية 🎉👩‍👩‍👧‍👦",
        "\ufeff\u200b\u00a0 \x7f \x01",
        '$1 %s {0} ${x} @parent -- ; DROP TABLE "User"',
        '{"$type": "Param", "value": "s0"}',
        "",
        "x" * 100_000,
    ],
)
async def test_text_comes_back_as_it_was(prisma: Prisma, text: str) -> None:
    user = await prisma.user.create({"email": text, "name": text, "password": text})
    assert (user.email, user.name, user.password) == (text, text, text)
    found = await prisma.user.find_unique(where={"email": text})
    assert found == user
    assert await prisma.user.find_many(where={"name": {"in": [text]}}) == [user]
    assert await prisma.query_raw('SELECT name FROM "User" WHERE email = $1', text) == [{"name": text}]


@pytest.mark.parametrize("text", ["nul \x00 inside", "half a pair \ud83d"])
async def test_text_that_cannot_be_stored_is_an_input_error(prisma: Prisma, text: str) -> None:
    with pytest.raises(InputError, match="Input error: text contains"):
        await prisma.user.create({"email": text, "name": "x", "password": "x"})
    assert await prisma.user.count() == 0
