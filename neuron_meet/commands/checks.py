"""`check-config` and `doctor`: is what the operator gave right, and does what it names work?"""

from __future__ import annotations

import click

from neuron_meet.commands.ending import BAD_SETTINGS, FAILED, fail, run, sentences, settings_or_end
from neuron_meet.jwt_secret import source
from neuron_meet.ops.configuration import Entry, read_configuration


@click.command("check-config", short_help="Say every setting: value, where it is from, what is wrong.")
@click.option("--all", "everything", is_flag=True, help="Also those that are as by default.")
def check_config(everything: bool) -> None:
    """Say every setting that was given: its value (secrets masked), where it is from, what is wrong with it.

    All problems at once, each with a value that would do; exit code 2 where there is one. Starts nothing and
    connects to nothing: `neuron-meet doctor` does.
    """
    read = read_configuration()
    shown = [entry for entry in read.entries if everything or entry.source != "default" or entry.problem]
    for line in _table(shown):
        click.echo(line)
    for warning in read.warnings:
        click.echo(f"neuron-meet: warning: {warning}", err=True)
    if read.problems:
        fail("\n".join(read.problems), BAD_SETTINGS)
    if read.settings is not None and read.settings.jwt_secret is None:
        with sentences():
            click.echo(f"JWT_SECRET is not set: the tokens' key is {source(read.settings)}.")
    click.echo("The settings can be used." if shown else "The settings can be used: all are as by default.")


@click.command(short_help="Try everything that a server needs: database, Redis, TURN, port …")
def doctor() -> None:
    """Try everything that a server with these settings needs, and say what does not work and what to do.

    PostgreSQL, clock, migrations, query engine, Redis, TURN allocation, ports, limits. Changes nothing. Exit code 1
    where something does not work, 2 for settings that cannot be used.
    """
    settings = settings_or_end()

    async def look() -> int:
        from neuron_meet.doctor import examine  # noqa: PLC0415 -- other commands need none of it

        findings = await examine(settings)
        for finding in findings:
            click.echo(f"{finding.state:8} {finding.subject:13} {finding.text}")
        return FAILED if any(finding.state == "failed" for finding in findings) else 0

    run(look)


def _table(entries: list[Entry]) -> list[str]:
    names = max((len(entry.name) for entry in entries), default=0)
    values = max((len(entry.value) for entry in entries), default=0)
    return [
        f"{'!' if entry.problem else ' '} {entry.name:{names}}  {entry.value:{values}}  ({entry.source})"
        for entry in entries
    ]
