"""What went wrong on this process's own connections, in the query engine protocol's shape, as failures.mjs has it.

Codes are Prisma's (https://www.prisma.io/docs/orm/reference/error-reference), so that Prisma Client Python raises the
same exceptions, whoever ran a query. Messages carry names of constraints, tables and columns, no values of a query.
"""

from __future__ import annotations

import re
import ssl
from typing import Any, cast

import asyncpg

from neuron_meet.store.engine.datamap import UnknownEnumValue
from neuron_meet.store.engine.rules import MissingRecord

Failure = dict[str, Any]
"""{error, user_facing_error: {error_code, message, meta}}."""

_CODES = {
    "08000": "P1017",
    "08001": "P1001",
    "08003": "P1017",
    "08006": "P1017",
    "57P01": "P1017",
    "57P02": "P1017",
    "57P03": "P1001",
    "57014": "P1008",
    "28000": "P1010",
    "28P01": "P1000",
    "3D000": "P1003",
    "42501": "P1010",
    "40001": "P2034",
    "40P01": "P2034",
    "22021": "P2019",
    "53300": "P2037",
}
"""PostgreSQL's codes (its manual, appendix A), as in failures.mjs."""
_TEXTS = {
    "P1000": "The database refused the user name or password.",
    "P1001": "Can't reach the database server.",
    "P1003": "The database does not exist on the database server.",
    "P1008": "The database did not answer in time.",
    "P1010": "The database denied access to this user.",
    "P1011": "Error opening a TLS connection to the database.",
    "P1017": "The database server has closed the connection.",
    "P2019": "Input error: text contains a character that PostgreSQL cannot store, such as U+0000.",
    "P2034": "Transaction failed due to a write conflict or a deadlock. Please retry your transaction.",
    "P2037": "The database server has too many connections open.",
}
_ENDING = cast("Any", asyncpg).InternalClientError
"""What asyncpg raises where it has read PostgreSQL's goodbye, but the connection is not closed yet."""
_BROKEN = frozenset({"P1001", "P1017"})
_UNKNOWN = "(not available)"
_KEY = re.compile(r"Key \(([^)]+)\)")


def failure(code: str | None, message: str, meta: dict[str, Any] | None = None) -> Failure:
    """An error object of the query engine protocol."""
    facing: dict[str, Any] = {"is_panic": False, "message": message, "meta": meta or {}}
    if code is not None:
        facing["error_code"] = code
    return {"error": message, "user_facing_error": facing}


def surrogate() -> Failure:
    """The error object for text that is not valid Unicode."""
    return failure("P2019", "Input error: text contains an unpaired surrogate, which is not valid Unicode.")


def describe(error: Exception) -> Failure:
    """The error object for what running a plan raised."""
    if isinstance(error, MissingRecord):
        message = (
            "An operation failed because it depends on one or more records that were required but not found. "
            + error.which
        )
        return failure("P2025", message, {"operation": error.operation})
    code = _code(error)
    if code is not None:
        return failure(code, _TEXTS[code])
    if isinstance(error.__cause__, UnicodeEncodeError):
        return surrogate()
    state = getattr(error, "sqlstate", None)
    if isinstance(error, asyncpg.PostgresError) and state is not None:
        return _refused(error, state)
    name = "DataMapperError" if isinstance(error, UnknownEnumValue) else "Error"
    return failure(None, f"The query engine could not run the query ({name}).")


def refused_in_host(state: str) -> Failure | None:
    """The error object for what PostgreSQL has refused by code `state`, where the host ran it and told no more.

    None for a code without one of Prisma's own.
    """
    match state:
        case "23505":
            return failure("P2002", f"Unique constraint failed on the {_UNKNOWN}", {"target": []})
        case "23503" | "23001":
            return failure(
                "P2003",
                f"Foreign key constraint violated on the constraint: `{_UNKNOWN}`",
                {"field_name": _UNKNOWN},
            )
        case "42P01":
            text = f"The table `{_UNKNOWN}` does not exist in the current database."
            return failure("P2021", text, {"table": _UNKNOWN})
        case "42703":
            text = f"The column `{_UNKNOWN}` does not exist in the current database."
            return failure("P2022", text, {"column": _UNKNOWN})
        case "22021":
            return failure("P2019", _TEXTS["P2019"])
        case _:
            return None


def is_broken(error: Exception) -> bool:
    """Whether the connection ended, or was never made: what it was doing may be done on another one."""
    return _code(error) in _BROKEN


def _code(error: Exception) -> str | None:
    """The code of a connection problem, or of an error of PostgreSQL that means the same for every query."""
    state = getattr(error, "sqlstate", None)
    if state in _CODES:
        return _CODES[state]
    if isinstance(error, ssl.SSLError) or (isinstance(error, ConnectionError) and "SSL" in str(error)):
        return "P1011"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, _ENDING)):
        return "P1017"
    if isinstance(error, OSError):  # TimeoutError, ConnectionRefusedError, gaierror … : never connected
        return "P1001"
    if isinstance(error, asyncpg.InterfaceError) and "closed" in str(error):
        return "P1017"
    return None


def _refused(error: Any, state: str) -> Failure:  # noqa: PLR0911 - one return for each code
    match state:
        case "22001":
            text = f"The provided value for the column is too long for the column's type. Column: {_UNKNOWN}"
            return failure("P2000", text)
        case "22003":
            return failure("P2020", f"Value out of range for the type: {error.message}")
        case "23505":
            fields = _fields(error)
            target = [name.replace('"', "") for name in fields or []]
            return failure("P2002", f"Unique constraint failed on the {_columns(fields)}", {"target": target})
        case "23502":
            return failure("P2011", f"Null constraint violation on the {_columns(_fields(error))}")
        case "23503" | "23001":  # PostgreSQL 18 has the second one for ON DELETE RESTRICT
            name = error.constraint_name
            return failure(
                "P2003", f"Foreign key constraint violated on the constraint: `{name}`", {"field_name": name}
            )
        case "42P01":
            table = _name(error)
            text = f"The table `{table or _UNKNOWN}` does not exist in the current database."
            return failure("P2021", text, {"table": table})
        case "42703":
            column = _name(error)
            text = f"The column `{column or _UNKNOWN}` does not exist in the current database."
            return failure("P2022", text, {"column": column})
        case _:
            return failure(None, f"The database refused the query (PostgreSQL error {state}).")


def _fields(error: Any) -> list[str] | None:
    match = _KEY.search(error.detail or "")
    return match[1].split(", ") if match else None


def _columns(fields: list[str] | None) -> str:
    return _UNKNOWN if fields is None else f"fields: ({', '.join(f'`{name}`' for name in fields)})"


def _name(error: Any) -> str | None:
    """The second word of a message, if it is quoted: `relation "public.User" does not exist`."""
    words = str(error.message).split(" ")
    parts = words[1].split('"') if len(words) > 1 else [""]
    return parts[1] if len(parts) > 1 else None
