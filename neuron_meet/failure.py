"""Failures: those that were foreseen, told in a sentence, and the others, told by their place."""

from __future__ import annotations

import traceback

INNERMOST_FRAMES = 8


class ForeseenFailure(Exception):
    """Something that the operator can mend. The message says what is wrong and what to do, and holds no secret."""


class UnusableSettings(ForeseenFailure):
    """Settings that turn out to be unusable at the start: the program ends with exit code 2, as for those that
    cannot be read."""


def place(error: BaseException) -> dict[str, object]:
    """What a log may say of an unforeseen exception: its type and where it arose.

    Never its text: that may quote what a user sent.
    """
    frames = traceback.extract_tb(error.__traceback__)[-INNERMOST_FRAMES:]
    return {
        "error": type(error).__name__,
        "at": [f"{frame.name}:{frame.lineno} ({frame.filename.rpartition('/')[2]})" for frame in frames],
    }
