"""The last step of a query plan: rows as what Prisma Client Python makes its models of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from neuron_meet.store.engine.statement import Unsupported

Mapper = Callable[[Any], Any]
Row = dict[str, Any]

_AS_THEY_ARE = frozenset({"string", "int", "boolean", "datetime"})
"""Types whose values asyncpg gives as the models have them (moments in UTC: pool.py)."""


class UnknownEnumValue(Exception):
    """A column holds a value that the schema's enum does not have."""


def mapper(structure: Mapping[str, Any], enums: Mapping[str, Mapping[str, str]]) -> Mapper:
    """Makes results of a plan's value, as `structure` (a plan's ResultNode) says. Raises Unsupported.

    A result is a dict, a list of them, or None. Rows are not changed: one row may stand in several places of a
    value, and so may a result in what this returns. The mapper raises UnknownEnumValue.
    """
    match structure["type"]:
        case "affectedRows":
            return _count
        case "object" if not structure["skipNulls"]:
            one = _object(structure["fields"], enums)
        case _:
            raise Unsupported

    def result(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return [one(row) for row in cast("list[Row]", value)]
        return one(cast("Row", value))

    return result


def _count(affected: int) -> Row:
    return {"count": affected}


def _object(fields: Mapping[str, Any], enums: Mapping[str, Mapping[str, str]]) -> Callable[[Row], Row]:
    columns: list[tuple[str, str]] = []
    members: list[tuple[str, Mapping[str, str]]] = []
    nested: list[tuple[str, str | None, Mapper]] = []
    for name, node in fields.items():
        if node["type"] == "object":
            nested.append((name, node["serializedName"], mapper(node, enums)))
            continue
        if node["type"] != "field" or node["fieldType"]["arity"] == "list":
            raise Unsupported
        columns.append((name, node["dbName"]))
        kind = node["fieldType"]["type"]
        if kind == "enum":
            members.append((name, enums[node["fieldType"]["name"]]))
        elif kind not in _AS_THEY_ARE:
            raise Unsupported
    own = [(name, column, make) for name, column, make in nested if column is not None]
    width = len(columns) + len(own)
    same_names = all(name == column for name, column in columns) and len(own) == len(nested)

    def whole(row: Row) -> Row:
        copy = row.copy()
        for name, known in members:
            if copy[name] is not None:
                copy[name] = _member(copy[name], known)
        for name, column, make in own:
            copy[name] = make(copy.pop(column))
        return copy

    def by_column(row: Row) -> Row:
        copy: Row = {name: row[column] for name, column in columns}
        for name, known in members:
            if copy[name] is not None:
                copy[name] = _member(copy[name], known)
        for name, column, make in nested:
            copy[name] = make(row if column is None else row[column])
        return copy

    def as_it_is(row: Row) -> Row:
        return row

    if not same_names:
        return by_column
    # A row with these columns and no other is the result itself, or is copied whole, which costs a tenth.
    fast = whole if nested or members else as_it_is

    def result(row: Row) -> Row:
        return fast(row) if len(row) == width else by_column(row)

    return result


def _member(value: str, known: Mapping[str, str]) -> str:
    try:
        return known[value]
    except KeyError:
        raise UnknownEnumValue from None
