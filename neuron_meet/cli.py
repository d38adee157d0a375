"""The program `neuron-meet`: serve, drain, and what is done to the database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

from neuron_meet import __version__
from neuron_meet.commands.accounts import token, users
from neuron_meet.commands.checks import check_config, doctor
from neuron_meet.commands.ending import BAD_SETTINGS, FAILED, fail, importing, run, sentences, settings_or_end
from neuron_meet.commands.meetings import prune, rooms
from neuron_meet.notation import is_loopback


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="neuron-meet")
def main() -> None:
    """Neuron Meet's signaling server: rooms, presence and WebRTC signaling over Socket.IO.

    Settings are environment variables, also read from .env in the working folder. The most important:

    \b
      PORT                  port to listen on (3001)
      HOST                  address to listen on (127.0.0.1; 0.0.0.0 in production)
      DATABASE_URL          PostgreSQL to use; without it, an embedded one is started
      DIRECT_URL            PostgreSQL for migrations, when DATABASE_URL goes through a pooler
      NEURON_MEET_DATA_DIR  where the embedded PostgreSQL keeps its data (.neuron-meet)
      JWT_SECRET            key of the access tokens; required in production and with REDIS_URL
      NODE_ENV              development or production

    Exit codes: 0 done, 1 failed for the reason printed, 2 settings or options that cannot be used.
    """


@main.command()
@click.option("--host", help="Address to listen on, before HOST.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on, before PORT; 0 takes a free one."
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes; needs REDIS_URL."
)
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Starts the embedded PostgreSQL where DATABASE_URL is not set, and applies the migrations that are missing.

    With --workers so many processes serve on the one port, and one that dies is replaced. Each uses a core, and
    DATABASE_POOL_SIZE connections. Clients that poll instead of using a websocket need a proxy before several
    servers on ports of their own instead (docs/scaling.md).
    """
    settings = settings_or_end(host=host, port=port)
    if workers > 1:
        if settings.redis_url is None:
            fail("--workers needs REDIS_URL: by way of Redis the processes know of each other.", BAD_SETTINGS)
        with sentences():
            with importing():
                from neuron_meet.workers import serve_with_workers  # noqa: PLC0415

            code = serve_with_workers(settings, workers)
        sys.exit(code)
    with sentences():
        with importing():
            from neuron_meet.serving import serve as run_server  # noqa: PLC0415 - other commands need none of it

        code = run_server(settings)
    sys.exit(code)


@main.command(hidden=True)
@click.option("--number", type=int, required=True)
@click.option("--listener", type=int, required=True)
@click.option("--lifeline", type=int, required=True)
def worker(number: int, listener: int, lifeline: int) -> None:
    """Serve as one of `serve --workers`, which starts this with its settings in the environment."""
    settings = settings_or_end()
    with sentences():
        with importing():
            from neuron_meet.workers import serve_as_worker  # noqa: PLC0415

        code = serve_as_worker(settings, number, listener, lifeline)
    sys.exit(code)


@main.command(short_help="Tell a running server to drain, and wait for its end.")
@click.option(
    "--pid", type=click.IntRange(1), help="Process id of the server, where it is not the one on PORT."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port that the server was started with, before PORT."
)
@click.option(
    "--wait", type=click.FloatRange(0), help="Wait so long, in seconds (DRAIN_SECONDS and 30 more)."
)
def drain(pid: int | None, port: int | None, wait: float | None) -> None:
    """Tell a running server to drain, as SIGTERM does, and wait for its end.

    The server takes no new joins, tells its clients, closes their sockets spread over DRAIN_SECONDS, closes the
    participants' rows and ends. It is found by PORT and NEURON_MEET_DATA_DIR, or named with --pid.
    """
    settings = settings_or_end(port=port)
    with sentences():
        from neuron_meet.ops.stopping import MORE_SECONDS, serving_process, stop_and_wait  # noqa: PLC0415

        process = serving_process(settings, pid)
        click.echo(f"Draining the server (process {process}).")
        stop_and_wait(process, settings.drain_seconds + MORE_SECONDS if wait is None else wait)
        click.echo("The server has ended.")


main.add_command(check_config)
main.add_command(doctor)
main.add_command(token)
main.add_command(users)
main.add_command(rooms)


@main.group()
def db() -> None:
    """The database: Prisma's commands, with everything they need set up.

    They work on DIRECT_URL or DATABASE_URL, else on the embedded PostgreSQL (which they start, or share with a
    server that is running).
    """


@db.command(short_help="Generate the database client from schema.prisma.")
def generate() -> None:
    """Generate the database client from schema.prisma (formerly `prisma generate`), and its queries' plans."""
    _in_a_checkout()
    from neuron_meet.store.prisma_cli import PrismaCli  # noqa: PLC0415

    async def generate_and_compile() -> int:
        code = await PrismaCli().attached("generate", *_schema())
        if code == 0:
            from neuron_meet.store.compiling import compile_ahead  # noqa: PLC0415 - made just now

            await compile_ahead()
        return code

    run(generate_and_compile)


@db.command(short_help="Make the tables equal to schema.prisma, without a migration.")
@click.option("--accept-data-loss", is_flag=True, help="Go on where rows or columns would be lost.")
def push(accept_data_loss: bool) -> None:
    """Make the tables equal to schema.prisma, without a migration: for trying things out."""
    extra = ["--accept-data-loss"] if accept_data_loss else []
    _on_database(lambda cli, _: cli.attached("db", "push", *_schema(), *_without_generating(), *extra))


@db.command(short_help="Make a migration from a changed schema.prisma.")
@click.option("--name", help="Name of the new migration, such as add_nickname; asked for on a terminal.")
def migrate(name: str | None) -> None:
    """Make a migration from a changed schema.prisma, apply it and generate the client (for development).

    Applies what is missing first. Needs a user who may create databases: Prisma replays the migrations in one.
    """
    _in_a_checkout()
    if name is None and not sys.stdin.isatty():
        fail("Give the migration a name: neuron-meet db migrate --name add_nickname", BAD_SETTINGS)

    async def deploy_and_migrate(cli: Any, url: str) -> int:
        from neuron_meet.store.migrations import deploy  # noqa: PLC0415

        # Prisma 6.19's WebAssembly engine cannot make a migration in a run that has applied one.
        await deploy(url, click.echo)
        return await cli.attached("migrate", "dev", *_schema(), *(["--name", name] if name else []))

    _on_database(deploy_and_migrate)


@db.command(short_help="Apply missing migrations; adopt the former server's database.")
def deploy() -> None:
    """Apply the migrations that are missing; adopt a database that the former server made with `db push`.

    Indexes that are missing are built, one after the other, while everybody may write (CREATE INDEX CONCURRENTLY).

    An adopted database keeps every table and row as it is. One that is neither empty nor the former server's is
    refused with the difference, untouched.
    """

    async def deploy_and_say(_cli: Any, url: str) -> int:
        from neuron_meet.store.indexes import build  # noqa: PLC0415
        from neuron_meet.store.migrations import deploy  # noqa: PLC0415

        done = await deploy(url, click.echo)
        done = await build(url, click.echo) or done
        click.echo("The database is up to date." if done else "The database is up to date: nothing to do.")
        return 0

    _on_database(deploy_and_say)


@db.command(short_help="Say which migrations the database has.")
def status() -> None:
    """Say which migrations the database has; exit code 1 if it is not up to date. Changes nothing."""

    async def say_status(_cli: Any, url: str) -> int:
        from neuron_meet.store.migrations import status  # noqa: PLC0415

        return 0 if await status(url, click.echo) else FAILED

    _on_database(say_status)


@db.command(short_help="Show the rows in a browser (Prisma Studio).")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5555, show_default=True, help="Port of the page."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address of the page; others than this one are open to all.",
)
@click.option("--browser", default="none", show_default=True, help="Browser to open it in.")
def studio(port: int, host: str, browser: str) -> None:
    """Show the rows in a browser (Prisma Studio), until Ctrl-C.

    It asks for no password: whoever reaches the page reads and changes every row. From another machine, use a tunnel
    (ssh -L 5555:127.0.0.1:5555 SERVER).
    """
    if host != "localhost" and not is_loopback(host):
        click.echo(
            f"Whoever reaches port {port} of {host} reads and changes every row, without a password.",
            err=True,
        )
    arguments = ("studio", *_schema(), "--port", str(port), "--hostname", host, "--browser", browser)
    _on_database(lambda cli, _: cli.attached(*arguments))


db.add_command(prune)


def _schema() -> tuple[str, str]:
    from neuron_meet.store.assets import schema_file  # noqa: PLC0415

    return "--schema", str(schema_file())


def _without_generating() -> tuple[str, ...]:
    """An installed package has its client already."""
    from neuron_meet.store.assets import is_installed  # noqa: PLC0415

    return ("--skip-generate",) if is_installed() else ()


def _in_a_checkout() -> None:
    """Refuse what changes the program itself where it is installed."""
    from neuron_meet.store.assets import is_installed  # noqa: PLC0415

    if is_installed():
        fail("This changes the program itself: it needs a checkout (git clone), not an installed package.")


def _on_database(action: Callable[[Any, str], Coroutine[Any, Any, int]]) -> None:
    """Run `action` with a Prisma CLI and the database's URL, and exit with its code."""
    settings = settings_or_end()

    async def with_database() -> int:
        from neuron_meet.store.prisma_cli import PrismaCli  # noqa: PLC0415
        from neuron_meet.store.provision import opened  # noqa: PLC0415

        async with opened(settings) as url:
            return await action(PrismaCli(url), url)

    run(with_database)
