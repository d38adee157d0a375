"""Limits by address: on connections and joins, right behind a trusted proxy, and deaf to anybody else's claims."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.security.door import knock
from tests.wire.clients import ConnectionRefused, Driver
from tests.wire.meeting import OK, Meet, enter, failure, meeting_on
from tests.wire.raw import RawSocket

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
BEHIND_A_PROXY: dict[str, Any] = {"trusted_proxies": "127.0.0.1"}


def claiming(*addresses: str) -> dict[str, Any]:
    """socket.io-client's options of a connection that came by way of these, the client first."""
    return {"extraHeaders": {"X-Forwarded-For": ", ".join(addresses)}}


async def handshake(
    url: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str | None, str]:
    """Status, Retry-After and body of a bare handshake request."""
    async with ClientSession() as session, session.get(url + path, headers=headers or {}) as response:
        return response.status, response.headers.get("Retry-After"), await response.text()


async def test_connections(js: Driver, shared_database: str) -> None:
    """Over the limit the handshake itself is refused, with the time to wait; nothing is left behind."""
    async with meeting_on(
        shared_database, js, rate_limit_enabled=True, limit_connections_address="3 per hour"
    ) as meet:
        clients = [await meet.connect() for _ in range(3)]
        status, retry_after, body = await handshake(meet.server.url, POLLING)
        assert (status, json.loads(body)) == (429, {"message": "Too many requests", "statusCode": 429})
        assert retry_after is not None
        assert int(retry_after) > 0
        for transport in ("websocket", "polling"):
            with pytest.raises(ConnectionRefused):
                await meet.connect(transports=[transport])
        assert meet.server.sockets.connection_count == 3
        for client in clients:  # those who are connected are not disturbed
            await client.sync()


@pytest.mark.parametrize("headers", [{"X-Forwarded-For": "198.51.100.7"}, {"Forwarded": "for=198.51.100.7"}])
async def test_an_untrusted_peer_cannot_choose_its_address(
    js: Driver, shared_database: str, headers: dict[str, str]
) -> None:
    async with meeting_on(
        shared_database, js, rate_limit_enabled=True, limit_connections_address="2 per hour"
    ) as meet:
        statuses = [(await handshake(meet.server.url, POLLING, headers))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await handshake(meet.server.url, POLLING))[0] == 429


async def test_behind_a_trusted_proxy_the_clients_address_counts(js: Driver, shared_database: str) -> None:
    async with meeting_on(
        shared_database,
        js,
        rate_limit_enabled=True,
        limit_connections_address="2 per hour",
        **BEHIND_A_PROXY,
    ) as meet:
        for address in ("198.51.100.7", "2001:db8::7", "198.51.100.8"):
            headers = {"X-Forwarded-For": address}
            statuses = [(await handshake(meet.server.url, POLLING, headers))[0] for _ in range(3)]
            assert statuses == [200, 200, 429]
        # What the client wrote itself stands left of what the proxy added, and is not believed.
        forged = {"X-Forwarded-For": "203.0.113.1, 198.51.100.7"}
        assert (await handshake(meet.server.url, POLLING, forged))[0] == 429


async def test_joins(js: Driver, shared_database: str) -> None:
    """From one address, whatever the sockets; other addresses go on, and so do those who are in."""
    async with meeting_on(
        shared_database, js, rate_limit_enabled=True, limit_joins_address="3 per hour", **BEHIND_A_PROXY
    ) as meet:
        place = await meet.place()
        crowd = [await meet.connect(**claiming("198.51.100.7")) for _ in range(5)]
        acks = [await enter(client, place, "Someone") for client in crowd]
        assert [ack["success"] for ack in acks] == [True] * 3 + [False] * 2
        assert acks[3:] == [failure("Too many requests")] * 2
        other = await meet.connect(**claiming("198.51.100.8"))
        assert (await enter(other, place, "Other"))["success"] is True
        assert (await crowd[0].ask("chat-message", {"roomId": place.id, "content": "hello"}))[
            "success"
        ] is True


async def remove_or_deny(meet: Meet, how: str) -> tuple[Any, str]:
    """A guest at 198.51.100.7 called Gus whom the host removed, or did not let in."""
    place = await meet.place(waitingRoom=how == "deny")
    host = await meet.join(place, place.host)
    if how == "deny":
        guest = await knock(meet, place, name="Gus", **claiming("198.51.100.7"))
        text = "The host did not let you in"
    else:
        guest = await meet.join(place, name="Gus", **claiming("198.51.100.7"))
        text = "You were removed from this meeting"
    event = "deny-participant" if how == "deny" else "remove-participant"
    assert await host.ask(event, {"roomId": place.id, "targetId": guest.sid}) == OK
    return place, text


@pytest.mark.parametrize("how", ["remove", "deny"])
async def test_a_guest_is_kept_out_by_its_own_address(js: Driver, shared_database: str, how: str) -> None:
    """Somebody of the same name elsewhere is somebody else."""
    async with meeting_on(shared_database, js, **BEHIND_A_PROXY) as meet:
        place, text = await remove_or_deny(meet, how)
        same = await meet.connect(**claiming("198.51.100.7"))
        assert await enter(same, place, "Gus") == failure(text)
        forger = await meet.connect(**claiming("192.0.2.1", "198.51.100.7"))
        assert await enter(forger, place, "Gus") == failure(text)
        namesake = await meet.connect(**claiming("198.51.100.8"))
        assert (await enter(namesake, place, "Gus")).get("error") != text


async def test_the_address_follows_the_socket(js: Driver, shared_database: str) -> None:
    """Who comes back from another network and is removed then, is kept out there, by name."""
    async with (
        meeting_on(shared_database, js, recovery_grace_seconds=10, **BEHIND_A_PROXY) as meet,
        ClientSession() as session,
    ):
        place = await meet.place()
        host = await meet.join(place, place.host)
        wifi, mobile = ({"X-Forwarded-For": address} for address in ("198.51.100.7", "198.51.100.8"))
        async with (
            session.ws_connect(meet.server.url + WEBSOCKET, headers=wifi) as before,
            session.ws_connect(meet.server.url + WEBSOCKET, headers=mobile) as after,
        ):
            socket, again = RawSocket(before), RawSocket(after)
            await socket.receive()
            await socket.send("40")
            opening = json.loads((await socket.receive())[2:])
            await socket.event("join-room", {"roomCode": place.code, "displayName": "Gus"}, ack=1)
            await socket.receive_until("431[")
            await again.receive()
            await again.open({"pid": opening["pid"], "offset": ""})  # the server has not noticed the change
            assert again.sid == opening["sid"]
            removal = {"roomId": place.id, "targetId": again.sid}
            assert await host.ask("remove-participant", removal) == OK
        same = await meet.connect(**claiming("198.51.100.8"))
        assert await enter(same, place, "gus") == failure("You were removed from this meeting")
