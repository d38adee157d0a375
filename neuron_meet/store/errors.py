"""What can go wrong with the database, in one import.

Errors of a query are Prisma Client Python's own exceptions; two of ours say that there was nobody to ask.
"""

from __future__ import annotations

import re

from neuron_meet.failure import ForeseenFailure
from neuron_meet.store.generated.errors import (
    DataError,
    ForeignKeyViolationError,
    InputError,
    MissingRequiredValueError,
    RawQueryError,
    RecordNotFoundError,
    TableNotFoundError,
    TransactionError,
    TransactionExpiredError,
    UniqueViolationError,
)
from neuron_meet.store.generated.errors import PrismaError as StoreError

__all__ = [
    "AccountDisabled",
    "DataError",
    "DatabaseUnreachable",
    "EngineUnavailable",
    "ForeignKeyViolationError",
    "InputError",
    "MissingRequiredValueError",
    "RawQueryError",
    "RecordNotFoundError",
    "StoreError",
    "TableNotFoundError",
    "TransactionError",
    "TransactionExpiredError",
    "UniqueViolationError",
    "code_of",
]

_SQLSTATE = re.compile(r"\(PostgreSQL error (\w{5})\)")
"""As store/engine/failures.py and failures.mjs have it."""


class EngineUnavailable(StoreError):
    """The query was not answered: the engine or the database is away, or the deadline has passed.

    Whether a write was done is then unknown. `code` is Prisma's error code where the engine gave one.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class AccountDisabled(StoreError):
    """The account whose row was to be written is disabled (store/users.py). What was written stays."""

    def __init__(self) -> None:
        super().__init__("The account is disabled.")


class DatabaseUnreachable(ForeseenFailure):
    """The database cannot be used at start. The message says why and what to do; it never holds the password."""


def code_of(error: StoreError) -> str | None:
    """Prisma's code of what went wrong (P2002), or PostgreSQL's (42501); for logs: the text may quote what was sent."""
    code: object = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    found = _SQLSTATE.search(str(error))
    return found[1] if found else None
