"""Shapes of queries, and SQL templates as statements: no loop, no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_meet.store.engine.plan import compiled
from neuron_meet.store.engine.shape import Parameter, Unshaped, column_time, example, take_values
from neuron_meet.store.engine.statement import Unsupported, numbered, statement
from neuron_meet.store.models import MessageType

NAMES = st.sampled_from(["id", "in", "not", "name", "where", "s0", "0"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(["", "a", "id", "s0", "1"]),
    st.sampled_from(list(MessageType)),
    st.datetimes(timezones=st.just(UTC)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "where": st.dictionaries(NAMES, TREES, max_size=3),
        "data": TREES,
        "take": st.one_of(st.none(), st.integers(-2, 50)),
        "include": st.dictionaries(
            NAMES,
            st.one_of(
                st.booleans(), st.fixed_dictionaries({"where": st.dictionaries(NAMES, TREES, max_size=2)})
            ),
            max_size=2,
        ),
    },
)


def values_of(template: Any) -> list[str]:
    """The parameters of a template, in order of their numbers."""
    if isinstance(template, Parameter):
        return [template.name]
    if isinstance(template, dict):
        return [name for item in template.values() for name in values_of(item)]
    if isinstance(template, list):
        return [name for item in template for name in values_of(item)]
    return []


@given(ARGUMENTS)
def test_a_template_has_a_parameter_for_each_value(arguments: dict[str, Any]) -> None:
    _, values = take_values(arguments)
    asked = example(arguments)
    names = [name for name in values_of(asked.template) if not name.endswith("b")]
    assert [int(name[1:].removesuffix("a")) for name in names] == list(range(len(values)))
    assert set(values_of(asked.template)) == set(asked.values)


@given(ARGUMENTS, ARGUMENTS)
def test_the_same_shape_means_the_same_template(one: dict[str, Any], other: dict[str, Any]) -> None:
    same_shape = take_values(one)[0] == take_values(other)[0]
    assert same_shape == (repr(example(one).template) == repr(example(other).template))


@given(ARGUMENTS)
def test_other_values_are_the_same_shape(arguments: dict[str, Any]) -> None:
    def changed(node: Any) -> Any:
        if type(node) is str:
            return node + "!"
        if type(node) is dict:
            return {name: changed(item) for name, item in node.items()}
        return [changed(item) for item in node] if type(node) is list else node

    assert take_values(changed(arguments))[0] == take_values(arguments)[0]


def test_what_shapes_a_query() -> None:
    shapes = [
        take_values(arguments)[0]
        for arguments in (
            {"where": {"id": "a"}},
            {"where": {"id": True}},
            {"where": {"id": None}},
            {"where": {"id": 1}},
            {"where": {"id": True}, "take": 1},
            {"where": {"id": "a"}, "take": True},
            {"where": {"type": MessageType.TEXT}},
            {"where": {"type": MessageType.FILE}},
            {"where": {"id": {"in": []}}},
            {"where": {"id": {"in": ["a"]}}},
            {"where": {"id": ["a"]}},
            {"where": {"id": {"equals": "a", "mode": "insensitive"}}},
            {"where": {"id": {"equals": "a", "mode": "default"}}},
            {"data": {"id": "a"}},
            {"where": {"id": "a"}, "include": {"user": True}},
            {"where": {"id": "a"}, "include": {"user": {"where": {"id": "a"}}}},
        )
    ]
    assert len(set(shapes)) == len(shapes)
    assert (
        take_values({"where": {"id": {"in": ["a"]}}})[0]
        == take_values({"where": {"id": {"in": ["b", "c"]}}})[0]
    )
    assert take_values({"where": {"id": "a"}, "take": None})[0] == shapes[0]


def test_what_only_the_host_knows() -> None:
    for odd in (b"bytes", object(), {1, 2}, (1,)):
        with pytest.raises(Unshaped):
            take_values({"where": {"id": odd}})


def test_moments_are_those_of_the_columns() -> None:
    noon = datetime(2026, 5, 4, 12, 0, 0, 987654)
    expected = datetime(2026, 5, 4, 12, 0, 0, 987000, tzinfo=UTC)
    assert column_time(noon) == column_time(noon.replace(tzinfo=UTC)) == expected
    assert column_time(noon.replace(tzinfo=timezone(timedelta(hours=2)))) == expected - timedelta(hours=2)
    assert take_values({"where": {"at": noon}})[1] == [expected]


def text(chunk: str) -> dict[str, str]:
    return {"type": "stringChunk", "chunk": chunk}


ONE = {"type": "parameter"}
SEVERAL = {"type": "parameterTuple"}
TEXT = {"arity": "scalar", "scalarType": "string", "dbType": "TEXT"}
LIMIT = {"arity": "scalar", "scalarType": "bigint", "dbType": None}


def parameter(name: str) -> dict[str, Any]:
    return {"prisma__type": "param", "prisma__value": {"name": name, "type": "String"}}


LIST = [parameter("s0a"), parameter("s0b")]


def template(fragments: list[Any], arguments: list[Any], types: list[Any]) -> dict[str, Any]:
    return {
        "type": "templateSql",
        "fragments": fragments,
        "args": arguments,
        "argTypes": types,
        "placeholderFormat": {"prefix": "$", "hasNumbering": True},
        "chunkable": True,
    }


def test_a_statement_has_numbered_parameters() -> None:
    read = statement(
        template(
            [text("SELECT a WHERE b = "), ONE, text(" LIMIT "), ONE], [parameter("s1"), "50"], [TEXT, LIMIT]
        )
    )
    assert read.sql == "SELECT a WHERE b = $1 LIMIT $2"
    assert [argument(["x", "y"], {}) for argument in read.arguments] == ["y", 50]
    assert numbered(["a ", " b ", ""]) == "a $1 b $2"


def test_a_list_of_the_shape_is_one_parameter() -> None:
    fragments = [text("SELECT a WHERE (b IN ("), ONE, text(","), ONE, text(") AND c = "), ONE, text(")")]
    read = statement(template(fragments, [parameter(n) for n in ("s0a", "s0b", "s1")], [TEXT] * 3))
    assert read.sql == "SELECT a WHERE (b = ANY($1) AND c = $2)"
    assert [argument([["x", "y"], "z"], {}) for argument in read.arguments] == [["x", "y"], "z"]


def test_a_list_of_an_earlier_step_is_one_parameter() -> None:
    fragments = [text('SELECT a FROM "b" WHERE "b"."c" IN '), SEVERAL, text(" OFFSET "), ONE]
    read = statement(template(fragments, [parameter("@parent$id"), "0"], [TEXT, LIMIT]))
    assert read.sql == 'SELECT a FROM "b" WHERE "b"."c" = ANY($1) OFFSET $2'
    assert read.empty_without is not None
    assert read.empty_without([], {"@parent$id": ["x", None, "x", "y"]}) == ["x", "y"]
    assert read.empty_without([], {"@parent$id": [None]}) == []
    among_others = [text('SELECT a FROM "b" WHERE ("d" OR "c" IN '), SEVERAL, text(")")]
    assert statement(template(among_others, [parameter("@p$id")], [TEXT])).empty_without is None


@pytest.mark.parametrize(
    "refused",
    [
        template([text("a NOT IN ("), ONE, text(","), ONE, text(")")], LIST, [TEXT] * 2),
        template([text("a IN ("), ONE, text(", "), ONE, text(")")], LIST, [TEXT] * 2),
        template([text("a = "), ONE], [parameter("s0a")], [TEXT]),
        template([text("a NOT IN "), SEVERAL], [parameter("@p")], [TEXT]),
        template([ONE], [parameter("s0")], [{**TEXT, "dbType": "UUID"}]),
        template([ONE], [parameter("b0")], [TEXT]),
        template([ONE], ["1.5"], [{**TEXT, "scalarType": "decimal"}]),
        template([ONE], [2**31], [{**LIMIT, "dbType": "INTEGER"}]),
        template([ONE], [["a"]], [TEXT]),
        template([{"type": "parameterTupleList"}], [[["a"]]], [TEXT]),
        {**template([], [], []), "placeholderFormat": {"prefix": "?", "hasNumbering": False}},
        {"type": "rawSql", "sql": "SELECT 1", "args": [], "argTypes": []},
    ],
)  # fmt: skip
def test_statements_that_the_host_runs(refused: dict[str, Any]) -> None:
    with pytest.raises((Unsupported, ValueError)):
        statement(refused)


@pytest.mark.parametrize(
    "refused",
    [
        {"type": "diff", "args": {}},
        {"type": "transaction", "args": {"type": "transaction", "args": {}}},
        {"type": "reader", "args": {}},
        {"type": "validate", "args": {"error_identifier": "RELATION_VIOLATION", "rules": [], "expr": {}}},
        {
            "type": "validate",
            "args": {"error_identifier": "MISSING_RECORD", "rules": [{"type": "never"}], "expr": {}},
        },
    ],
)
def test_plans_that_the_host_runs(refused: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        compiled(refused)
