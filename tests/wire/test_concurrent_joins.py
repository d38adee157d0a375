"""Many joins at once: capacity is exact, exactly one side of each pair is told to offer, the rows say the same."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.wire.clients import Client
from tests.wire.meeting import Meet, joining
from tests.wire.views import View, agree, all_at_once, connected, views_of


@pytest.mark.parametrize("accounts", [0, 15, 30])
async def test_thirty_joins_into_a_room_for_five(meet: Meet, accounts: int) -> None:
    place = await meet.place(maxParticipants=5)
    people = [await meet.person(f"P{number}") for number in range(accounts)]
    clients = list(await asyncio.gather(*(meet.connect(who) for who in people)))
    clients += await connected(meet, 30 - accounts)
    admitted = await all_at_once(place, clients)
    assert sum(admitted.values()) == 5
    inside = agree(await views_of(clients))
    assert inside == {client.sid for client, succeeded in admitted.items() if succeeded}
    assert await meet.known(place) == [inside] * len(meet.servers)
    rows = await meet.rows(place)
    assert [row["isActive"] for row in rows] == [True] * 5


async def test_ten_sockets_of_one_account(meet: Meet) -> None:
    """Each takes over from the one before it; one stays, and the others of the room see it alone."""
    place = await meet.place(maxParticipants=2)
    host = await meet.connect(place.host)
    assert await all_at_once(place, [host]) == {host: True}
    clients = await connected(meet, 10, await meet.person("Ida"))
    assert list((await all_at_once(place, clients)).values()) == [True] * 10
    inside = agree(await views_of([host, *clients]))
    assert len(inside) == 2
    assert host.sid in inside
    assert set(meet.present(place)) == inside
    assert await meet.open_rows(place) == 2
    assert len(await meet.rows(place)) == 11


@pytest.mark.parametrize("turn", range(8))
async def test_of_two_who_join_at_once_exactly_one_offers(meet: Meet, turn: int) -> None:
    place = await meet.place()
    clients = await connected(meet, 2 + turn % 3)
    assert all((await all_at_once(place, clients)).values())
    assert agree(await views_of(clients)) == {client.sid for client in clients}


@pytest.mark.parametrize("seed", range(6))
async def test_a_coming_and_going(meet: Meet, seed: int) -> None:
    """Joins, joins again, leaves, ends of every kind, of guests and of one account's sockets, all at the same time."""
    dice = random.Random(seed)
    place = await meet.place(maxParticipants=5)
    ida = await meet.person("Ida")
    clients = await connected(meet, 9) + await connected(meet, 3, ida)
    views = {client: View(client) for client in clients}
    vanished: set[str] = set()
    for _ in range(6):
        answers: dict[Client, asyncio.Future[list[Any]]] = {}
        leaving: list[Client] = []
        for client in dice.sample(list(views), len(views)):
            act = dice.choice(["join", "join", "join", "leave", "vanish"])
            if act == "join":
                answers[client] = client.request("join-room", joining(place))
            elif act == "leave":
                answers[client] = client.request("leave-room", {"roomId": place.id})
                leaving.append(client)
            elif len(vanished) < 5:
                dice.choice([client.kill, client.disconnect])()
                vanished.add(client.sid)
                del views[client]
        for answer in answers.values():
            await answer
        for client, view in views.items():
            view.read(await client.unread())
            view.inside = view.inside and client not in leaving
    await meet.until_gone(place, *vanished)
    for client, view in views.items():
        view.read(await client.unread())
    inside = agree(views.values())
    assert inside == set(meet.present(place))
    assert len(inside) <= 5
    assert await meet.open_rows(place) == len(inside)
