"""Rules for input fields, as annotations: `name: Annotated[str, Text(1, 100)]`.

Each rule lists *all* sentences that a value violates, in the words and the order of the former server's
class-validator (decorators are applied from the bottom up, so the type's sentence comes last). It measures a text
before it looks into it: of one that is too long, what is in it is not said. The same declaration describes the field
in JSON Schema, for the OpenAPI document. `{field}` stands for its name.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, Url, core_schema

from neuron_meet.names import READ_FOR_EACH_KEPT, visible_text

# The library's documented way to accept addresses in `.local`, `.test` and the like: a server in an intranet
# has nothing else, and the former server took them.
SPECIAL_USE_DOMAIN_NAMES.clear()

VIOLATION = "violation"
"""Type of the pydantic error that carries a rule's sentences in its context."""

_DIGITS = re.compile(r"-?[0-9]{1,12}")
_MAX_EMAIL_LENGTH = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets


class Rule(ABC):
    """What a field's value must be. Subclasses say what it violates and what JSON Schema it has."""

    nullable: ClassVar[bool] = False
    """Whether JSON null is a value. Otherwise null in an optional field counts as absent (`@IsOptional`)."""

    @abstractmethod
    def violations(self, value: object) -> list[str]:
        """Every sentence that `value` violates; none for a good value."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """The field's JSON Schema (draft 2020-12, as OpenAPI 3.1 uses it)."""

    def clean(self, value: Any) -> Any:
        """The value as it is looked at and used, for example trimmed."""
        return value

    def _validate(self, value: object) -> object:
        cleaned = self.clean(value)
        sentences = self.violations(cleaned)
        if sentences:
            raise PydanticCustomError(VIOLATION, "invalid", {"sentences": sentences})
        return cleaned

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: this rule is the field's whole validation."""
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Pydantic's hook for the field's JSON Schema."""
        return self.json_schema()


def _unstorable(value: str) -> list[str]:
    """PostgreSQL's text holds no NUL, and UTF-8 no lone surrogate (which JSON can spell as \\ud800)."""
    if "\0" in value:
        return ["{field} must not contain NUL characters"]
    try:
        value.encode()
    except UnicodeEncodeError:
        return ["{field} must be well-formed Unicode text"]
    return []


def _utf8_bytes(value: str, limit: int) -> int:
    """The length of `value` in UTF-8; of one with more characters than `limit`, those: no more is asked."""
    return len(value) if len(value) > limit else len(value.encode(errors="surrogatepass"))


@dataclass(frozen=True)
class Text(Rule):
    """A string of `shortest` to `longest` characters (code points)."""

    shortest: int
    longest: int

    def violations(self, value: object) -> list[str]:
        text = value if isinstance(value, str) else None
        sentences: list[str] = []
        if text is None or len(text) > self.longest:
            sentences.append(f"{{field}} must be shorter than or equal to {self.longest} characters")
        if self.shortest and (text is None or len(text) < self.shortest):
            sentences.append(f"{{field}} must be longer than or equal to {self.shortest} characters")
        if text is None:
            sentences.append("{field} must be a string")
        elif len(text) <= self.longest:
            sentences += _unstorable(text)
        return sentences

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": self.shortest, "maxLength": self.longest}


@dataclass(frozen=True)
class Name(Text):
    """A :class:`Text` that is shown to others: trimmed, inner white space made single, and without control
    and invisible characters, which forge other people's names. Its length is counted after that, unless it is out of
    all proportion before.
    """

    def clean(self, value: Any) -> Any:
        if not isinstance(value, str) or len(value) > self.longest * READ_FOR_EACH_KEPT or _unstorable(value):
            return value
        return visible_text(value)


DISPLAY_NAME = Name(2, 50)
"""An account's name, whichever way it comes in."""


@dataclass(frozen=True)
class Password(Text):
    """A new password. bcrypt reads 72 bytes: a longer one is refused, not cut (contract/rest.md, Bodies)."""

    most_bytes: int = 72

    def violations(self, value: object) -> list[str]:
        sentences = super().violations(value)
        if isinstance(value, str) and _utf8_bytes(value, self.most_bytes) > self.most_bytes:
            sentences.append(f"{{field}} must not be longer than {self.most_bytes} bytes in UTF-8")
        return sentences


@dataclass(frozen=True)
class Email(Rule):
    """A valid e-mail address (RFC 5321/5322/6531 by `email-validator`; no DNS question is asked)."""

    def violations(self, value: object) -> list[str]:
        return [] if isinstance(value, str) and _is_email(value) else ["{field} must be an email"]

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "email", "maxLength": _MAX_EMAIL_LENGTH}


@dataclass(frozen=True)
class LoginEmail(Rule):
    """An address at login: anything with an `@` inside, so that whatever was once accepted still gets in."""

    def violations(self, value: object) -> list[str]:
        good = isinstance(value, str) and len(value) <= _MAX_EMAIL_LENGTH and not _unstorable(value)
        good = good and "@" in str(value)[1:-1]
        return [] if good else ["{field} must be an email"]

    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "email", "maxLength": _MAX_EMAIL_LENGTH}


def _is_email(text: str) -> bool:
    if len(text) > _MAX_EMAIL_LENGTH or _unstorable(text):
        return False
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


@dataclass(frozen=True)
class Integer(Rule):
    """A JSON number without a fraction, `least` to `most`. Nothing is converted, not `"5"`, not `true`."""

    least: int
    most: int

    def clean(self, value: Any) -> Any:
        # JSON has one kind of number: 5.0 is the integer 5.
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def violations(self, value: object) -> list[str]:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        sentences: list[str] = []
        if number is None or number > self.most:
            sentences.append(f"{{field}} must not be greater than {self.most}")
        if number is None or number < self.least:
            sentences.append(f"{{field}} must not be less than {self.least}")
        if not isinstance(number, int):
            sentences.append("{field} must be an integer number")
        return sentences

    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class QueryInteger(Integer):
    """An :class:`Integer` in a query string, where everything is text: digits with an optional minus."""

    def clean(self, value: Any) -> Any:
        return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


@dataclass(frozen=True)
class Boolean(Rule):
    """JSON `true` or `false`, nothing that looks like it."""

    def violations(self, value: object) -> list[str]:
        return [] if isinstance(value, bool) else ["{field} must be a boolean value"]

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class HttpUrl(Rule):
    """An absolute http or https URL without user name or password, or null."""

    longest: int
    nullable = True

    def violations(self, value: object) -> list[str]:
        if value is None:
            return []
        sentences: list[str] = []
        too_long = not isinstance(value, str) or len(value) > self.longest
        if too_long:
            sentences.append(f"{{field}} must be shorter than or equal to {self.longest} characters")
        if not isinstance(value, str) or not (too_long or _is_http_url(value)):
            sentences.append("{field} must be a URL address")
        return sentences

    def json_schema(self) -> dict[str, Any]:
        return {"type": ["string", "null"], "format": "uri", "maxLength": self.longest}


def _is_http_url(text: str) -> bool:
    # The WHATWG parser forgives much (white space, back slashes, a missing host's slashes); we do not.
    if not text.lower().startswith(("http://", "https://")) or _unstorable(text):
        return False
    if any(
        character.isspace() or unicodedata.category(character) == "Cc" or character in '\\<>"'
        for character in text
    ):
        return False
    try:
        url = Url(text)
    except ValueError:
        return False
    return bool(url.host) and url.username is None and url.password is None
