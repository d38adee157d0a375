"""A query's shape: its arguments with the values taken out, so that queries which differ in values share a plan.

The same division as in plans.mjs: values are texts, truth values and moments under `where`, `data`, `create` and
`update`; everything else (enums, NULL, orderings, limits, names) belongs to the shape. In addition numbers that an
INTEGER column holds are values there, and a list of texts under `in` is one value, however long it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast

_VALUE_ARGUMENTS = frozenset({"where", "data", "create", "update"})
_SHAPING_KEYS = frozenset({"mode", "skipDuplicates"})
_TEXT, _TRUTH, _MOMENT, _NUMBER, _TEXTS, _NULL, _MAP, _LIST, _END = range(9)
"""Marks in a key. Names in a key are `str` and literals are pairs, so that nothing can be taken for something else."""

_MARKS: dict[type[Any], int] = {str: _TEXT, bool: _TRUTH, datetime: _MOMENT, int: _NUMBER}
_INTEGER = range(-(2**31), 2**31)
"""What PostgreSQL's INTEGER holds. The compiler types larger numbers otherwise."""

Key = tuple[Any, ...]
"""A shape, hashable."""


class Unshaped(Exception):
    """The arguments hold something that only the host knows how to run."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Stands for a value in a query's document (`{"$type": "Param"}` of Prisma's JSON protocol)."""

    name: str


@dataclass(frozen=True, slots=True)
class Example:
    """Arguments with parameters for values, the same arguments with values, and those values by parameter."""

    template: dict[str, Any]
    literal: dict[str, Any]
    values: dict[str, Any]


def take_values(arguments: Mapping[str, Any]) -> tuple[Key, list[Any]]:
    """The shape of a query's arguments and their values in order. Raises Unshaped.

    Moments are given as the columns hold them (:func:`column_time`).
    """
    key: list[Any] = []
    values: list[Any] = []
    _take_arguments(arguments, key, values)
    return tuple(key), values


def take_row(row: object) -> tuple[Key, list[Any]]:
    """The shape of one row of a createMany and its values. Raises Unshaped."""
    key: list[Any] = []
    values: list[Any] = []
    _take(row, key, values)
    return tuple(key), values


def _take_arguments(arguments: Mapping[str, Any], key: list[Any], values: list[Any]) -> None:
    for name, argument in arguments.items():
        if argument is None:  # not given
            continue
        key.append(name)
        if name in _VALUE_ARGUMENTS:
            _take(argument, key, values)
        elif name == "include":
            for relation, wanted in argument.items():
                key.append(relation)
                if type(wanted) is dict:
                    key.append(_MAP)
                    _take_arguments(cast("dict[str, Any]", wanted), key, values)
                    key.append(_END)
                else:
                    _literal(wanted, key)
            key.append(_END)
        else:
            _literal(argument, key)


def _take(node: Any, key: list[Any], values: list[Any]) -> None:
    kind = node.__class__  # exactly: a `str` that is a member of an enum is no text
    if kind is dict:
        key.append(_MAP)
        for name, item in node.items():
            key.append(name)
            if name == "in" and _are_texts(item):
                key.append(_TEXTS)
                values.append(item)
            elif name in _SHAPING_KEYS:
                _literal(item, key)
            else:
                _take(item, key, values)
        key.append(_END)
    elif kind is list:
        key.append(_LIST)
        for item in node:
            _take(item, key, values)
        key.append(_END)
    elif node is None:
        key.append(_NULL)
    elif kind in _MARKS and (kind is not int or node in _INTEGER):
        key.append(_MARKS[kind])
        values.append(column_time(node) if kind is datetime else node)
    else:
        _literal(node, key)


def _literal(node: Any, key: list[Any]) -> None:
    kind = node.__class__  # exactly: a `str` that is a member of an enum is no text
    if kind is dict:
        key.append(_MAP)
        for name, item in node.items():
            key.append(name)
            _literal(item, key)
        key.append(_END)
    elif kind is list:
        key.append(_LIST)
        for item in node:
            _literal(item, key)
        key.append(_END)
    elif node is None or kind in {str, bool, int, float} or isinstance(node, Enum):
        key.append((kind, node))
    else:
        raise Unshaped


def _are_texts(item: Any) -> bool:
    if type(item) is not list:  # pyright: ignore[reportUnknownArgumentType]
        return False
    texts = cast("list[Any]", item)
    return bool(texts) and all(type(text) is str for text in texts)


def column_time(moment: datetime) -> datetime:
    """A moment as a TIMESTAMP(3) column holds it: in UTC, cut to milliseconds. Naive ones are UTC."""
    if moment.tzinfo is not UTC:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    excess = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - excess) if excess else moment


def name_text(index: int) -> str:
    """The parameter of the text that is the value at `index`."""
    return f"s{index}"


def name_truth(index: int) -> str:
    """The parameter of the truth value at `index`."""
    return f"b{index}"


def name_moment(index: int) -> str:
    """The parameter of the moment at `index`."""
    return f"d{index}"


def name_number(index: int) -> str:
    """The parameter of the number at `index`."""
    return f"i{index}"


def names_of_texts(index: int) -> tuple[str, str]:
    """The two parameters that stand for the list at `index`: of two elements, so that it is compiled as a list."""
    return f"s{index}a", f"s{index}b"


def example(arguments: dict[str, Any], first: int = 0) -> Example:
    """What the compiler is asked with for the shape of these arguments; the first value gets the number `first`."""
    return _example(arguments, first, _replaced_arguments)


def rows_example(rows: list[Any]) -> Example:
    """The same for the `data` of a createMany."""

    def replaced(arguments: Any, take: Callable[[str, Any], Any], numbers: Iterator[int]) -> Any:
        return {"data": [_replaced(row, take, numbers) for row in arguments["data"]]}

    return _example({"data": rows}, 0, replaced)


def _example(arguments: dict[str, Any], first: int, replaced: Callable[..., Any]) -> Example:
    values: dict[str, Any] = {}

    def with_parameters(name: str, value: Any) -> Any:
        values[name] = value
        return Parameter(name)

    def with_values(_name: str, value: Any) -> Any:
        return value

    return Example(
        template=replaced(arguments, with_parameters, _count(first)),
        literal=replaced(arguments, with_values, _count(first)),
        values=values,
    )


def _count(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1


def _replaced_arguments(
    arguments: Mapping[str, Any], take: Callable[[str, Any], Any], numbers: Iterator[int]
) -> dict[str, Any]:
    """Visits values in the order of :func:`_take_arguments`."""
    copy: dict[str, Any] = {}
    for name, argument in arguments.items():
        if argument is None:
            continue
        if name in _VALUE_ARGUMENTS:
            copy[name] = _replaced(argument, take, numbers)
        elif name == "include":
            copy[name] = {
                relation: _replaced_arguments(cast("dict[str, Any]", wanted), take, numbers)
                if type(wanted) is dict
                else wanted
                for relation, wanted in argument.items()
            }
        else:
            copy[name] = argument
    return copy


def _replaced(  # noqa: PLR0911 - one line for each type
    node: Any, take: Callable[[str, Any], Any], numbers: Iterator[int]
) -> Any:
    kind = node.__class__  # exactly: a `str` that is a member of an enum is no text
    if kind is str:
        return take(name_text(next(numbers)), node)
    if kind is bool:
        return take(name_truth(next(numbers)), node)
    if kind is datetime:
        return take(name_moment(next(numbers)), node)
    if kind is int and node in _INTEGER:
        return take(name_number(next(numbers)), node)
    if kind is list:
        return [_replaced(item, take, numbers) for item in node]
    if kind is not dict:
        return node
    copy: dict[str, Any] = {}
    for name, item in node.items():
        if name == "in" and _are_texts(item):
            first, second = names_of_texts(next(numbers))
            # Any two different texts: the compiler makes one of two that are equal.
            copy[name] = [take(first, item[0]), take(second, item[0] + "'")]
        else:
            copy[name] = item if name in _SHAPING_KEYS else _replaced(item, take, numbers)
    return copy
