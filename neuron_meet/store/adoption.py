"""Recognising a database that the former server made with `prisma db push`, by PostgreSQL's catalogs.

Compared is what the first migration makes. What is there in addition does not matter, as long as rows can be written
as the former server wrote them: other tables, views, indexes, constraints, columns that need no value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neuron_meet.store.catalog import Catalog, Column, Index, Reference, Table, read_catalog, read_neighbours
from neuron_meet.store.history import HISTORY_TABLE
from neuron_meet.store.indexes import WANTED

_MOST_NAMED = 40
"""Of what is left alone, so much is named; a database of many applications has thousands of tables."""
_ID = {"id": Column("text")}
_NOW = Column("timestamp(3) without time zone", default="CURRENT_TIMESTAMP")
_MOMENT = Column("timestamp(3) without time zone")
_SAME_MOMENT = {"now()", "CURRENT_TIMESTAMP(3)"}
"""Other words for CURRENT_TIMESTAMP in a column of three digits."""


def _optional(column: Column) -> Column:
    return Column(column.type, required=False)


def _flag(value: bool) -> Column:
    return Column("boolean", default=str(value).lower())


def _to(column: str, table: str, on_delete: str) -> Reference:
    return Reference((column,), table, ("id",), on_delete, "CASCADE")


FORMER = Catalog(
    {
        "User": Table(
            _ID
            | {
                "email": Column("text"),
                "name": Column("text"),
                "displayName": Column("text", required=False),
                "password": Column("text"),
                "avatarUrl": Column("text", required=False),
                "createdAt": _NOW,
                "updatedAt": _MOMENT,
            },
            ("id",),
            frozenset({Index(("email",), unique=True), Index(("email",))}),
        ),
        "Room": Table(
            _ID
            | {
                "code": Column("text"),
                "name": Column("text"),
                "hostId": Column("text"),
                "isActive": _flag(True),
                "isLocked": _flag(False),
                "startedAt": _NOW,
                "endedAt": _optional(_MOMENT),
                "createdAt": _NOW,
                "updatedAt": _MOMENT,
            },
            ("id",),
            frozenset({Index(("code",), unique=True), Index(("code",)), Index(("hostId",))}),
            frozenset({_to("hostId", "User", "RESTRICT")}),
        ),
        "RoomSettings": Table(
            _ID
            | {
                "roomId": Column("text"),
                "allowChat": _flag(True),
                "allowScreenShare": _flag(True),
                "allowGuestAccess": _flag(True),
                "waitingRoom": _flag(False),
                "muteParticipantsOnJoin": _flag(False),
                "isLocked": _flag(False),
                "maxParticipants": Column("integer", default="100"),
            },
            ("id",),
            frozenset({Index(("roomId",), unique=True)}),
            frozenset({_to("roomId", "Room", "CASCADE")}),
        ),
        "Participant": Table(
            _ID
            | {
                "roomId": Column("text"),
                "userId": Column("text", required=False),
                "guestName": Column("text", required=False),
                "isActive": _flag(True),
                "isHost": _flag(False),
                "joinedAt": _NOW,
                "leftAt": _optional(_MOMENT),
            },
            ("id",),
            frozenset({Index(("roomId",)), Index(("userId",))}),
            frozenset({_to("roomId", "Room", "CASCADE"), _to("userId", "User", "SET NULL")}),
        ),
        "Message": Table(
            _ID
            | {
                "roomId": Column("text"),
                "userId": Column("text", required=False),
                "senderName": Column("text", required=False),
                "content": Column("text"),
                "type": Column("MessageType", default="'TEXT'"),
                "createdAt": _NOW,
            },
            ("id",),
            frozenset({Index(("roomId",)), Index(("createdAt",))}),
            frozenset({_to("roomId", "Room", "CASCADE"), _to("userId", "User", "SET NULL")}),
        ),
    },
    {"MessageType": ("TEXT", "SYSTEM", "FILE")},
)
"""What the first migration makes; tests/store/test_adoption.py compares the two."""
OWN = Catalog(
    FORMER.tables
    | {
        "RoomRemoval": Table(
            {
                "roomId": Column("text"),
                "userId": Column("text"),
                "removedAt": _MOMENT,
                "until": _MOMENT,
            },
            ("roomId", "userId"),
            frozenset({Index(("userId",)), Index(("until",))}),
            frozenset({_to("roomId", "Room", "CASCADE"), _to("userId", "User", "CASCADE")}),
        )
    },
    FORMER.enums,
)
"""What all migrations make, and `prisma db push` of this server; the same test compares them."""


OWN_INDEXES = frozenset(index.name for index in WANTED)
"""No difference, whether they are there or not: they are built while a server serves (store/indexes.py)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a database differs from the former server's: not at all where `differences` is empty.

    `left_alone` names what is there in addition, and does not matter.
    """

    differences: tuple[str, ...]
    left_alone: tuple[str, ...]


async def compare(connection: Any, schema: str, expected: Catalog = FORMER) -> Comparison:
    """Compare a database with `expected`, over an `asyncpg.Connection`. Changes nothing."""
    tables, enums = expected.tables, expected.enums
    found = await read_catalog(connection, schema, tables, enums, without=OWN_INDEXES)
    others = await read_neighbours(connection, schema, [*tables, HISTORY_TABLE], enums)
    additions = tuple(
        text for name, table in found.tables.items() for text in _additions(name, tables[name], table)
    )
    return Comparison(tuple(differences(found, expected)), (*additions, *others))


def listed(names: tuple[str, ...]) -> str:
    """Names in a sentence: the first of them, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def differences(found: Catalog, expected: Catalog) -> Iterator[str]:
    """What a server of those tables would stumble over, a line for each thing. Pure."""
    for name, values in expected.enums.items():
        if name not in found.enums:
            yield f"{name}: the enum is missing"
        elif set(found.enums[name]) != set(values):
            yield f"{name}: the enum has {', '.join(found.enums[name])} instead of {', '.join(values)}"
    for name, table in expected.tables.items():
        if name not in found.tables:
            yield f"{name}: the table is missing"
        else:
            yield from (f"{name}: {text}" for text in _in_table(table, found.tables[name]))


def _in_table(ours: Table, theirs: Table) -> Iterator[str]:
    for name, column in ours.columns.items():
        if name not in theirs.columns:
            yield f"the column {name} is missing"
        else:
            yield from (f"the column {name} {text}" for text in _in_column(column, theirs.columns[name]))
    for name, column in theirs.columns.items():
        if name not in ours.columns and column.required and column.default is None and not column.filled:
            yield f"the column {name} is added, must not be NULL and has no default: no row could be written"
    if ours.primary_key != theirs.primary_key:
        yield f"the primary key is ({', '.join(theirs.primary_key)}) instead of ({', '.join(ours.primary_key)})"
    for index in sorted(ours.indexes - theirs.indexes, key=lambda index: (index.columns, index.unique)):
        yield f"the {'unique ' if index.unique else ''}index on ({', '.join(index.columns)}) is missing"
    for reference in sorted(ours.references - theirs.references, key=lambda reference: reference.columns):
        yield f"the foreign key {_written(reference)} is missing{_instead(reference, theirs)}"


def _in_column(ours: Column, theirs: Column) -> Iterator[str]:
    if ours.type != theirs.type:
        yield f"is {theirs.type} instead of {ours.type}"
    if ours.required and not theirs.required:
        yield "may be NULL"
    if theirs.required and not ours.required:
        yield "must not be NULL"
    if theirs.filled:
        yield "is made by the database"
    elif ours.default != theirs.default and not (
        ours.default == _NOW.default and theirs.default in _SAME_MOMENT
    ):
        yield f"has the default {theirs.default or 'none'} instead of {ours.default or 'none'}"


def _instead(reference: Reference, theirs: Table) -> str:
    others = [other for other in theirs.references if other.columns == reference.columns]
    return f": there is {' and '.join(map(_written, others))}" if others else ""


def _written(reference: Reference) -> str:
    columns, to = ", ".join(reference.columns), ", ".join(reference.to)
    actions = f"ON DELETE {reference.on_delete} ON UPDATE {reference.on_update}"
    return f"({columns}) to {reference.table} ({to}) {actions}"


def _additions(name: str, ours: Table, theirs: Table) -> Iterator[str]:
    """What one of our tables has beside what it must have."""
    for column in theirs.columns:
        if column not in ours.columns:
            yield f"column {column} of {name}"
    for index in sorted(theirs.indexes - ours.indexes, key=lambda index: (index.columns, index.unique)):
        yield f"{'unique ' if index.unique else ''}index on ({', '.join(index.columns)}) of {name}"
    yield from (f"index {index} of {name}" for index in theirs.other_indexes)
    kept = {reference.columns for reference in ours.references}
    for reference in sorted(theirs.references, key=lambda reference: reference.columns):
        if reference.columns not in kept:
            yield f"foreign key {_written(reference)} of {name}"
