"""SQL statements of query plans: Prisma's SQL templates as text with numbered parameters, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from neuron_meet.store.engine.shape import column_time

Scope = dict[str, Any]
Argument = Callable[[Sequence[Any], Scope], Any]
"""Gives an SQL parameter from a query's values and the results of the plan's earlier steps."""

_INTEGERS = {"int": range(-(2**31), 2**31), "bigint": range(-(2**63), 2**63)}
_TEXT_TYPES = frozenset({None, "TEXT"})
_KINDS = {"s": "string", "b": "boolean", "d": "datetime", "i": "int"}
_SHAPE_PARAMETER = re.compile(r"([sbdi])(\d+)([ab]?)")
_ONLY_CONDITION = re.compile(r' WHERE (?:"[^"]+"\.)*"[^"]+" IN $')
_LISTS = (
    (" IN (", ",", " = ANY(", ""),
    (" IN (LOWER(", "),LOWER(", " = ANY(ARRAY(SELECT LOWER(item) FROM unnest(", "::text[]) AS item"),
)
"""How a list of two is written: before and between its elements; and a list of any length, before and after it."""
_AFTER_CONDITIONS = (" OFFSET ", " ORDER BY ", " LIMIT ")


class Unsupported(Exception):
    """Something in a plan that only the host runs."""


@dataclass(frozen=True, slots=True)
class Statement:
    """An SQL statement. `pieces` are the texts around its parameters."""

    pieces: tuple[str, ...]
    arguments: tuple[Argument, ...]
    names: tuple[str | None, ...]
    """The parameter of the shape behind each argument, None for others."""
    sql: str
    empty_without: Argument | None
    """A list without which no row can match, so that the statement need not be run."""


def statement(query: Mapping[str, Any]) -> Statement:
    """A `templateSql` of a query plan. Raises Unsupported."""
    placeholders: Mapping[str, Any] = query.get("placeholderFormat") or {}
    if (
        query["type"] != "templateSql"
        or placeholders.get("prefix") != "$"
        or not placeholders["hasNumbering"]
    ):
        raise Unsupported
    return _Reader(query["fragments"], query["args"], query["argTypes"]).read()


def numbered(pieces: Sequence[str]) -> str:
    """The pieces as one text with `$1`, `$2` … between them."""
    text = [pieces[0]]
    for number, piece in enumerate(pieces[1:], 1):
        text.append(f"${number}{piece}")
    return "".join(text)


class _Reader:
    def __init__(self, fragments: list[Any], arguments: list[Any], types: list[Any]) -> None:
        self._fragments = fragments
        self._given = list(zip(arguments, types, strict=True))
        self._pieces: list[str] = [""]
        self._arguments: list[Argument] = []
        self._names: list[str | None] = []
        self._empty_without: Argument | None = None
        self._open_list = ""

    def read(self) -> Statement:
        for position, fragment in enumerate(self._fragments):
            match fragment["type"]:
                case "stringChunk":
                    self._pieces[-1] += fragment["chunk"]
                case "parameter":
                    self._parameter()
                case "parameterTuple":
                    self._list_of_earlier_step(self._fragments[position + 1 :])
                case _:
                    raise Unsupported
        if self._given or self._open_list:
            raise Unsupported
        return Statement(
            tuple(self._pieces),
            tuple(self._arguments),
            tuple(self._names),
            numbered(self._pieces),
            self._empty_without,
        )

    def _add(self, argument: Argument, name: str | None) -> None:
        self._arguments.append(argument)
        self._names.append(name)
        self._pieces.append("")

    def _parameter(self) -> None:
        value, kind = self._given.pop(0)
        name = parameter_name(value) or ""
        if self._open_list:
            self._close_list(name)
            return
        self._add(argument(value, kind), name or None)
        if name.endswith(("a", "b")):
            self._open_list = name

    def _close_list(self, name: str) -> None:
        """`IN ($1,$2)`, compiled for a list of two, is `= ANY($1)` for a list of any length.

        In any case it is `IN (LOWER($1),LOWER($2))`, and `= ANY` of what LOWER makes of the list.
        """
        before, between = self._pieces[-2:]
        written = next((each for each in _LISTS if before.endswith(each[0]) and between == each[1]), None)
        if written is None or name != self._open_list.removesuffix("a") + "b":
            raise Unsupported
        opening, _, any_of, closing = written
        if before.endswith(f" NOT{opening}"):
            raise Unsupported
        self._open_list = ""
        self._pieces[-2] = before.removesuffix(opening) + any_of
        self._pieces[-1] = closing

    def _list_of_earlier_step(self, following: list[Any]) -> None:
        value, kind = self._given.pop(0)
        name = _placeholder(value)
        before = self._pieces[-1]
        if name is None or kind["scalarType"] != "string" or kind["dbType"] not in _TEXT_TYPES:
            raise Unsupported
        if not before.endswith(" IN ") or before.endswith("NOT IN "):
            raise Unsupported
        source = _distinct(name)
        rest = following[0].get("chunk", "") if following else ""
        if _ONLY_CONDITION.search(before) and (not following or rest.startswith(_AFTER_CONDITIONS)):
            self._empty_without = source
        self._pieces[-1] = before.removesuffix(" IN ") + " = ANY("
        self._add(source, None)
        self._pieces[-1] = ")"


def argument(value: Any, kind: Mapping[str, Any]) -> Argument:
    """Where an SQL parameter comes from. Raises Unsupported for a type that this process does not send."""
    scalar, column = kind["scalarType"], kind["dbType"]
    if kind["arity"] != "scalar":
        raise Unsupported
    name = _placeholder(value)
    if name is not None:
        if (scalar == "string" and column in _TEXT_TYPES) or (scalar, column) in {
            ("boolean", "BOOLEAN"),
            ("datetime", "TIMESTAMP"),
            ("int", "INTEGER"),
        }:
            return _shape_value(name, kind) if parameter_name(value) else _scope_value(name)
        raise Unsupported
    if is_now(value) and (scalar, column) == ("datetime", "TIMESTAMP"):
        return _scope_value("now()")
    return _constant(value, scalar, column)


def is_now(value: Any) -> bool:
    """Whether a plan's value is the moment at which the plan runs."""
    return _named(value, "generatorCall") == "now"


def now() -> datetime:
    """This moment as a column holds it."""
    return column_time(datetime.now(UTC))


def parameter_name(value: Any) -> str | None:
    """The name of a parameter of the query's shape; None for anything else."""
    name = _placeholder(value)
    return name if name is not None and _SHAPE_PARAMETER.fullmatch(name) else None


def _placeholder(value: Any) -> str | None:
    return _named(value, "param")


def _named(value: Any, kind: str) -> str | None:
    """The name in a plan's value of that kind; None for any other value."""
    if not isinstance(value, dict):
        return None
    tagged = cast("dict[str, Any]", value)
    return tagged["prisma__value"]["name"] if tagged.get("prisma__type") == kind else None


def _shape_value(name: str, kind: Mapping[str, Any]) -> Argument:
    match = _SHAPE_PARAMETER.fullmatch(name)
    if match is None or _KINDS[match[1]] != kind["scalarType"]:
        raise Unsupported
    index = int(match[2])

    def value(values: Sequence[Any], _scope: Scope) -> Any:
        return values[index]

    return value


def _scope_value(name: str) -> Argument:
    def value(_values: Sequence[Any], scope: Scope) -> Any:
        return scope[name]

    return value


def _distinct(name: str) -> Argument:
    def value(_values: Sequence[Any], scope: Scope) -> Any:
        found = scope[name]
        items = cast("list[Any]", found) if isinstance(found, list) else [found]
        return [item for item in dict.fromkeys(items) if item is not None]  # NULL equals nothing

    return value


def _constant(value: Any, scalar: str, column: str | None) -> Argument:
    constant: Any = value
    if value is None:
        pass
    elif scalar in _INTEGERS and isinstance(value, str | int) and not isinstance(value, bool):
        constant = int(value)
        if constant not in _INTEGERS["int" if column == "INTEGER" else "bigint"]:
            raise Unsupported
    elif not (
        (scalar == "string" and column in _TEXT_TYPES and isinstance(value, str))
        or (scalar == "boolean" and isinstance(value, bool))
    ):
        raise Unsupported

    def constantly(_values: Sequence[Any], _scope: Scope) -> Any:
        return constant

    return constantly
