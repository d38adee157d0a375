"""Every statement that the server asks a database, as it asks it, and how PostgreSQL runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from neuron_meet.rooms.codes import new_room_code
from neuron_meet.store import retention
from neuron_meet.store.attendance import Attendance
from neuron_meet.store.client import Database
from neuron_meet.store.engine.pool import PLANNING
from neuron_meet.store.entrance import Entrance
from neuron_meet.store.ids import new_id, new_instance
from neuron_meet.store.indexes import missing_names
from neuron_meet.store.lease import Lease
from neuron_meet.store.messages import Messages, NewMessage
from neuron_meet.store.participants import Participants
from neuron_meet.store.removals import StoredRemovals, active_removals
from neuron_meet.store.rooms import Rooms
from neuron_meet.store.users import Users

_NO_STATEMENT = (
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SET",
    "RESET",
    "SHOW",
    "DISCARD",
    "LISTEN",
    "UNLISTEN",
    "CLOSE",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement with its values, and what it was asked for."""

    what: str
    statement: str
    values: tuple[Any, ...]

    @property
    def is_about_tables(self) -> bool:
        """Whether it reads or writes a table of the schema."""
        return not self.statement.lstrip().upper().startswith(_NO_STATEMENT) and bool(
            _TABLE.search(self.statement)
        )


_TABLE = re.compile(r'"(User|Room|RoomSettings|Participant|Message|RoomRemoval)"')


class Asking:
    """Notes what each connection of this process is asked, while its block lasts."""

    def __init__(self) -> None:
        self.what = ""
        self.asked: list[Asked] = []

    def _note(self, record: Any) -> None:
        self.asked.append(Asked(self.what, record.query, tuple(record.args or ())))

    @contextlib.contextmanager
    def listening(self) -> Any:
        """Listen to all connections that are opened in the block."""
        real = asyncpg.connect

        async def connect(*args: Any, **kwargs: Any) -> Any:
            connection = await real(*args, **kwargs)
            connection.add_query_logger(self._note)
            return connection

        asyncpg.connect = connect  # type: ignore[assignment]
        try:
            yield self
        finally:
            asyncpg.connect = real


UseCase = Callable[[], Awaitable[object]]


def use_cases(url: str, database: Database) -> dict[str, UseCase]:
    """What a server asks a database of bench/grown.py, by what it is for. Run in this order."""
    users, rooms, participants = Users(database), Rooms(database), Participants(database)
    attendance, entrance, messages = Attendance(database), Entrance(database), Messages(database)
    now, old = datetime.now(UTC), datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=2)
    record, made, email = new_id(), new_room_code(), f"{secrets.token_hex(8)}@example.com"

    def opened(user_id: str | None) -> UseCase:
        return lambda: participants.open(
            record_id=record if user_id else new_id(),
            room_id="r1",
            user_id=user_id,
            guest_name="Gus",
            is_host=False,
            joined_at=now,
        )

    async def older() -> None:
        [*_, middle] = await attendance.messages("r1", limit=50)
        await attendance.messages("r1", limit=50, before=middle)

    async def dead() -> None:
        lease = Lease(url, new_instance())
        await lease.start(alone=True)
        await lease.stop()

    def room_of(most_open: int | None) -> UseCase:
        code = made if most_open else new_room_code()
        return lambda: rooms.create(
            code=code, name="A", host_id="u1", waiting_room=False, max_participants=9, most_open=most_open
        )

    async def said() -> None:
        await messages.append([NewMessage(new_id(), room, "u2", "Ada", "Hello") for room in ("r1", "r2")])

    return {
        "look at the tables": database.look_at_each_table,
        "join: room of old messages": lambda: entrance.room("code-1", newest_messages=50),
        "join: room of new messages": lambda: entrance.room("code-2", newest_messages=50),
        "join: row of an account": opened("u2"),
        "join: row of a guest": opened(None),
        "leave": lambda: participants.close([record], now),
        "chat": said,
        "reconciliation: open rows": lambda: participants.open_ids(["r1", "r2", "r3"], "nrun"),
        "reconciliation: reopen": lambda: participants.reopen([record]),
        "start: rows of the dead": dead,
        "start: removals": lambda: active_removals(url, now, 10_000),
        "start: indexes": lambda: missing_names(url),
        "sign in": lambda: users.credentials("user7@example.com"),
        "sign in, another casing": lambda: users.credentials_in_any_case("USER7@example.com"),
        "register": lambda: users.create(email=email, display_name="Ada", password_hash="hash"),
        "account of a token": lambda: users.find("u1"),
        "change of an account": lambda: users.update(
            "u2", display_name="B", avatar_url=None, set_avatar=True
        ),
        "password": lambda: users.set_password("u3", "hash"),
        "disable": lambda: users.set_disabled("u3", disabled=True),
        "make a room": room_of(10_000_000),
        "make a room, no limit": room_of(None),
        "find a room": lambda: rooms.find("r1"),
        "find a room by code": lambda: rooms.find_by_code("code-1"),
        "my rooms, of one with many": lambda: rooms.newest_of("u1", 20),
        "my rooms, of one with few": lambda: rooms.newest_of("u5", 20),
        "rooms list": lambda: rooms.newest(50, active=True),
        "rooms list --all": lambda: rooms.newest(50, active=False),
        "settings": lambda: rooms.change_settings(
            "r1", {"maxParticipants": 50, "allowChat": True}, is_locked=True
        ),
        "may one read": lambda: attendance.attended("r1", "u2"),
        "participants of a room": lambda: attendance.open_rows("r1"),
        "a message": lambda: attendance.message("r1", "m9"),
        "a message by id": lambda: messages.find("m9"),
        "chat, newest page": lambda: attendance.messages("r1", limit=50),
        "chat, page before": older,
        "chat, page until a moment": lambda: attendance.messages("r2", limit=50, until=now),
        "history of an account": lambda: participants.history("none", "u2", 50),
        "history of a guest": lambda: participants.history(record, None, 50),
        "remove": lambda: StoredRemovals(database).record("r1", "u4", now, now),
        "end a room": lambda: rooms.end("r1", now),
        "prune": lambda: retention.prune(url, old),
    }


@dataclass(frozen=True, slots=True)
class Run:
    """How PostgreSQL ran a statement: milliseconds, and the tables that it read from the first row to the last."""

    asked: Asked
    milliseconds: float
    rows: int
    """Rows that were read, those among them that were left out."""
    read: tuple[str, ...]
    """How: by which index each table was read, and how many rows."""


async def explained(connection: Any, asked: Asked, *, times: int = 1) -> Run:
    """Run a statement with the plan that it has for all values, and undo it. The quickest of so many times."""
    name = f"asked_{secrets.token_hex(6)}"
    given = ", ".join(_literal(value) for value in asked.values)
    await connection.execute(f"PREPARE {name} AS {asked.statement}")
    call = f"EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) EXECUTE {name}" + (f"({given})" if given else "")
    best: Run | None = None
    for _ in range(times):
        transaction = connection.transaction()
        await transaction.start()
        try:
            [plan] = json.loads(await connection.fetchval(call))
        finally:
            await transaction.rollback()
        spent = plan["Execution Time"]
        if best is None or spent < best.milliseconds:
            scans = list(_scans(plan["Plan"]))
            best = Run(
                asked, spent, sum(rows for _, rows in scans), tuple(f"{how}: {rows}" for how, rows in scans)
            )
    await connection.execute(f"DEALLOCATE {name}")
    assert best is not None
    return best


@asynccontextmanager
async def explaining(url: str) -> AsyncGenerator[Any]:
    """A connection that plans as the server's do, once for all values."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    for name, value in {**PLANNING, "TimeZone": "UTC"}.items():
        await connection.execute(f"SET {name} = '{value}'")
    try:
        yield connection
    finally:
        await connection.close()


async def asked_by_server(url: str) -> list[Asked]:
    """All statements of all use cases."""
    asking = Asking()
    with asking.listening():
        database = Database(url, timeout_seconds=60)
        await database.start()
        try:
            for what, ask in use_cases(url, database).items():
                asking.what = what
                await ask()
                await asyncio.sleep(0)  # asyncpg tells in the next turn
                await asyncio.sleep(0)
        finally:
            asking.what = ""
            await database.stop()
    return [asked for asked in asking.asked if asked.what]


def _scans(node: Any) -> Iterator[tuple[str, int]]:
    """Each read of a table in a plan: how, and how many rows, those among them that were left out."""
    for child in node.get("Plans", []):
        yield from _scans(child)
    if "Relation Name" in node and "Scan" in node["Node Type"]:
        left_out = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        rows = round((node["Actual Rows"] + left_out) * node["Actual Loops"])
        if rows:
            yield node.get("Index Name", f"{node['Node Type']} on {node['Relation Name']}"), rows


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return f"'{moment.isoformat()}'"
    if isinstance(value, list | tuple):
        return "ARRAY[" + ", ".join(_literal(item) for item in value) + "]::text[]"
    return "'" + str(value).replace("'", "''") + "'"
