"""How often a use case waits for the database, counted at the connection: BEGIN and COMMIT are round trips too."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from neuron_meet.app import running
from tests.wire.clients import Driver
from tests.wire.counting import counted
from tests.wire.meeting import Meet, enter, settings_for


async def test_of_a_join_and_of_a_message(shared_database: str, pool: Any, js: Driver) -> None:
    """Of a join the room and the row, for an account and for a guest. A connection that is new prepares each statement
    once."""
    async with (
        counted(shared_database) as database,
        running(settings_for(), database.url) as server,
        ClientSession() as session,
    ):
        meet = Meet([server], pool, js, session)
        place = await meet.place()
        first = await meet.join(place)
        said = {"roomId": place.id, "content": "Hello"}
        assert (await first.ask("chat-message", said))["success"] is True
        for who in (await meet.person("Ada"), None):
            client = await meet.connect(who)
            database.clear()
            answer = await enter(client, place, "Ada")
            assert answer["success"] is True, answer
            assert (database.round_trips, database.statements) == (2, [])
        database.clear()
        assert (await first.ask("chat-message", said))["success"] is True
        assert (database.round_trips, database.statements) == (1, [])
        meet.disconnect_all()
