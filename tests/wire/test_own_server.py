"""What needs a server of its own: another limit, a stop with people in rooms, another start on the same data."""

from __future__ import annotations

from aiohttp import ClientSession

from neuron_meet.app import running
from neuron_meet.settings import Settings
from tests.wire.clients import Driver
from tests.wire.meeting import SECRET, Meet, enter, failure, meeting_on


async def test_another_limit_of_messages(database_url: str, js: Driver) -> None:
    async with meeting_on(database_url, js, max_message_length=5) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        ack = await host.ask("chat-message", {"roomId": place.id, "content": " 12345 "})
        assert ack["message"]["content"] == "12345"
        answer = await host.ask("chat-message", {"roomId": place.id, "content": "123456"})
        assert answer == failure("Message is too long")
        assert [name for name, _ in await host.unread()] == ["chat-message"]


async def test_a_server_at_every_address(database_url: str) -> None:
    """`HOST=::` is IPv4 as well, and what is printed is a URL."""
    settings = Settings.model_validate({"host": "[::]", "port": 0, "jwt_secret": SECRET})
    async with running(settings, database_url) as server, ClientSession() as session:
        port = server.url.rpartition(":")[2]
        assert server.url == f"http://[::]:{port}"
        for host in ("127.0.0.1", "[::1]", "[::]"):
            async with session.get(f"http://{host}:{port}/api/health") as response:
                assert response.status == 200


async def test_a_stop_closes_sockets_and_rows_and_the_next_start_has_all_that_was_said(
    database_url: str, js: Driver
) -> None:
    async with meeting_on(database_url, js) as meet:
        place = await meet.place()
        host = await meet.join(place, place.host)
        guest = await meet.join(place, transports=["polling"])
        said = (await host.ask("chat-message", {"roomId": place.id, "content": "before"}))["message"]
        clients = [host, guest]
        meet.forget(*clients)  # they are closed by the server
    for client in clients:
        assert await client.next("$disconnected")
    async with meeting_on(database_url, js) as meet:
        rows = await meet.rows(place)
        assert [(row["isActive"], row["leftAt"] is not None) for row in rows] == [(False, True)] * 2
        again = await meet.connect(place.host)
        ack = await enter(again, place)
        del said["user"]["avatarUrl"]  # which replays have not
        assert (ack["isHost"], ack["participants"], ack["messages"]) == (True, [], [said])


async def test_rows_of_a_server_that_died_are_closed_by_the_next_start(database_url: str, js: Driver) -> None:
    async with meeting_on(database_url, js) as meet:
        place = await meet.place()
        await meet.join(place, place.host)
        await orphan(meet, place.id)
        assert await meet.open_rows(place) == 2
    async with meeting_on(database_url, js) as meet:
        assert await meet.open_rows(place) == 0


async def orphan(meet: Meet, room_id: str) -> None:
    """An open row of a connection that no server has: what a crash leaves behind."""
    await meet.sql(
        'INSERT INTO "Participant" (id, "roomId", "guestName") VALUES ($1, $2, $3)',
        "c" + "o" * 24,
        room_id,
        "Gone",
    )
