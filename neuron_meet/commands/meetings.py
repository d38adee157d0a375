"""`rooms` and `db prune`: meetings from the command line, in the database and, by the admin address, in a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from neuron_meet.commands.ending import run, settings_or_end
from neuron_meet.commands.serving import told_a_server
from neuron_meet.commands.storing import stored
from neuron_meet.failure import ForeseenFailure
from neuron_meet.notation import duration_seconds
from neuron_meet.rooms.codes import room_code_in


@click.group()
def rooms() -> None:
    """Rooms: list, end."""


@rooms.command("list", short_help="The newest rooms of all.")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def list_rooms(everything: bool, limit: int) -> None:
    """The newest rooms, newest first: code, when it was made, when it ended, host, name."""
    settings = settings_or_end()

    async def show() -> int:
        from neuron_meet.store.rooms import Rooms  # noqa: PLC0415

        async with stored(settings) as database:
            for room in await Rooms(database).newest(limit, active=not everything):
                ended = room.endedAt.isoformat(timespec="seconds") if room.endedAt else "-"
                host = room.host.email if room.host else "-"
                click.echo(
                    f"{room.code}  {room.createdAt.isoformat(timespec='seconds')}  {ended}  {host}  {room.name}"
                )
        return 0

    run(show)


@rooms.command(short_help="End a room for everybody.")
@click.argument("code")
def end(code: str) -> None:
    """End a room for everybody.

    With ADMIN_PORT and ADMIN_TOKEN the server there does it, and whoever is in the room is told. Without, or where no
    server answers, the room ends in the database alone: nobody comes in any more, and a server that runs all the same
    lets those go on who are inside.
    """
    settings = settings_or_end()

    async def finish() -> int:
        if await told_a_server(settings, f"/rooms/{code}/end", f"end {code}"):
            click.echo(f"The server has ended {code}.")
            return 0
        from neuron_meet.store.rooms import Rooms  # noqa: PLC0415

        async with stored(settings) as database:
            room = await Rooms(database).find_by_code(room_code_in(code) or code)
            if room is None:
                raise ForeseenFailure(f"There is no room {code}.")
            await Rooms(database).end(room.id, datetime.now(UTC))
        click.echo(f"{code} has ended in the database. No server was told.")
        return 0

    run(finish)


def _age(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    try:
        return timedelta(seconds=duration_seconds(text))
    except ValueError:
        raise click.BadParameter("must be a duration, such as 90d, 52w or 2y") from None


@click.command(short_help="Delete old messages and rooms that ended long ago.")
@click.option("--older-than", "age", required=True, callback=_age, help="Such as 90d, 52w or 2y.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(age: Any, yes: bool) -> None:
    """Delete messages older than that, rooms that ended longer ago, with who was in them, and removals that have been
    over for longer.

    In batches of 1000, each a transaction of its own that locks only what it deletes: a server may go on, and it may
    be stopped and run again. Accounts and rooms that have not ended stay.
    """
    settings = settings_or_end()
    before = datetime.now(UTC) - age
    if not yes:
        click.confirm(
            f"Delete what is older than {before:%Y-%m-%d %H:%M} UTC, which cannot be undone?", abort=True
        )

    async def delete() -> int:
        from neuron_meet.store.provision import opened  # noqa: PLC0415
        from neuron_meet.store.retention import prune as prune_rows  # noqa: PLC0415

        async with opened(settings) as url:
            done = await prune_rows(url, before)
        click.echo(
            f"Deleted {done.messages} messages, {done.participants} participant rows, {done.rooms} rooms, "
            f"{done.removals} removals that were over."
        )
        return 0

    run(delete)
