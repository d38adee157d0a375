"""OpenAPI 3.1 of the REST routes (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from neuron_meet import __version__
from neuron_meet.errors import TOO_MANY_REQUESTS, UNAUTHORIZED, UNAVAILABLE, Refusal
from neuron_meet.rest.routing import Access, Route
from neuron_meet.rest.validation import Input

_REF = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"{(\w+)}")
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "required": ["message", "statusCode"],
    "properties": {
        "message": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": "A sentence, or one for each violation of the request's rules.",
        },
        "error": {"type": "string", "examples": ["Bad Request"]},
        "statusCode": {"type": "integer", "examples": [400]},
    },
}


def openapi(routes: Iterable[Route[Any]]) -> dict[str, Any]:
    """The document for `routes`."""
    declared = [route for route in routes if not route.path.endswith("/")]
    inputs: list[tuple[type[Input], JsonSchemaMode]] = [
        (route.input, "validation") for route in declared if route.input is not None
    ]
    references, shared = models_json_schema(inputs, by_alias=True, ref_template=_REF)
    schemas: dict[str, Any] = {"Problem": _PROBLEM, **shared.get("$defs", {})}
    for model, _ in inputs:
        _let_null_be_absent(schemas[model.__name__], model)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in declared:
        reference = references[route.input, "validation"] if route.input is not None else None
        paths[route.path][route.method.lower()] = _operation(route, reference, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Neuron Meet REST",
            "version": __version__,
            "description": "Accounts, rooms and what a front end asks outside of a meeting. The meeting itself is "
            "Socket.IO: see /api/asyncapi.json.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(
    route: Route[Any], reference: dict[str, Any] | None, schemas: dict[str, Any]
) -> dict[str, Any]:
    words = [word for word in re.split(r"[^a-zA-Z]+", route.path) if word not in ("", "api")]
    operation: dict[str, Any] = {
        "operationId": route.method.lower() + "".join(word.capitalize() for word in words),
        "tags": [words[0] if words else "server"],
        "summary": route.summary,
        "responses": {str(route.status): _success(route, schemas), **_failures(route)},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    if route.access is Access.BEARER:
        operation["security"] = [{"bearer": []}]
    if reference is not None and route.method == "GET":
        assert route.input is not None  # noqa: S101 -- a reference is made from an input
        parameters += _query(route.input)
    elif reference is not None:
        assert route.input is not None  # noqa: S101 -- a reference is made from an input
        # No body counts as an empty object (rest/validation.py:read_json).
        required = any(field.is_required() for field in route.input.model_fields.values())
        operation["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": reference}},
        }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _let_null_be_absent(schema: dict[str, Any], model: type[Input]) -> None:
    """Say of a body's optional fields that null is the same as none (rest/validation.py:decode_body).

    A default of null is pydantic's word for that, and no value of the field's type.
    """
    for name, field in model.model_fields.items():
        if field.is_required():
            continue
        described = schema["properties"][field.alias or name]
        if described.get("default", ...) is None:
            del described["default"]
        types = described["type"]
        if "null" not in types:
            described["type"] = [*([types] if isinstance(types, str) else types), "null"]


def _query(model: type[Input]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(by_alias=True)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "schema": {key: value for key, value in field.items() if (key, value) != ("default", None)},
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _success(route: Route[Any], schemas: dict[str, Any]) -> dict[str, Any]:
    description = HTTPStatus(route.status).phrase
    if route.output is str:
        return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}
    schema = TypeAdapter(route.output).json_schema(by_alias=True, ref_template=_REF, mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _failures(route: Route[Any]) -> dict[str, Any]:
    refusals = [*route.refusals]
    if route.access is Access.BEARER:
        refusals.append(UNAUTHORIZED)
    refusals.append(UNAVAILABLE)
    if not route.probe and TOO_MANY_REQUESTS not in refusals:
        refusals.append(TOO_MANY_REQUESTS)
    by_status: dict[int, list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        by_status[refusal.status].append(refusal)
    responses = {
        str(status): _problem(" or ".join(dict.fromkeys(refusal.message for refusal in some)))
        for status, some in sorted(by_status.items())
    }
    if route.input is not None:
        responses.setdefault("400", _problem("The request breaks a rule; `message` lists each"))
    return responses


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
