"""Queries of Prisma Client Python in Prisma's JSON protocol.

The library writes GraphQL text with the values inside, which costs CPU on both sides and spoils text with U+2028,
U+2029 or U+0085 in it (it indents "lines"). Its query builder is frozen (the project is archived), so the same
queries are written here as what Prisma's own clients send: {action, modelName, query: {arguments, selection}}.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast

import msgspec

from neuron_meet.store.engine.failures import surrogate
from neuron_meet.store.engine.shape import Parameter
from neuron_meet.store.errors import InputError
from neuron_meet.store.generated import fields
from neuron_meet.store.generated._builder import METHOD_FORMAT_MAPPING, QueryBuilder, dumps

_JSON_INTEGERS = range(-(2**53) + 1, 2**53)
"""Integers that JSON readers in JavaScript keep exact (RFC 8259 §6)."""
_READS = ("find", "aggregate", "groupBy")
_RAW = ("queryRaw", "executeRaw")
_TOKEN = re.compile(r"\w+|[{}]")


class JsonQueryBuilder(QueryBuilder):
    """Builds a query's document in the JSON protocol."""

    def build(self) -> str:
        """The document as JSON. Raises InputError for text that is not valid Unicode."""
        return encode(self.document())

    def document(self) -> dict[str, Any]:
        """The document: `action` first, because :func:`is_read` looks there."""
        action = METHOD_FORMAT_MAPPING[self.method].format(model="")
        query: dict[str, Any] = {"selection": self._selection()}
        if action in _RAW:
            # `parameters` is a JSON text inside the JSON.
            query["arguments"] = {
                name: value if isinstance(value, str) else dumps([_raw_value(item) for item in value])
                for name, value in self.arguments.items()
                if value is not None
            }
        else:
            query["arguments"] = _arguments(self.arguments)
        document: dict[str, Any] = {"action": action, "query": query}
        if self.model is not None:
            document["modelName"] = self.model.__prisma_model__
        return document

    def _selection(self) -> dict[str, Any]:
        if self.root_selection is not None:
            return _parse_selection(iter(_TOKEN.findall(" ".join(self.root_selection))))
        return self._fields(self.model, self.include) if self.model is not None else {}

    def _fields(self, model: Any, include: Mapping[str, Any] | None) -> dict[str, Any]:
        selection: dict[str, Any] = dict.fromkeys(_scalar_fields(self, model), True)
        for name, wanted in (include or {}).items():
            if wanted is False:
                continue
            related = self.get_relational_model(current_model=model, field=name)
            arguments: dict[str, Any] = {} if wanted is True else dict(wanted)
            nested = arguments.pop("include", None)
            selection[name] = {
                "arguments": _arguments(arguments),
                "selection": self._fields(related, nested),
            }
        return selection


def encode(document: Mapping[str, Any]) -> str:
    """A document as JSON. Raises InputError for text with unpaired surrogates, which no database can store."""
    try:
        return msgspec.json.encode(document).decode()
    except UnicodeEncodeError as error:
        raise InputError(surrogate()) from error


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What the host compiles a plan for a shape of queries from (plans.mjs, forCaller). `shape` is its name."""

    shape: str
    content: str

    @classmethod
    def of(
        cls, query: Mapping[str, Any], template: Mapping[str, Any], values: Mapping[str, Any]
    ) -> CompileRequest:
        """`template` with `values` for its parameters is `query`. Raises InputError as :func:`encode` does."""
        given = {name: _as_in_plans(value) for name, value in values.items()}
        return cls(encode(template), encode({"query": query, "template": template, "values": given}))


def _as_in_plans(value: Any) -> Any:
    """A value as the compiler writes it into a plan: moments and numbers as text."""
    if isinstance(value, datetime):
        return _timestamp(value)
    return str(value) if type(value) is int else value


def is_read(content: str) -> bool:
    """Whether a document only reads, so that it may be sent a second time after a doubt."""
    return content.startswith(tuple(f'{{"action":"{action}' for action in _READS))


_SCALAR_FIELDS: dict[Any, list[str]] = {}


def _scalar_fields(builder: QueryBuilder, model: Any) -> list[str]:
    """A model's columns. Kept: the library finds them by reflection each time."""
    names = _SCALAR_FIELDS.get(model)
    if names is None:
        names = _SCALAR_FIELDS[model] = builder.get_default_fields(model)
    return names


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    # Arguments that are None were not given (Prisma Client Python's convention); deeper, None is NULL.
    return {name: _value(value) for name, value in arguments.items() if value is not None}


def _raw_value(value: Any) -> Any:
    # PostgreSQL reads parameters as text; the compiler refuses numbers that JavaScript cannot hold.
    is_large = isinstance(value, int) and not isinstance(value, bool) and value not in _JSON_INTEGERS
    return str(value) if is_large else value


def _value(value: Any) -> Any:  # noqa: PLR0911 - one line for each type
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, Parameter):
        return {"$type": "Param", "value": value.name}
    if isinstance(value, Enum):
        return {"$type": "Enum", "value": value.value}
    if isinstance(value, fields.Json):
        return {"$type": "Json", "value": dumps(value.data)}
    if isinstance(value, fields.Base64):
        return {"$type": "Bytes", "value": str(value)}
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if value in _JSON_INTEGERS else {"$type": "BigInt", "value": str(value)}
    if isinstance(value, datetime):
        return {"$type": "DateTime", "value": _timestamp(value)}
    if isinstance(value, Decimal):
        return {"$type": "Decimal", "value": str(value)}
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple | set):
        return [_value(item) for item in cast("list[Any]", value)]
    raise TypeError(f"A query cannot hold a value of type {type(value).__name__}")


def _timestamp(value: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, which is what the columns hold. Naive times are UTC.

    With `Z`, as the compiler itself writes it: a plan is shared only if it leaves the value as it is (plans.mjs).
    """
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _parse_selection(tokens: Iterator[str]) -> dict[str, Any]:
    """`_count { _all } id` as a selection. The library gives selections that are not a model's fields as text."""
    selection: dict[str, Any] = {}
    last = ""
    for word in tokens:
        if word == "}":
            break
        if word == "{":
            selection[last] = {"selection": _parse_selection(tokens)}
        else:
            selection[word] = True
            last = word
    return selection
