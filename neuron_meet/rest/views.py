"""What responses are made of: models that take named fields from a row and write them in camel case."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from neuron_meet.names import MAX_ROOM_NAME_LENGTH, shown_name, shown_picture


def iso_milliseconds(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`, as JavaScript's `toISOString` writes it. Naive means UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


Timestamp = Annotated[
    datetime,
    PlainSerializer(iso_milliseconds, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2025-01-31T12:00:00.000Z"]}),
]
"""A moment, on the wire as :func:`iso_milliseconds`."""


ShownName = Annotated[str, BeforeValidator(shown_name)]
"""A person's name as others are sent it: of a former row that has a longer one, 50 characters."""
ShownRoomName = Annotated[str, BeforeValidator(lambda stored: shown_name(stored, MAX_ROOM_NAME_LENGTH))]
"""A room's name: 100 characters."""
ShownPicture = Annotated[str | None, BeforeValidator(shown_picture)]
"""The address of a person's picture as others are sent it: null where it is over 4 kB."""


class View(BaseModel):
    """A part of a response. It holds the fields that it declares and nothing else, whatever the row has.

    `View.model_validate(row)` reads a row's attributes, in camel case (Prisma's) or snake case (our own).
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        from_attributes=True,
        serialize_by_alias=True,
        frozen=True,
    )
