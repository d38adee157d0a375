"""From a request to a typed input, or to the 400 that lists every violation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, NoReturn, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from neuron_meet.rest.problems import HttpError
from neuron_meet.rest.rules import VIOLATION, Rule

BODY_LIMIT_BYTES = 100 * 1024
"""Largest JSON body: Express's own limit, which the former server had."""
BODY_DEADLINE_SECONDS = 10.0
"""How long a client may take to send a body, so that nobody holds a connection by sending it drop by drop."""
_LONGEST_NAME_QUOTED = 100
_MOST_NAMES_QUOTED = 20
"""Unknown properties that are named in an answer: a body of 100 kB has room for 15,000."""

NOT_JSON = "The request body is not valid JSON"
NOT_AN_OBJECT = "The request body must be a JSON object"
TOO_SLOW = "The request body did not arrive in time"
BROKEN_OFF = "The request body broke off"
"""Nobody reads this: the connection has ended. It is the client's failure all the same, none of the server's."""


class Input(BaseModel):
    """A request's JSON object (or query string). Fields are named in camel case on the wire.

    Every field is annotated with a :class:`~neuron_meet.rest.rules.Rule`. Unknown properties are refused.
    `model_fields_set` tells what was given.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)


InputT = TypeVar("InputT", bound=Input)


async def read_json(request: web.Request) -> dict[str, Any]:
    """The request's JSON object; an empty body counts as `{}`, as Express has it.

    Raises :class:`HttpError`: 400 for what is not JSON or not an object, 408 when it does not arrive in time;
    aiohttp raises 413 above :data:`BODY_LIMIT_BYTES`.
    """
    try:
        async with asyncio.timeout(BODY_DEADLINE_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise HttpError(408, TOO_SLOW) from None
    except web.RequestPayloadError:  # not compressed as it says, or it broke off
        raise HttpError(400, NOT_JSON) from None
    except ConnectionError:
        raise HttpError(400, BROKEN_OFF) from None
    if not raw.strip():
        return {}
    try:
        body: object = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # also: not UTF-8, a number of thousands of digits, nested too deep
        raise HttpError(400, NOT_JSON) from None
    if not isinstance(body, dict):
        raise HttpError(400, NOT_AN_OBJECT)
    return cast("dict[str, Any]", body)


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity: Python's parser knows them, JSON (RFC 8259 §6) does not."""
    raise ValueError(name)


def decode_body(model: type[InputT], body: Mapping[str, Any]) -> InputT:
    """`body` as a `model`. Raises :class:`HttpError` 400 with every violated rule's sentence.

    Sentences come in class-validator's order: unknown properties first, then the fields as declared. Null in
    an optional field counts as absent, unless its rule takes null as a value.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    # Not left to pydantic, which cannot name a property whose name is not well-formed Unicode.
    unknown = islice((name for name in body if name not in fields), _MOST_NAMES_QUOTED)
    sentences = [f"property {name[:_LONGEST_NAME_QUOTED]} should not exist" for name in unknown]
    given = {
        name: body[name]
        for name, field in fields.items()
        if name in body and (body[name] is not None or field.is_required() or _rule(field).nullable)
    }
    try:
        accepted = model.model_validate(given, by_alias=True, by_name=False)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_input=False):
            sentences += _sentences(fields, error)
    else:
        if not sentences:
            return accepted
    raise HttpError(400, sentences)


def decode_query(model: type[InputT], query: Mapping[str, str]) -> InputT:
    """A query string as a `model`. Unknown parameters are ignored (caches and proxies add their own)."""
    names = (field.alias or name for name, field in model.model_fields.items())
    return decode_body(model, {name: query[name] for name in names if name in query})


def _sentences(fields: Mapping[str, FieldInfo], error: ErrorDetails) -> list[str]:
    name = str(error["loc"][0])
    if error["type"] == VIOLATION:
        sentences = cast("list[str]", error.get("ctx", {})["sentences"])
    else:  # "missing": undefined, to class-validator, is a value like any other wrong one
        sentences = _rule(fields[name]).violations(None)
    return [sentence.replace("{field}", name) for sentence in sentences]


def _rule(field: FieldInfo) -> Rule:
    for annotation in field.metadata:
        if isinstance(annotation, Rule):
            return annotation
    raise TypeError(f"the field {field.alias} has no rule")
