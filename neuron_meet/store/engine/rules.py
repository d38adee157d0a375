"""Rules of query plans about their results, as what breaking them raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MissingRecord(Exception):
    """A plan's rule was broken: a record that it depends on is not there. `operation` says what for, `which` which."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.operation = str(context["operation"])
        super().__init__(self.operation)
        self.which = f"No record was found for {self.operation}."
        if "relation" in context:
            needed = f" (needed to {context['neededFor']})" if context.get("neededFor") else ""
            self.which = (
                f"No '{context['model']}' record{needed} was found for {self.operation} on "
                f"{context['relationType']} relation '{context['relation']}'."
            )


class TooManyRows(Exception):
    """More than one row where there can be one at most."""
