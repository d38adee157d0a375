"""Random queries over rows of every kind."""

from __future__ import annotations

import random
from datetime import timedelta, timezone
from typing import Any

from neuron_meet.store.generated.client import Prisma
from tests.store.plan_rows import KEYS, MOMENTS, TEXTS, TYPES

SCALARS: dict[str, dict[str, str]] = {
    "user": {"id": "key", "email": "text", "displayName": "text?", "createdAt": "moment"},
    "room": {"id": "key", "name": "text", "isLocked": "truth", "endedAt": "moment?", "hostId": "key"},
    "participant": {
        "id": "key",
        "guestName": "text?",
        "userId": "key?",
        "isHost": "truth",
        "joinedAt": "moment",
    },
    "message": {"id": "key", "content": "text", "userId": "key?", "type": "type", "createdAt": "moment"},
    "roomsettings": {"id": "key", "allowChat": "truth", "maxParticipants": "number"},
}
RELATIONS: dict[str, dict[str, tuple[str, bool]]] = {
    "user": {
        "hostedRooms": ("room", True),
        "messages": ("message", True),
        "participants": ("participant", True),
    },
    "room": {
        "host": ("user", False),
        "settings": ("roomsettings", False),
        "messages": ("message", True),
        "participants": ("participant", True),
    },
    "participant": {"room": ("room", False), "user": ("user", False)},
    "message": {"room": ("room", False), "user": ("user", False)},
    "roomsettings": {"room": ("room", False)},
}


class Asker:
    """Random queries of every kind that the client can express and this server might ask."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def value(self, kind: str) -> Any:
        choose = self.chance.choice
        match kind.rstrip("?"):
            case "key":
                return choose([*KEYS, "m01", "p02"])
            case "text":
                return choose([*TEXTS, "k1@example.com"])
            case "truth":
                return choose([True, False])
            case "moment":
                given = choose(MOMENTS)
                return choose(
                    [given, given.astimezone(timezone(timedelta(hours=9))), given.replace(tzinfo=None)]
                )
            case "number":
                return choose([2, 50, 100, 7])
            case _:
                return choose(TYPES)

    def filter(self, kind: str) -> Any:
        value = self.value(kind)
        if kind.endswith("?") and self.chance.random() < 0.3:
            return self.chance.choice([None, {"not": None}])
        ways: list[Any] = [value, {"equals": value}, {"not": value}]
        if kind.rstrip("?") in {"key", "text"}:
            several = [self.value(kind) for _ in range(self.chance.randrange(4))]
            ways += [{"in": several}, {"in": several}, {"not_in": several}, {"contains": "o"}]
        if kind.rstrip("?") in {"moment", "number"}:
            ways += [{"lt": value}, {"gte": value}]
        return self.chance.choice(ways)

    def where(self, model: str, depth: int = 2) -> dict[str, Any]:
        fields = self.chance.sample(sorted(SCALARS[model]), self.chance.randrange(3))
        where: dict[str, Any] = {field: self.filter(SCALARS[model][field]) for field in fields}
        if depth and self.chance.random() < 0.3:
            where["OR"] = [self.where(model, depth - 1) for _ in range(2)]
        if depth and self.chance.random() < 0.3:
            relation, (other, many) = self.chance.choice(sorted(RELATIONS[model].items()))
            nested = self.where(other, depth - 1)
            where[relation] = (
                {self.chance.choice(["some", "none", "every"]): nested} if many else {"is": nested}
            )
        return where

    def order(self, model: str) -> list[dict[str, str]]:
        """Always total: the id comes last."""
        fields = [field for field, kind in SCALARS[model].items() if kind in {"moment", "text", "truth"}]
        direction = self.chance.choice(["asc", "desc"])
        first = [{self.chance.choice(fields): direction}] if fields else []
        return [*first, {"id": self.chance.choice(["asc", "desc"])}]

    def include(self, model: str, depth: int) -> dict[str, Any] | None:
        chosen: dict[str, Any] = {}
        for relation, (other, many) in RELATIONS[model].items():
            if self.chance.random() < 0.5:
                continue
            nested: dict[str, Any] = {}
            if many:
                nested["order_by"] = self.order(other)
                if self.chance.random() < 0.5:
                    nested["take"] = self.chance.choice([1, 3, 50, -2])
                if self.chance.random() < 0.3:
                    nested["where"] = self.where(other, 0)
            inner = self.include(other, depth - 1) if depth else None
            if inner:
                nested["include"] = inner
            chosen[relation] = nested or True
        return chosen or None

    async def ask(self, prisma: Prisma) -> Any:
        """The next query, to this client."""
        model = self.chance.choice(sorted(SCALARS))
        table: Any = getattr(prisma, model)
        where = self.where(model)
        match self.chance.randrange(5):
            case 0:
                return await table.count(where=where)
            case 1:
                return await table.find_first(
                    where=where, order=self.order(model), include=self.include(model, 1)
                )
            case 2:
                return await table.find_unique(
                    where={"id": self.value("key")}, include=self.include(model, 1)
                )
            case _:
                take, skip = self.chance.choice([None, 1, 5, 100, -3]), self.chance.choice([None, None, 2])
                return await table.find_many(
                    where=where, order=self.order(model), take=take, skip=skip, include=self.include(model, 1)
                )
