"""Deleting an account's personal data on request: the account goes, what others took part in stays, without names."""

from __future__ import annotations

from neuron_meet.store.ids import new_id
from neuron_meet.store.session import address_of, session

NOBODY_EMAIL = "deleted-accounts@neuron-meet.invalid"
"""The account that hosts what deleted accounts hosted: a room must have a host. No password fits its hash."""
NOBODY = "Deleted account"


async def erase(url: str, email: str) -> bool:
    """Delete the account with that address (in any casing). False where there is none. Raises DatabaseUnreachable.

    In one transaction: messages and attendance stay without it, under the name `Deleted account`; rooms that it hosts
    end, and are nobody's; the row with address, names, picture and password hash is gone, and with it from which rooms
    the account was removed; its tokens prove nothing any more. What it wrote is history of others and stays:
    `neuron-meet db prune` removes that by age.
    """
    address = address_of(url)
    async with session(address) as connection, connection.transaction():
        await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", address.schema)
        user = await connection.fetchval(
            'SELECT id FROM "User" WHERE lower(email) = lower($1) AND email <> $2 FOR UPDATE',
            email,
            NOBODY_EMAIL,
        )
        if user is None:
            return False
        nobody = await connection.fetchval(
            'INSERT INTO "User" (id, email, name, "displayName", password, "updatedAt") '
            "VALUES ($1, $2, $3, $3, '!', now() AT TIME ZONE 'utc') "
            "ON CONFLICT (email) DO UPDATE SET \"updatedAt\" = now() AT TIME ZONE 'utc' RETURNING id",
            new_id(), NOBODY_EMAIL, NOBODY,
        )  # fmt: skip
        for statement in (
            'UPDATE "Message" SET "userId" = NULL, "senderName" = $2 WHERE "userId" = $1',
            'UPDATE "Participant" SET "userId" = NULL, "guestName" = $2, "isActive" = false, '
            '"leftAt" = coalesce("leftAt", now() AT TIME ZONE \'utc\') WHERE "userId" = $1',
        ):
            await connection.execute(statement, user, NOBODY)
        await connection.execute(
            'UPDATE "Room" SET "hostId" = $2, "isActive" = false, '
            "\"endedAt\" = coalesce(\"endedAt\", now() AT TIME ZONE 'utc') WHERE \"hostId\" = $1",
            user, nobody,
        )  # fmt: skip
        await connection.execute('DELETE FROM "User" WHERE id = $1', user)
    return True
