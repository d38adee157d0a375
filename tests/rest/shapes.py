"""What bodies look like, for comparison as a whole."""

from __future__ import annotations

import re
from typing import Any

UNAUTHORIZED = {"message": "Unauthorized", "statusCode": 401}
_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    413: "Payload Too Large",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def error(status: int, message: str | list[str]) -> dict[str, Any]:
    """The body of an error."""
    return {"message": message, "error": _PHRASES[status], "statusCode": status}


class Matching:
    """Equal to any string that matches `pattern` as a whole."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self.pattern, other) is not None

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"Matching({self.pattern!r})"


TIME = Matching(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
ID = Matching(r"[a-z0-9]{20,30}")
CODE = Matching(r"[a-z]{3}-[a-z]{3}-[a-z]{3}")
JWT = Matching(r"[\w-]+\.[\w-]+\.[\w-]+")
