"""Tables as PostgreSQL's catalogs have them: what a database is, read without any tool, in a few milliseconds."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

EXTENSION_OF_ALL = "plpgsql"
"""Every database has it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `default` is PostgreSQL's expression, without a cast; `filled`: the database makes its value."""

    type: str
    required: bool = True
    default: str | None = None
    filled: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """A plain index (btree, on whole columns and all rows), whatever its name."""

    columns: tuple[str, ...]
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key, whatever its name. The actions are PostgreSQL's words (`CASCADE`)."""

    columns: tuple[str, ...]
    table: str
    to: tuple[str, ...]
    on_delete: str
    on_update: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table. `indexes` are those that are valid, the primary key's not among them; `other_indexes` names the rest."""

    columns: dict[str, Column]
    primary_key: tuple[str, ...]
    indexes: frozenset[Index] = frozenset()
    references: frozenset[Reference] = frozenset()
    other_indexes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Some tables and enums of a schema, by name."""

    tables: dict[str, Table]
    enums: dict[str, tuple[str, ...]]


_COLUMNS = """
SELECT c.relname::text AS of, a.attname::text AS name, a.attnotnull AS required,
       CASE WHEN t.typtype = 'e' AND t.typnamespace = c.relnamespace THEN t.typname::text
            ELSE format_type(a.atttypid, a.atttypmod) END AS type,
       a.attgenerated <> '' OR a.attidentity <> '' AS filled,
       pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p')
ORDER BY c.relname, a.attnum
"""
_INDEXES = """
SELECT c.relname::text AS of, x.relname::text AS name, i.indisprimary AS primary, i.indisunique AS unique,
       i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND i.indimmediate AND m.amname = 'btree' AS plain,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
             WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_index i ON i.indrelid = c.oid
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relkind IN ('r', 'p') AND NOT i.indisexclusion
ORDER BY x.relname
"""
_REFERENCES = """
SELECT c.relname::text AS of, k.conname::text AS name, f.relname::text AS table,
       k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS p (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number ORDER BY p.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS p (number, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number ORDER BY p.place) AS to
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid
WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND k.contype = 'f'
ORDER BY k.conname
"""
_ENUMS = """
SELECT t.typname::text AS name,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS values
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = $1 AND t.typname = ANY($2::text[]) AND t.typtype = 'e'
"""
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
"""pg_constraint's letters."""

_NEIGHBOURS = """
SELECT * FROM (
  SELECT 1 AS place, CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence '
                            WHEN 'f' THEN 'foreign table ' WHEN 'c' THEN 'type ' ELSE 'table ' END || c.relname AS text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname <> ALL($2::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')))
  UNION ALL
  SELECT 2, CASE t.typtype WHEN 'e' THEN 'enum ' ELSE 'type ' END || t.typname
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname = $1 AND t.typname <> ALL($3::text[]) AND t.typtype IN ('e', 'd', 'r')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                    AND d.deptype = 'e')
  UNION ALL
  SELECT 3, 'constraint ' || k.conname || ' of ' || c.relname
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND k.contype IN ('c', 'x')
  UNION ALL
  SELECT 4, 'trigger ' || t.tgname || ' of ' || c.relname
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND NOT t.tgisinternal
  UNION ALL
  SELECT 5, 'row-level security of ' || c.relname
         || CASE WHEN row_security_active(c.oid) THEN ' (it hides rows from this user)' ELSE '' END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = ANY($2::text[]) AND c.relrowsecurity
  UNION ALL
  SELECT 6, 'extension ' || extname FROM pg_extension WHERE extname <> $4
) AS found ORDER BY place, text
"""


async def read_catalog(
    connection: Any,
    schema: str,
    tables: Collection[str],
    enums: Collection[str],
    *,
    without: Collection[str] = (),
) -> Catalog:
    """Those of `tables` and `enums` that are in `schema`, over an `asyncpg.Connection`; indexes named in `without` are
    passed over."""
    names = list(tables)
    columns: dict[str, dict[str, Column]] = {}
    for row in await connection.fetch(_COLUMNS, schema, names):
        default = None if row["filled"] else _without_cast(row["default"])
        columns.setdefault(row["of"], {})[row["name"]] = Column(
            row["type"], row["required"], default, row["filled"]
        )
    keys: dict[str, tuple[str, ...]] = {}
    indexes: dict[str, set[Index]] = {}
    others: dict[str, list[str]] = {}
    for row in await connection.fetch(_INDEXES, schema, names):
        if row["name"] in without:
            continue
        if row["primary"]:
            keys[row["of"]] = tuple(row["columns"])
        elif row["plain"]:
            indexes.setdefault(row["of"], set()).add(Index(tuple(row["columns"]), row["unique"]))
        else:
            others.setdefault(row["of"], []).append(row["name"])
    references: dict[str, set[Reference]] = {}
    for row in await connection.fetch(_REFERENCES, schema, names):
        actions = _ACTIONS[row["on_delete"]], _ACTIONS[row["on_update"]]
        reference = Reference(tuple(row["columns"]), row["table"], tuple(row["to"]), *actions)
        references.setdefault(row["of"], set()).add(reference)
    return Catalog(
        {
            name: Table(
                found,
                keys.get(name, ()),
                frozenset(indexes.get(name, ())),
                frozenset(references.get(name, ())),
                tuple(others.get(name, ())),
            )
            for name, found in columns.items()
        },
        {row["name"]: tuple(row["values"]) for row in await connection.fetch(_ENUMS, schema, list(enums))},
    )


async def read_neighbours(
    connection: Any, schema: str, tables: Collection[str], enums: Collection[str]
) -> tuple[str, ...]:
    """What else is there, each with what it is (`view busy_rooms`): in `schema`, at `tables`, and extensions.

    Not what stands in other schemas, and not columns and indexes of `tables`.
    """
    rows = await connection.fetch(_NEIGHBOURS, schema, list(tables), list(enums), EXTENSION_OF_ALL)
    return tuple(str(row["text"]) for row in rows)


def _without_cast(expression: str | None) -> str | None:
    """PostgreSQL writes a default of a type with the type behind it, which the column has anyhow: `'TEXT'::"Kind"`."""
    return None if expression is None else re.sub(r"^('(?:[^']|'')*')::.*$", r"\1", expression)
