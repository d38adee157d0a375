"""A room as each of its sockets was told of it, and whether they were told the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import combinations
from typing import Any

from tests.wire.clients import Client, Event
from tests.wire.meeting import Meet, Person, Place, failure, joining, refused_join


async def connected(meet: Meet, number: int, who: Person | None = None) -> list[Client]:
    """That many sockets."""
    return list(await asyncio.gather(*(meet.connect(who) for _ in range(number))))


async def all_at_once(place: Place, clients: list[Client]) -> dict[Client, bool]:
    """Everybody joins in the same moment. Who got in?"""
    answers = [client.request("join-room", joining(place)) for client in clients]
    acks = [(await answer)[0] for answer in answers]
    for ack in acks:
        assert ack["success"] is True or ack == failure("Room is full")
    return {client: ack["success"] for client, ack in zip(clients, acks, strict=True)}


class View:
    """The room as one socket was told of it: who is there, and to whom it owes an offer."""

    def __init__(self, client: Client) -> None:
        self.sid = client.sid
        self.inside = False
        self.others: set[str] = set()
        self.offers: set[str] = set()

    def read(self, events: list[Event]) -> View:
        """Follow the events as a front end does; one that does not fit is an AssertionError."""
        for name, payload in events:
            if name == "room-joined":
                self.inside = True
                listed = [one["socketId"] for one in payload["participants"]]
                self.others, self.offers = set(listed), set(listed)
                assert len(listed) == len(self.others)
                assert self.sid not in self.others
            elif name == "user-joined":
                assert self.inside, "told of a room that it is not in"
                joined = payload["participant"]["socketId"]
                assert joined not in self.others | {self.sid}, "a participant came twice"
                self.others.add(joined)
            elif name == "user-left":
                assert self.inside, "told of a room that it is not in"
                assert payload["socketId"] in self.others, "a participant left who was not there"
                self.others.discard(payload["socketId"])
                self.offers.discard(payload["socketId"])
            elif name == "force-disconnect":
                self.inside = False
            else:
                assert (name, payload) == refused_join("Room is full")
        return self


def replayed(acknowledged: dict[str, Any]) -> dict[str, Any]:
    """A message as a replay has it, of which the sender's ack said this: without the picture."""
    user = acknowledged["user"]
    return {**acknowledged, "user": user and {key: user[key] for key in ("id", "name", "displayName")}}


def agree(views: Iterable[View]) -> set[str]:
    """Those who are in see each other and nobody else, and one side of each pair offers. Returns their ids."""
    inside = {view.sid: view for view in views if view.inside}
    for view in inside.values():
        assert view.others == inside.keys() - {view.sid}
    for one, other in combinations(inside.values(), 2):
        assert (other.sid in one.offers) + (one.sid in other.offers) == 1
    return set(inside)


async def views_of(clients: list[Client]) -> list[View]:
    """What everybody was told, from their connection on."""
    return [View(client).read(await client.unread()) for client in clients]
