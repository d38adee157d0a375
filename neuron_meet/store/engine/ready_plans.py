"""Query plans that were compiled when the client was generated, so that a start needs no query-engine host.

They lie in a file beside the generated client. A plan depends on the schema and on the namespace (PostgreSQL's
"schema") whose tables it names; plans for any others are compiled by the host, when they are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from neuron_meet.store.generated.client import PACKAGED_SCHEMA_PATH

NAMESPACE = "public"
READY_PLANS = PACKAGED_SCHEMA_PATH.with_name("plans.json")


class ReadyPlans(msgspec.Struct):
    """The file: plans by the name of their shape (:class:`CompileRequest`), None for shapes that the host runs."""

    schema: str
    """SHA-256 of the Prisma schema."""
    plans: dict[str, msgspec.Raw]

    @classmethod
    def of(cls, plans: Mapping[str, Any], schema: Path) -> ReadyPlans:
        """Plans that were compiled from a schema."""
        encoded = {shape: msgspec.Raw(msgspec.json.encode(plan)) for shape, plan in plans.items()}
        return cls(_digest(schema), encoded)

    @classmethod
    def none(cls) -> ReadyPlans:
        """No plan at all."""
        return cls("", {})

    @classmethod
    def read(cls, schema: Path, namespace: str, file: Path = READY_PLANS) -> ReadyPlans:
        """What was compiled from just this schema for this namespace: nothing, where there is no such file."""
        if namespace != NAMESPACE:
            return cls.none()
        try:
            ready = msgspec.json.decode(file.read_bytes(), type=cls)
            return ready if ready.schema == _digest(schema) else cls.none()
        except (OSError, msgspec.MsgspecError):
            return cls.none()

    def write(self, file: Path = READY_PLANS) -> None:
        """Write the file, whole or not at all."""
        new = file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self))
        new.replace(file)


def _digest(schema: Path) -> str:
    return hashlib.sha256(schema.read_bytes()).hexdigest()
