"""The program's options, help and exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from neuron_meet import __version__
from neuron_meet.cli import main
from neuron_meet.settings import Settings

GOOD = {"DATABASE_URL": "", "DIRECT_URL": "", "JWT_SECRET": "", "NODE_ENV": "test"}


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(main, args, env=GOOD | env, catch_exceptions=False)


def test_version() -> None:
    assert run("--version").output == f"neuron-meet, version {__version__}\n"


def test_the_module_is_the_same_program() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "neuron_meet", "--version"], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip().endswith(f"version {__version__}")


def test_help_names_what_matters() -> None:
    text = run("--help").output

    for word in ("serve", "db", "PORT", "DATABASE_URL", "NEURON_MEET_DATA_DIR", "JWT_SECRET", "Exit codes"):
        assert word in text


def test_help_of_the_database_commands_is_whole() -> None:
    text = run("db", "-h").output

    for command in ("generate", "push", "migrate", "deploy", "status", "studio"):
        assert command in text
    assert "..." not in text.partition("Commands:")[2]


def test_every_setting_that_cannot_be_used_has_its_line_and_secrets_do_not_show() -> None:
    failed = run(
        "serve",
        PORT="99999",
        LOG_LEVEL="loud",
        DATABASE_URL="mysql://user:geheim@host/db",
        JWT_EXPIRES_IN="tomorrow",
        TRUSTED_PROXIES="10.0.0.0/99",
    )

    lines = failed.stderr.splitlines()
    assert failed.exit_code == 2
    assert len(lines) == 5
    assert all(line.startswith("neuron-meet: ") for line in lines)
    for variable in ("PORT is '99999'", "LOG_LEVEL is 'loud'", "DATABASE_URL: must start with postgresql://"):
        assert sum(variable in line for line in lines) == 1
    assert "geheim" not in failed.stderr


@pytest.mark.parametrize("command", [("serve",), ("db", "deploy"), ("db", "status"), ("db", "push")])
def test_no_unsafe_default_in_production(command: tuple[str, ...]) -> None:
    failed = run(*command, NODE_ENV="production")

    assert failed.exit_code == 2
    assert failed.stderr.startswith("neuron-meet: JWT_SECRET is missing or a known default")
    assert len(failed.stderr.splitlines()) == 1


def test_a_short_secret_is_not_shown() -> None:
    failed = run("serve", NODE_ENV="production", JWT_SECRET="hunter2")

    assert failed.exit_code == 2
    assert "shorter than 32 bytes" in failed.stderr
    assert "hunter2" not in failed.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none(port: str) -> None:
    assert run("serve", "--port", port).exit_code == 2


def test_options_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr("neuron_meet.serving.serve", lambda settings: seen.append(settings) or 0)

    served = run("serve", "--port", "0", "--host", "127.0.0.9", PORT="4000", HOST="127.0.0.8")

    assert served.exit_code == 0
    assert (seen[0].port, seen[0].bind_host) == (0, "127.0.0.9")


def test_the_exit_code_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuron_meet.serving.serve", lambda _settings: 7)

    assert run("serve").exit_code == 7


def test_an_error_that_was_not_foreseen_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_settings: Settings) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("neuron_meet.serving.serve", broken)

    with pytest.raises(ZeroDivisionError):
        run("serve")


def test_a_client_that_was_not_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_settings: Settings) -> int:
        raise ModuleNotFoundError("No module", name="neuron_meet.store.generated")

    monkeypatch.setattr("neuron_meet.serving.serve", missing)

    failed = run("serve")

    assert failed.exit_code == 1
    assert "run `neuron-meet db generate`" in failed.stderr


def test_a_migration_without_a_name_and_a_terminal() -> None:
    failed = run("db", "migrate")

    assert failed.exit_code == 2
    assert "--name add_nickname" in failed.stderr
