"""Accounts, rooms and retention from the command line, beside a server that runs."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from neuron_meet.auth.tokens import Tokens
from neuron_meet.store import retention
from neuron_meet.store.retention import Pruned, prune
from tests.process.program import Program
from tests.wire.clients import Driver
from tests.wire.meeting import SECRET, Meet, Person, enter, meeting_on

TOKEN = "an-admin-token-of-at-least-32-bytes-in-length"


@dataclass
class Shell:
    """Runs the program on the database of a running server."""

    meet: Meet
    folder: Path
    environment: dict[str, str]

    async def run(self, *arguments: str, typed: str = "", **more: str) -> tuple[int, str]:
        """Exit code and output."""
        command = (sys.executable, "-m", "neuron_meet", *arguments)
        program = await Program.run(
            command, self.folder, self.environment | more, stdin=asyncio.subprocess.PIPE
        )
        try:
            program.type(typed)
            return await program.ended(), program.output
        finally:
            await program.clean_up()


@pytest.fixture
async def shell(database_url: str, js: Driver, tmp_path: Path) -> AsyncIterator[Shell]:
    async with meeting_on(database_url, js, admin_port=0, admin_token=TOKEN) as meet:
        yield Shell(meet, tmp_path, {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "NODE_ENV": "test"})


async def test_accounts(shell: Shell) -> None:
    meet, email = shell.meet, "Ada.Lovelace@example.com"
    code, said = await shell.run("users", "create", email, "--name", "Ada", typed="correct horse")
    assert code == 0, said
    made = re.fullmatch(r"Made the account (\w+)\.", said)
    assert made is not None, said
    login = {"email": email, "password": "correct horse"}
    assert (await meet.rest("POST", "/api/auth/login", body=login))[1]["user"]["id"] == made[1]
    assert await shell.run("users", "create", email.lower(), "--name", "Ad", typed="correct horse") == (
        1,
        "neuron-meet: There is an account with ada.lovelace@example.com already.",
    )
    assert (await shell.run("users", "create", "no address", "--name", "Ada"))[0] == 2
    for name in ("\u3164\u2800", "A", "\u202eA", "x" * 51, "x" * 100_000):
        assert (await shell.run("users", "create", "b@example.com", "--name", name, typed="correct horse"))[
            0
        ] == 2
    assert (await shell.run("users", "reset-password", email, typed="short"))[0] == 2
    assert (await shell.run("users", "reset-password", email, typed="battery staple"))[0] == 0
    stored = await meet.pool.fetchval('SELECT password FROM "User" WHERE id = $1', made[1])
    assert bcrypt.checkpw(b"battery staple", stored.encode())
    code, token = await shell.run("token", email)
    assert (code, Tokens(SECRET, 1).verify(token).sub) == (0, made[1])
    assert await shell.run("token", "nobody@example.com") == (
        1,
        "neuron-meet: There is no account with nobody@example.com.",
    )


async def test_a_disabled_account_is_nobody_until_it_is_enabled(shell: Shell) -> None:
    meet = shell.meet
    person = {"email": "ada@example.com", "password": "correct horse", "displayName": "Ada"}
    _, signed_in = await meet.rest("POST", "/api/auth/register", body=person)
    ada = Person(signed_in["user"]["id"], "Ada", signed_in["accessToken"])
    login = {"email": person["email"], "password": person["password"]}
    place = await meet.place()
    host = await meet.join(place, place.host)
    inside, outside = await meet.join(place, ada), await meet.connect(ada)
    await host.unread()
    admin_url = meet.server.admin_url
    assert admin_url is not None
    admin = {"ADMIN_PORT": admin_url.rpartition(":")[2], "ADMIN_TOKEN": TOKEN}

    assert await shell.run("users", "disable", person["email"].upper(), **admin) == (
        0,
        f"The account {ada.id} is disabled, and its sockets are closed.",
    )
    for socket in (inside, outside):
        assert await socket.next("force-disconnect") == {"reason": "Removed by the operator"}
    assert (await host.next("user-left"))["userId"] == ada.id
    assert (await meet.rest("GET", "/api/auth/me", ada))[0] == 401
    assert (await meet.rest("POST", "/api/rooms", ada, {}))[0] == 401
    status, said = await meet.rest("POST", "/api/auth/login", body=login)
    assert (status, said["message"]) == (401, "Invalid credentials")
    assert (await meet.rest("POST", "/api/auth/register", body=person))[0] == 409
    assert (await shell.run("token", person["email"]))[0] == 1
    # Its token proves nothing: a guest comes in, where guests may.
    again = await meet.connect(ada)
    assert (await enter(again, place, "Ada"))["success"]
    assert (await again.next("auth-error"))["code"] == "INVALID_TOKEN"
    assert (await host.next("user-joined"))["participant"]["userId"] is None
    assert sum(row["userId"] == ada.id for row in await meet.rows(place) if row["isActive"]) == 0
    await meet.patch(place, allowGuestAccess=False)
    refused = await enter(await meet.connect(ada), place, "Ada")
    assert refused["error"] == "Authentication required"

    assert (await shell.run("users", "enable", person["email"]))[0] == 0
    assert (await meet.rest("GET", "/api/auth/me", ada))[0] == 200
    assert (await meet.rest("POST", "/api/auth/login", body=login))[0] == 201
    assert (await enter(await meet.connect(ada), place, "Ada"))["success"]
    # Without a server, in the database alone; another password ends it too.
    for _ in range(2):
        assert await shell.run("users", "disable", person["email"]) == (
            0,
            f"The account {ada.id} is disabled in the database. No server was told.",
        )
    assert (await meet.rest("GET", "/api/auth/me", ada))[0] == 401
    assert (await shell.run("users", "reset-password", person["email"], typed="battery staple"))[0] == 0
    assert (await meet.rest("GET", "/api/auth/me", ada))[0] == 200
    assert (await shell.run("users", "disable", "nobody@example.com"))[0] == 1


async def test_an_account_is_deleted_and_its_history_stays(shell: Shell) -> None:
    meet = shell.meet
    ada, place = await meet.person("Ada"), await meet.place()
    own = await meet.place(ada)
    socket = await meet.join(place, ada)
    assert (await socket.ask("chat-message", {"roomId": place.id, "content": "hello"}))["success"]
    socket.disconnect()
    other = await meet.join(place, place.host)
    email = await meet.pool.fetchval('SELECT email FROM "User" WHERE id = $1', ada.id)
    await meet.rows(place)

    assert await shell.run("users", "delete", email, "--yes") == (0, "The account is deleted.")
    assert (await shell.run("users", "delete", email, "--yes"))[0] == 1
    columns = (
        "id, email, name, coalesce(\"displayName\", '') AS shown, coalesce(\"avatarUrl\", '') AS picture"
    )
    left = json.dumps([dict(row) for row in await meet.pool.fetch(f'SELECT {columns} FROM "User"')])
    assert ada.id not in left
    assert email not in left
    (message,) = await meet.pool.fetch('SELECT * FROM "Message"')
    assert (message["userId"], message["senderName"], message["content"]) == (
        None,
        "Deleted account",
        "hello",
    )
    row = await meet.pool.fetchrow('SELECT * FROM "Participant" WHERE "guestName" = $1', "Deleted account")
    assert (row["userId"], row["isActive"], row["roomId"]) == (None, False, place.id)
    assert (await enter(await meet.connect(), own))["error"] == "Room is no longer active"
    assert (await meet.rest("GET", "/api/auth/me", ada))[0] == 401
    assert (await other.ask("chat-message", {"roomId": place.id, "content": "still here"}))["success"]
    # A second one's rooms go to the same nobody.
    second = await meet.person("Bo")
    await meet.place(second)
    email = await meet.pool.fetchval('SELECT email FROM "User" WHERE id = $1', second.id)
    assert (await shell.run("users", "delete", email, "--yes"))[0] == 0


async def test_rooms(shell: Shell) -> None:
    meet = shell.meet
    place, quiet = await meet.place(), await meet.place()
    guest = await meet.join(place)
    code, said = await shell.run("rooms", "list")
    assert (code, [line.split()[0] for line in said.splitlines()]) == (0, [quiet.code, place.code])
    there = {"ADMIN_PORT": str(meet.server.admin_url).rpartition(":")[2], "ADMIN_TOKEN": TOKEN}
    assert await shell.run("rooms", "end", place.code, **there) == (0, f"The server has ended {place.code}.")
    assert (await guest.next("room-ended"))["reason"] == "The operator ended the meeting"
    code, said = await shell.run("rooms", "end", quiet.code)
    assert (code, said) == (0, f"{quiet.code} has ended in the database. No server was told.")
    assert (await enter(guest, quiet))["error"] == "Room is no longer active"
    assert (await shell.run("rooms", "list"))[1] == ""
    wrong = there | {"ADMIN_TOKEN": TOKEN + "x"}
    assert await shell.run("rooms", "end", place.code, **wrong) == (
        1,
        f"neuron-meet: The server does not end {place.code}: Unauthorized.",
    )


async def test_what_is_old_goes_and_nothing_else(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    meet, now = shell.meet, datetime.now(UTC)
    host: Person = await meet.person()
    old, recent, running = [await meet.place(host) for _ in range(3)]
    for place, ended in ((old, 100), (recent, 10), (running, None)):
        for days in (5, 50, 120, 130, 140):
            moment = (now - timedelta(days=days)).replace(tzinfo=None)
            await insert(meet, "Message", place.id, moment, content="x")
            await insert(meet, "Participant", place.id, moment, isActive=False)
        if ended is not None:
            await meet.sql(
                'UPDATE "Room" SET "isActive" = false, "endedAt" = $2 WHERE id = $1',
                place.id,
                (now - timedelta(days=ended)).replace(tzinfo=None),
            )
    for days in (100, 80):
        await meet.sql(
            'INSERT INTO "RoomRemoval" ("roomId", "userId", "removedAt", "until") VALUES ($1, $2, $3, $3)',
            running.id,
            (await meet.person()).id,
            (now - timedelta(days=days)).replace(tzinfo=None),
        )
    batches: list[tuple[str, int]] = []
    done = await prune(
        database_url, now - timedelta(days=90), lambda what, rows: batches.append((what, rows))
    )
    # The old room's newer messages keep it: what is younger than the limit is never deleted.
    assert done == Pruned(messages=9, participants=5, rooms=0, removals=1)
    assert [rows for what, rows in batches if what == "messages"] == [2, 4, 6, 8, 9]
    assert await meet.pool.fetchval('SELECT count(*) FROM "Message"') == 6
    assert await meet.pool.fetchval('SELECT count(*) FROM "Participant"') == 10
    code, said = await shell.run("db", "prune", "--older-than", "40d", "--yes")
    assert (code, said) == (0, "Deleted 3 messages, 0 participant rows, 0 rooms, 1 removals that were over.")
    await meet.sql('DELETE FROM "Message" WHERE "roomId" = $1', old.id)
    code, said = await shell.run("db", "prune", "--older-than", "40d", "--yes")
    assert (code, said) == (0, "Deleted 0 messages, 0 participant rows, 1 rooms, 0 removals that were over.")
    assert (await shell.run("db", "prune", "--older-than", "soon", "--yes"))[0] == 2


async def insert(meet: Meet, table: str, room_id: str, moment: datetime, **columns: Any) -> None:
    """A row of that moment."""
    made = "createdAt" if table == "Message" else "joinedAt"
    names = ["id", "roomId", made, *columns]
    values = ", ".join(f"${number}" for number in range(2, len(names) + 1))
    quoted = ", ".join(f'"{name}"' for name in names)
    await meet.sql(
        f'INSERT INTO "{table}" ({quoted}) SELECT $1 || gen_random_uuid()::text, {values}',
        "t",
        room_id,
        moment,
        *columns.values(),
    )
