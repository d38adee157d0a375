"""A database that has grown for years, made by SQL in a second or two."""

from __future__ import annotations

from typing import Any

GROW = """
INSERT INTO "User" (id, email, name, "displayName", password, "updatedAt")
SELECT 'u' || n, 'User' || n || '@example.com', 'User ' || n, 'U' || n, 'no hash', now()
FROM generate_series(1, {users}) n;
INSERT INTO "Room" (id, code, name, "hostId", "isActive", "createdAt", "startedAt", "endedAt", "updatedAt")
SELECT 'r' || n, 'code-' || n, 'Room ' || n,
  'u' || CASE WHEN n % 10 = 0 THEN 1 ELSE 1 + n * 7 % {users} END, n % 20 = 1, t, t,
  CASE WHEN n % 20 = 1 THEN NULL ELSE t + interval '1 hour' END, t
FROM generate_series(1, {rooms}) n, LATERAL (
  SELECT timestamp '2020-01-01' + interval '2000 days' * (n / {rooms}::float8) AS t) AS at;
INSERT INTO "RoomSettings" (id, "roomId") SELECT 's' || n, 'r' || n FROM generate_series(1, {rooms}) n;
INSERT INTO "Participant" (id, "roomId", "userId", "guestName", "isActive", "joinedAt", "leftAt")
SELECT 'nrun' || lpad(n::text, 21, '0'), 'r' || room,
  CASE WHEN n % 3 = 0 THEN NULL ELSE 'u' || 1 + n * 11 % {users} END, CASE WHEN n % 3 = 0 THEN 'Gus' END,
  n > {participants} - 50, t, CASE WHEN n > {participants} - 50 THEN NULL ELSE t END
FROM generate_series(1, {participants}) n, LATERAL (
  SELECT CASE WHEN n % 4 = 0 THEN 1 ELSE 1 + n * 13 % {rooms} END AS room,
    timestamp '2020-01-01' + interval '2000 days' * (n / {participants}::float8) AS t) AS at;
INSERT INTO "Message" (id, "roomId", "userId", "senderName", content, "createdAt")
SELECT 'm' || n,
  'r' || CASE WHEN n <= {messages} / 10 THEN 1 WHEN n > {messages} - {messages} / 10 THEN 2 ELSE 3 + n % ({rooms} - 3)
    END,
  CASE WHEN n % 5 = 0 THEN NULL ELSE 'u' || 1 + n * 17 % {users} END, 'Ada',
  'Shall we start with the figures of last week? The link is in the invitation.',
  timestamp '2020-01-01' + interval '2000 days' * (n / {messages}::float8)
FROM generate_series(1, {messages}) n;
INSERT INTO "RoomRemoval" ("roomId", "userId", "removedAt", "until")
SELECT 'r' || n, 'u' || 1 + n % {users}, now(), now() + interval '1 day' * CASE WHEN n <= 20 THEN 1 ELSE -1 END
FROM generate_series(1, {rooms}) n;
"""
"""`r1` has a tenth of all messages, the oldest, and a quarter of all participants; `r2` a tenth, the newest. `u1` hosts
a tenth of all rooms, of which a twentieth is open."""


_INDEXES = """
SELECT x.relname::text AS name, pg_get_indexdef(i.indexrelid) AS made
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace
WHERE n.nspname = 'public' AND NOT i.indisprimary AND x.relname NOT LIKE '\\_%'
"""


async def grow(connection: Any, messages: int) -> None:
    """Fill an empty migrated database with so many messages, a fifth as many participants, a twentieth as many rooms.

    Statistics are made as autovacuum would.
    """
    rooms = max(10, messages // 20)
    sizes = {
        "messages": messages,
        "rooms": rooms,
        "users": max(10, messages // 50),
        "participants": messages // 5,
    }
    # Without foreign keys that are looked up, and with indexes made at the end: a fifth of the time.
    await connection.execute("SET session_replication_role = replica; SET maintenance_work_mem = '256MB'")
    indexes = await connection.fetch(_INDEXES)
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["name"]}"')
    for statement in GROW.format(**sizes).split(";\n"):
        if statement.strip():
            await connection.execute(statement)
    for index in indexes:
        await connection.execute(index["made"])
    await connection.execute("SET session_replication_role = origin; RESET maintenance_work_mem")
    await connection.execute("ANALYZE")
