"""The way of a new user, with nothing written past the API: register, log in, make a room, meet, end it."""

from __future__ import annotations

from tests.wire.meeting import Meet, Person, Place, enter


async def test_register_log_in_meet_and_end(meet: Meet) -> None:
    credentials = {
        "email": f"{meet.server.signaling.attendance.new_record_id()}@example.com",
        "password": "correct horse",
    }
    status, registered = await meet.rest(
        "POST", "/api/auth/register", body={**credentials, "displayName": "Ada"}
    )
    assert status == 201
    status, logged_in = await meet.rest("POST", "/api/auth/login", body=credentials)
    assert status == 201
    ada = Person(registered["user"]["id"], "Ada", logged_in["accessToken"])
    status, room = await meet.rest("POST", "/api/rooms", ada, {"name": "First"})
    assert status == 201
    place = Place(room["id"], room["code"], ada)
    host = await meet.connect(ada)
    assert (await enter(host, place))["isHost"] is True
    guest = await meet.connect(transports=["polling", "websocket"])
    assert (await enter(guest, place, "Gus"))["participants"][0]["displayName"] == "Ada"
    await guest.ask("chat-message", {"roomId": place.id, "content": "hello"})
    assert (await host.next("chat-message"))["senderName"] == "Gus"
    status, _ = await meet.rest("DELETE", f"/api/rooms/{place.id}", ada)
    assert status == 200
    assert (await guest.next("room-ended"))["roomId"] == place.id
