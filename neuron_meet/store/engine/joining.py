"""The join step of a query plan: rows of a relation, fetched by themselves, put into the rows they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Join:
    """How children find their parents: both have the same key. `single`: a parent has one child at most."""

    parent_key: Callable[[Row], Any]
    child_key: Callable[[Row], Any]
    field: str
    single: bool

    @classmethod
    def of(cls, child: Mapping[str, Any]) -> Join:
        """A child of a plan's `join`."""
        return cls(
            itemgetter(*(left for left, _ in child["on"])),
            itemgetter(*(right for _, right in child["on"])),
            child["parentField"],
            child["isRelationUnique"],
        )


def attach(join: Join, parents: list[Row], children: Any) -> None:
    """Put `children` (rows, one row or None), in their order, into the rows of `parents`."""
    field = join.field
    rows = [row for row in (cast("list[Row]", children) if isinstance(children, list) else [children]) if row]
    if join.single:
        found = {join.child_key(row): row for row in rows}
        for parent in parents:
            parent[field] = found.get(join.parent_key(parent))
        return
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(join.child_key(row), []).append(row)
    for parent in parents:
        parent[field] = groups.get(join.parent_key(parent), [])
