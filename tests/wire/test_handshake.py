"""The handshake: who a socket is, what it is called, and the transports it comes by."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession

from tests.wire.clients import Client, ConnectionRefused
from tests.wire.meeting import SECRET, Meet, Person, Place, enter

pytestmark = pytest.mark.one_node("connections, not rooms")

AUTH_ERROR = (
    "auth-error",
    {"code": "INVALID_TOKEN", "message": "Your session has expired. Please sign in again."},
)


def token(subject: str, *, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token signed as it pleases the test."""
    now = int(time.time())
    return jwt.encode(
        {"sub": subject, "email": "a@example.com", "iat": now, "exp": now + 60, **claims}, secret, algorithm
    )


def unsigned(subject: str) -> str:
    """A token with `alg: none`."""
    return jwt.encode({"sub": subject, "exp": int(time.time()) + 60}, None, "none")


def tampered(good: str, subject: str) -> str:
    """A good token with another subject put into it."""
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "sub": subject}).encode()).decode().rstrip("=")
    return f"{head}.{forged}.{signature}"


async def who_is(meet: Meet, client: Client, place: Place, **join: Any) -> dict[str, Any]:
    """The socket as another one in the room sees it."""
    witness = await meet.join(place, name="Witness")
    ack = await enter(client, place, **join)
    assert ack["success"] is True, ack
    return (await witness.next("user-joined"))["participant"]


async def test_no_token_is_a_guest(meet: Meet) -> None:
    client = await meet.connect()
    assert await client.unread() == []
    assert (await who_is(meet, client, await meet.place()))["userId"] is None


async def test_a_good_token_is_its_account(meet: Meet) -> None:
    ada = await meet.person("Ada")
    client = await meet.connect(auth={"token": ada.token, "userId": "somebody-else"})
    assert await client.unread() == []
    assert (await who_is(meet, client, await meet.place(), userId="x"))["userId"] == ada.id


async def test_a_token_of_the_former_server_is_good(meet: Meet) -> None:
    ada = await meet.person("Ada")
    client = await meet.connect(auth={"token": token(ada.id)})
    assert await client.unread() == []
    assert (await who_is(meet, client, await meet.place()))["userId"] == ada.id


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ada: token(ada.id, exp=int(time.time()) - 1), id="expired"),
        pytest.param(
            lambda ada: token(ada.id, secret="another-secret-of-the-wire-tests!!"), id="foreign secret"
        ),
        pytest.param(lambda ada: unsigned(ada.id), id="alg none"),
        pytest.param(lambda ada: token(ada.id, secret=SECRET * 2, algorithm="HS512"), id="another algorithm"),
        pytest.param(lambda ada: token(ada.id, secret=SECRET * 2, algorithm="HS384"), id="HS384"),
        pytest.param(lambda ada: tampered(token("x"), ada.id), id="tampered"),
        pytest.param(lambda ada: token(ada.id)[:-1], id="cut"),
        pytest.param(lambda _ada: "nonsense", id="nonsense"),
        pytest.param(lambda _ada: "a.b.c", id="three parts of nonsense"),
        pytest.param(lambda _ada: "\u0000\ud83d\ude00", id="unicode"),
        pytest.param(lambda _ada: "x" * 50_000, id="huge"),
        pytest.param(lambda _ada: 7, id="number"),
        pytest.param(lambda ada: {"sub": ada.id}, id="object"),
        pytest.param(lambda ada: [token(ada.id)], id="list"),
        pytest.param(lambda _ada: True, id="true"),
    ],
)
async def test_a_bad_token_makes_a_guest_who_is_told(meet: Meet, make: Any) -> None:
    place = await meet.place()
    client = await meet.connect(auth={"token": make(place.host), "userId": place.host.id})
    assert await client.unread() == [AUTH_ERROR]
    seen = await who_is(meet, client, place, userId=place.host.id)
    assert (seen["userId"], seen["isHost"]) == (None, False)


async def test_the_token_of_an_account_that_is_gone(meet: Meet) -> None:
    client = await meet.connect(auth={"token": token("c" + "0" * 24)})
    assert await client.unread() == []  # a token is verified without the database
    seen = await who_is(meet, client, await meet.place(), name="Ghost")
    assert (seen["userId"], seen["displayName"]) == (None, "Ghost")
    assert [event for event in await client.unread() if event[0] == "auth-error"] == [AUTH_ERROR]


@pytest.mark.parametrize(
    "auth", [None, [], "text", 7, {"displayName": 7}, {"displayName": {"a": 1}}, {"x": "y" * 9000}]
)
async def test_an_odd_auth_refuses_nobody(meet: Meet, auth: Any) -> None:
    client = await meet.connect(auth=auth)
    assert await client.unread() == []
    assert (await who_is(meet, client, await meet.place()))["displayName"] == "Guest"


# -- names
@pytest.mark.parametrize(
    ("joined_as", "auth_name", "expected"),
    [
        ("Payload", "Auth", "Payload"),
        (None, "Auth", "Auth"),
        ("", "Auth", "Auth"),
        (" \t\n ", "Auth", "Auth"),
        (None, None, "Account"),
        ("", "\u0007", "Account"),
        ("  Ada  ", None, "Ada"),
        ("A\x00d\x1ba\x7f", None, "Ada"),
        ("x" * 50, None, "x" * 50),
        ("x" * 51, None, "x" * 50),
        ("x" * 49 + " y", None, "x" * 49),
        ("😀" * 60, None, "😀" * 50),
        ("Ünï 名前 👩‍👩‍👧", None, "Ünï 名前 👩‍👩‍👧"),
        ("<b>\"'&", None, "<b>\"'&"),
        ("a\u202eb", None, "ab"),
    ],
)
async def test_the_display_name(
    meet: Meet, joined_as: str | None, auth_name: str | None, expected: str
) -> None:
    account = await meet.person("Account")
    client = await meet.connect(auth={"token": account.token, "displayName": auth_name})
    fields = {} if joined_as is None else {"displayName": joined_as}
    assert (await who_is(meet, client, await meet.place(), **fields))["displayName"] == expected


async def test_an_account_without_a_display_name_has_its_name(meet: Meet) -> None:
    account = await meet.person("Ada", displayName=None, name="Ada Lovelace")
    client = await meet.connect(account)
    assert (await who_is(meet, client, await meet.place()))["displayName"] == "Ada Lovelace"


async def test_a_name_of_null(meet: Meet) -> None:
    client = await meet.connect()
    assert (await who_is(meet, client, await meet.place(), displayName=None))["displayName"] == "Guest"


async def test_the_name_at_join_is_the_name_everywhere(meet: Meet) -> None:
    place = await meet.place()
    witness = await meet.join(place)
    guest = await meet.join(place, name="  Gus\u0007 ", auth={"displayName": "Other"})
    await guest.ask("toggle-hand-raise", {"roomId": place.id, "raised": True})
    await guest.ask("offer", {"targetId": witness.sid, "sdp": "v=0"})
    await guest.ask("typing-start", {"roomId": place.id})
    await guest.ask("chat-message", {"roomId": place.id, "content": "hi"})
    told = dict(await witness.unread())
    assert told["user-joined"]["participant"]["displayName"] == "Gus"
    assert told["user-hand-raised"]["displayName"] == "Gus"
    assert told["offer"]["displayName"] == "Gus"
    assert told["user-typing"]["displayName"] == "Gus"
    assert told["chat-message"]["senderName"] == "Gus"
    assert (await meet.rows(place))[1]["guestName"] == "Gus"


# -- transports
async def meets(meet: Meet, client: Client, who: Person | None = None) -> None:
    """The socket joins, chats and hears another one."""
    place = await meet.place()
    other = await meet.join(place, name="Other")
    assert (await enter(client, place))["success"] is True
    await client.ask("chat-message", {"roomId": place.id, "content": "one"})
    await other.ask("chat-message", {"roomId": place.id, "content": "two"})
    said = [payload["content"] for name, payload in await client.unread() if name == "chat-message"]
    assert said == ["one", "two"]
    await other.next("user-joined")
    client.disconnect()
    assert await other.next("user-left") == {"socketId": client.sid, "userId": who.id if who else None}


async def test_websocket(meet: Meet) -> None:
    client = await meet.connect(transports=["websocket"])
    assert client.opening["transport"] == "websocket"
    await meets(meet, client)


async def test_polling_alone(meet: Meet) -> None:
    ada = await meet.person("Ada")
    client = await meet.connect(ada, transports=["polling"])
    assert client.opening["transport"] == "polling"
    await meets(meet, client, ada)


async def test_polling_then_websocket(meet: Meet) -> None:
    client = await meet.connect(transports=["polling", "websocket"])
    assert await client.next("$upgraded") == "websocket"
    await meets(meet, client)


async def test_nothing_is_lost_or_turned_round_while_a_connection_is_upgraded(meet: Meet) -> None:
    place = await meet.place()
    host = await meet.join(place, place.host)
    client = await meet.connect(transports=["polling", "websocket"])
    await enter(client, place)
    answers = [host.request("ice-candidate", {"targetId": client.sid, "candidate": n}) for n in range(200)]
    asked = [client.request("ice-candidate", {"targetId": host.sid, "candidate": n}) for n in range(200)]
    assert await client.next("$upgraded") == "websocket"
    for answer in answers + asked:
        assert await answer == [{"success": True}]
    for reader in (client, host):
        got = [payload["candidate"] for name, payload in await reader.unread() if name == "ice-candidate"]
        assert got == list(range(200))


async def test_compression_is_not_agreed_to(meet: Meet) -> None:
    client = await meet.connect(perMessageDeflate={"threshold": 0})
    assert client.opening["extensions"] == ""
    await meets(meet, client)
    async with (
        ClientSession() as session,
        session.ws_connect(f"{meet.server.url}/socket.io/?EIO=4&transport=websocket", compress=15) as ws,
    ):
        assert not ws.compress


async def test_another_namespace(meet: Meet) -> None:
    with pytest.raises(ConnectionRefused, match=r"^Invalid namespace$"):
        await meet.connect_to("/admin")


async def test_a_refused_namespace_disturbs_no_other_socket(meet: Meet) -> None:
    place = await meet.place()
    client = await meet.join(place)
    with pytest.raises(ConnectionRefused, match=r"^Invalid namespace$"):
        await meet.connect_to("/other", auth={"token": "x"})
    assert await client.unread() == []
